"""Few-shot prompts against prompts written by hand, and the gate before the pairs."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from parabench import registry
from parabench.contracts import BuildContext, Decoding, Example, Runtime, UserError
from parabench.data.sketches import training_facts
from parabench.inference.end_of_text import EndOfText
from tests.support import chatting, tiny

PAIRS = tuple(
    # no two are near: the gate bars what differs from a test sentence by one word
    (f"The a{n} b{n} c{n} came first.", f"First came a{n} b{n} c{n} here.")
    for n in range(30)
)
SOURCES = ("It rained.", "The old man walks his dog.", "Nobody knew why {target_1}.")
DECODING = Decoding(max_new_tokens=12)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fewshot")
    tiny.llama(folder / "plain", max_position_embeddings=1024)
    tokenizer = chatting.give_chat(tiny.tokenizer(), "chatml")
    tiny.llama(folder / "chat", vocab_size=len(tokenizer), max_position_embeddings=1024)
    tokenizer.save_pretrained(folder / "chat")
    lines = [f"{source}\t{target}\n" for source, target in PAIRS]
    (folder / "pairs.tsv").write_text("".join(lines))
    return folder


def system(place, model="plain", name="3", seed=0, sources=(), human=(), **given):
    table = {"model": str(place / model), "pairs": str(place / "pairs.tsv"), **given}
    setting = BuildContext(Runtime(seed=seed), DECODING, table, sources, human)
    return registry.plugin_builder("system", "fewshot")(name, setting)


def answers(built):
    return [one.text for one in sorted(one for batch in built.paraphrase(SOURCES) for one in batch)]


def generated(folder, ids, end):
    model = AutoModelForCausalLM.from_pretrained(folder)
    config = GenerationConfig(max_new_tokens=12, min_new_tokens=1, eos_token_id=2, pad_token_id=1)
    with torch.no_grad():
        new = model.generate(torch.tensor([ids]), generation_config=config)[0, len(ids) :]
    return end.cut(new.tolist()).text.strip()


@pytest.mark.parametrize("joiner", [None, "\n---\n"])
def test_prompts_are_the_shots_joined(place, joiner):
    given = {} if joiner is None else {"joiner": joiner}
    built = system(place, template="In: {source} Out: {target}", **given)
    tokenizer = AutoTokenizer.from_pretrained(place / "plain")
    shots = [f"In: {source} Out: {target}" for source, target in built.shots]
    assert len(set(shots)) == 3
    assert set(built.shots) <= set(PAIRS)
    end = EndOfText(tokenizer, {2})
    expected = []
    for source in SOURCES:
        text = (joiner or "\n\n").join([*shots, f"In: {source} Out:"])
        expected.append(generated(place / "plain", tokenizer(text).input_ids, end))
    assert answers(built) == expected


def test_a_chats_shots_are_turns(place):
    built = system(place, "chat", chat=True, system="Be brief.", template="Say: {source}{target}")
    tokenizer = AutoTokenizer.from_pretrained(place / "chat")
    ends = {2, tokenizer.convert_tokens_to_ids("<|im_end|>")}
    expected = []
    for asked in SOURCES:
        messages = [{"role": "system", "content": "Be brief."}]
        for source, target in built.shots:
            messages.append({"role": "user", "content": f"Say: {source}"})
            messages.append({"role": "assistant", "content": target})
        messages.append({"role": "user", "content": f"Say: {asked}"})
        ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
        expected.append(generated(place / "chat", ids, EndOfText(tokenizer, ends, ())))
    assert answers(built) == expected


def test_the_seed_draws_the_pairs_and_the_signature_names_them(place):
    first, again, other = (system(place, seed=seed) for seed in (0, 0, 1))
    assert first.shots == again.shots != other.shots
    assert str(first.signature) == str(again.signature) != str(other.signature)
    items = dict(first.signature.items)
    assert items["shots"] == "3"
    assert items["pairs"] == first.digest[:12]
    others = [{"joiner": " "}, {"template": "{source}: {target}"}, {"dtype": "bfloat16"}]
    signatures = {str(system(place, **one).signature) for one in others}
    assert len(signatures | {str(first.signature)}) == 4


def test_no_sentence_of_the_test_set_is_shown(place):
    sources = tuple(source.upper() for source, _ in PAIRS[:20])
    human = tuple((target,) for _, target in PAIRS[20:27])
    built = system(place, sources=sources, human=human)
    assert set(built.shots) == set(PAIRS[27:])
    with pytest.raises(UserError, match="larger training split"):
        _ = system(place, name="4", sources=sources, human=human).signature


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty folder to work in, and a cache beside it."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def test_the_record_of_the_shots_is_what_the_table_reads(place, elsewhere):
    example = Example("1", "It rained.", ("Rain fell.",))
    built = system(place, sources=("It rained.",), human=(example.references,))
    assert training_facts(built.trained, [example]) == {"seed": 0, "seen": "clean"}
    shown = Example("2", "Unknown.", (built.shots[0][1],))
    assert training_facts(built.trained, [shown])["seen"] == "1/1"
    lines = (built.trained / "shots.jsonl").read_text().splitlines()
    assert [tuple(json.loads(line).values()) for line in lines] == list(built.shots)


def test_a_record_is_of_its_own_test_set(place, elsewhere):
    """The same shots are drawn for both, and are said to be clear of each."""
    for source in ("It rained.", "The sun was out."):
        built = system(place, sources=(source,))
        facts = training_facts(built.trained, [Example("1", source, ())])
        assert facts == {"seed": 0, "seen": "clean"}


def test_signature_and_record_write_nothing_where_one_works(place, elsewhere):
    built = system(place, sources=("It rained.",))
    _ = built.signature, built.model_names, built.role, built.checkpoint
    assert [path.name for path in elsewhere.iterdir()] == ["work"]
    assert built.trained.is_relative_to(elsewhere / "cache")
    assert not any((elsewhere / "work").iterdir())


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("", {}, "fewshot-4"),
        ("0", {}, "fewshot-4"),
        ("four", {}, "fewshot-4"),
        ("3", {"template": "{source}"}, "at its end"),
        ("3", {"chat": True, "joiner": " "}, "leave joiner out"),
        ("3", {"shots": "3"}, "no such option"),
    ],
)
def test_what_makes_no_sense_is_refused(place, name, given, message):
    with pytest.raises(UserError, match=message):
        system(place, name=name, **given)


def test_without_pairs_it_is_refused(place):
    setting = BuildContext(options={"model": str(place / "plain")})
    with pytest.raises(UserError, match="names no pairs"):
        registry.plugin_builder("system", "fewshot")("3", setting)


def test_shots_too_long_for_the_model_are_refused(place, tmp_path):
    tiny.llama(tmp_path / "short", max_position_embeddings=64)
    built = system(place, model=str(tmp_path / "short"))
    with pytest.raises(UserError, match="fewer pairs"):
        list(built.paraphrase(SOURCES))
