"""Chat systems against transformers' own chat template and generate, on small models."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from parabench import registry
from parabench.contracts import BuildContext, Decoding, Runtime, UserError
from parabench.models.checkpoints import locate
from parabench.prompts.facts import BaseIdentity
from parabench.prompts.table import TaskTable
from parabench.prompts.table_files import save_table
from parabench.prompts.templates import Template, paraphrase_template
from parabench.training import presets
from parabench.training.requests import (
    TrainingData,
    TrainingRequest,
    load_request,
    run_training,
)
from parabench.training.setup import parse_kind
from tests.support import chatting, tiny

SOURCES = (*tiny.SENTENCES, "It <|im_end|> rained.")
DECODING = Decoding(max_new_tokens=16)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with a small Llama for each chat template."""
    place = tmp_path_factory.mktemp("chats")
    for name in chatting.TEMPLATES:
        tokenizer = chatting.give_chat(tiny.tokenizer(), name)
        tiny.llama(place / name, vocab_size=len(tokenizer))
        tokenizer.save_pretrained(place / name)
    tiny.llama(place / "plain")
    return place


def system(folder, family="zeroshot", **given):
    setting = BuildContext(decoding=DECODING, options={"model": str(folder), **given})
    return registry.plugin_builder("system", family)("", setting)


def answers(built, sources=SOURCES):
    done = [one for batch in built.paraphrase(sources) for one in batch]
    return [(one.text, one.finished) for one in sorted(done)]


def by_transformers(folder, sources, text, end, system_text=""):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    ends = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(end)]
    config = GenerationConfig(
        max_new_tokens=16, min_new_tokens=1, eos_token_id=ends, pad_token_id=1
    )
    found = []
    for source in sources:
        messages = [{"role": "user", "content": text.replace("{source}", source)}]
        if system_text:
            messages.insert(0, {"role": "system", "content": system_text})
        encoded = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        with torch.no_grad():
            ids = model.generate(**encoded, generation_config=config)[0]
        new = ids[encoded["input_ids"].shape[1] :].tolist()
        stopped = next((at for at, token in enumerate(new) if token in ends), None)
        written = tokenizer.decode(new[:stopped], skip_special_tokens=True)
        found.append((written.strip(), stopped is not None))
    return found


@pytest.mark.parametrize("name", sorted(chatting.TEMPLATES))
def test_chats_equal_transformers(models, name):
    text = "Paraphrase: {source}"
    built = system(models / name, chat=True, template=text)
    end = chatting.END_OF_TURN.get(name, "</s>")
    expected = by_transformers(models / name, tiny.SENTENCES, text, end)
    assert answers(built, tiny.SENTENCES) == expected
    assert len(set(expected)) > 4


def test_a_system_message_equals_transformers(models):
    built = system(models / "chatml", chat=True, system="Be brief.", template="{source}")
    expected = by_transformers(
        models / "chatml", tiny.SENTENCES, "{source}", "<|im_end|>", "Be brief."
    )
    assert answers(built, tiny.SENTENCES) == expected
    other = system(models / "chatml", chat=True, template="{source}")
    assert answers(other, tiny.SENTENCES) != expected
    assert dict(built.signature.items)["system"] == "Be brief."


def test_the_end_of_a_turn_ends_a_row(models, tmp_path):
    folder = shutil.copytree(models / "chatml", tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    built = system(folder, chat=True, template="{source}")
    setting = BuildContext(decoding=DECODING, options={"model": str(folder)})
    model, tokenizer = built.setting.models.get(*_loading(built, setting))
    assert built.end_of_text(model, tokenizer).reached(
        [tokenizer.convert_tokens_to_ids("<|im_end|>")]
    )
    assert not built.end_of_text(model, tokenizer).reached(tokenizer("a\n").input_ids)
    plain = system(folder, template="{source}")
    assert plain.end_of_text(model, tokenizer).reached(tokenizer("a\n").input_ids)


def _loading(built, setting):
    from parabench.models.loading import load_causal

    return load_causal, built.checkpoint, setting.runtime


def test_the_signature_names_the_chat_template(models, tmp_path):
    folder = shutil.copytree(models / "chatml", tmp_path / "model")
    before = system(folder, chat=True, template="{source}").signature
    assert "chat" in dict(before.items)
    assert dict(before.items)["stop"] == "eos+turn"
    file = folder / "chat_template.jinja"
    file.write_text(file.read_text() + "\n{# changed #}")
    after = system(folder, chat=True, template="{source}").signature
    assert str(before) != str(after)
    assert "chat" not in dict(system(folder, template="{source}").signature.items)


def test_what_cannot_chat_is_refused_before_a_run(models):
    with pytest.raises(UserError, match="no chat template"):
        _ = system(models / "plain", chat=True).signature
    with pytest.raises(UserError, match="System role not supported"):
        _ = system(models / "gemma", chat=True, system="Be brief.").signature
    with pytest.raises(UserError, match="chat = true"):
        system(models / "chatml", system="Be brief.")
    with pytest.raises(UserError, match="neither true nor false"):
        system(models / "chatml", chat="yes")


@pytest.mark.parametrize("family", ["zeroshot", "finetuned"])
def test_a_template_that_names_a_special_token_is_refused(models, family):
    text = "<|im_start|>user\n{source}<|im_end|>\n<|im_start|>assistant\n"
    with pytest.raises(UserError, match="chat = true"):
        _ = system(models / "chatml", family, template=text).signature
    _ = system(models / "plain", family, template=text).signature  # no special tokens of this one


def test_a_chat_task_of_a_table_answers_as_the_chat_does(models, tmp_path):
    folder = models / "chatml"
    template = Template("t", "Paraphrase: {text}{out}", 0, (), None, "out", True, chat=True)
    base = BaseIdentity.of(locate(str(folder)))
    prompts = {"t": torch.zeros(0, base.width)}
    save_table(tmp_path / "table", TaskTable(base, (template,), prompts))
    options = {"model": str(folder), "table": str(tmp_path / "table"), "task": "t"}
    setting = BuildContext(decoding=DECODING, options=options)
    built = registry.plugin_builder("system", "softprompt")("", setting)
    assert "chat" in dict(built.signature.items)
    expected = system(folder, chat=True, template="Paraphrase: {source}")
    assert answers(built) == answers(expected)


def test_old_generation_files_do_not_hide_the_turns_end(models, tmp_path):
    folder = shutil.copytree(models / "gemma", tmp_path / "model")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": 2}))
    built = system(folder, chat=True, template="{source}")
    setting = BuildContext(decoding=DECODING, options={"model": str(folder)})
    model, tokenizer = built.setting.models.get(*_loading(built, setting))
    end = tokenizer.convert_tokens_to_ids("<end_of_turn>")
    assert end in built.end_of_text(model, tokenizer).ids


@pytest.mark.parametrize(
    ("text", "answer", "reason"),
    [
        ("<think>\nIt rained, so.\n</think>\n\nRain fell.", "Rain fell.", ""),
        ("so.</think> Rain fell.", "Rain fell.", ""),
        ("<think>It rained, and", "", "thoughts without an answer"),
        ("Rain fell.", "Rain fell.", ""),
        ("", "", ""),
    ],
)
def test_thoughts_are_no_answer(models, text, answer, reason):
    read = system(models / "chatml", chat=True)._read(3, text, True)
    assert (read.position, read.text, read.reason) == (3, answer, reason)
    plain = system(models / "chatml")._read(3, text, True)
    assert plain.text == text  # of a template that is no chat, all is text


def test_a_prompt_that_was_trained_in_a_chat_answers_in_it(models, tmp_path, caplog):
    folder = models / "chatml"
    template = paraphrase_template(4, "Say: {source}", chat=True)
    config = presets.make_config(parse_kind("softprompt-4"), steps=2, batch_size=2)
    pairs = list(pairwise(tiny.SENTENCES))
    request = TrainingRequest(
        parse_kind("softprompt-4"),
        locate(str(folder)),
        TrainingData(pairs, pairs[:2], {"data": "tiny"}),
        config,
        Runtime(),
        tmp_path / "softprompt-4",
        template=template,
    )
    run_training(request)
    options = {"model": str(folder), "adapters": str(tmp_path)}
    setting = BuildContext(decoding=DECODING, options=options)
    built = registry.plugin_builder("system", "softprompt")("4", setting)
    assert dict(built.signature.items)["stop"] == "eos+turn"
    assert "chat" in dict(built.signature.items)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    (row,) = built.rows(
        AutoModelForCausalLM.from_pretrained(folder), tokenizer, ["Rain."], built.adapter
    )
    messages = [{"role": "user", "content": "Say: Rain."}]
    framed = tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    assert list(row.ids) == [-1, -2, -3, -4, *framed]
    assert len(answers(built, ["Rain."])) == 1
    named = paraphrase_template(4, "<|im_start|>{source}")
    load_request(replace(request, template=named))
    assert "set chat = true" in caplog.text
