"""Sentence embeddings against plain transformers and the formulas of sentence-transformers.

Its own package is not installed here. The formulas are those of its ``Pooling`` module, as every
model card prints them for use without the package: one text at a time, or a padded batch.
"""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from parabench.scorers import embedding, sentence_vectors
from transformers import AutoModel, AutoTokenizer

from parabench.contracts import BuildContext, Example, UserError, model_names
from tests.support import encoders
from tests.support.worlds import EXAMPLES, TEXTS, check_contract, score

FLAGS = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len": "pooling_mode_mean_sqrt_len_tokens",
}
STEPS = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    """A tiny encoder that no sentence-transformers wrote."""
    return encoders.roberta(tmp_path_factory.mktemp("embedding") / "roberta")


def with_pooling(plain: Path, folder: Path, *ways: str, steps=STEPS, **text_rule) -> Path:
    """The same encoder with the files that sentence-transformers writes beside it."""
    shutil.copytree(plain, folder)
    modules = [
        {
            "idx": place,
            "name": str(place),
            "path": path,
            "type": f"sentence_transformers.models.{kind}",
        }
        for place, (path, kind) in enumerate(steps.items())
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    flags = {key: way in ways for way, key in FLAGS.items()}
    config = {"word_embedding_dimension": 32, **flags}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(config))
    if text_rule:
        (folder / "sentence_bert_config.json").write_text(json.dumps(text_rule))
    return folder


@cache
def loaded(folder: Path):
    return AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()


def outside(folder: Path, text: str, ways, limit: int = 38, lower: bool = False):
    """One text, unpadded, by the formulas of sentence-transformers' ``Pooling.forward``."""
    tokenizer, model = loaded(folder)
    text = text.strip().lower() if lower else text.strip()
    row = tokenizer(text, truncation=True, max_length=limit, return_tensors="pt")
    with torch.inference_mode():
        tokens = model(**row).last_hidden_state[0]
    vectors = {
        "cls": tokens[0],
        "max": tokens.max(dim=0).values,
        "mean": tokens.sum(dim=0) / len(tokens),
        "mean_sqrt_len": tokens.sum(dim=0) / len(tokens) ** 0.5,
    }
    return torch.cat([vectors[way] for way in FLAGS if way in ways])


def expected(folder: Path, ways, examples=EXAMPLES, texts=TEXTS, **rule) -> list[float]:
    def cosine(one, other):
        a, b = outside(folder, one, ways, **rule), outside(folder, other, ways, **rule)
        return torch.nn.functional.cosine_similarity(a, b, dim=0).item()

    pairs = list(zip(examples, texts, strict=True))
    best = [max(cosine(text, one) for one in example.references) for example, text in pairs]
    source = [cosine(text, example.source) for example, text in pairs]
    return [float(np.mean(best)), float(np.mean(source))]


def build(folder, **options):
    return embedding.build("", BuildContext(options={"model": str(folder), **options}))


@pytest.mark.parametrize(
    "ways", [("mean",), ("cls",), ("max",), ("mean_sqrt_len",), ("cls", "max"), ("mean", "cls")]
)
def test_every_pooling_equals_the_published_formula(plain, tmp_path, ways):
    folder = with_pooling(plain, tmp_path / "model", *ways)
    scorer = build(folder)
    assert list(score(scorer).values()) == pytest.approx(expected(plain, ways), abs=2e-6)
    in_order = "+".join(way for way in FLAGS if way in ways)
    assert dict(scorer.signature.items)["pooling"] == in_order
    # the option says the same as the files
    asked = build(plain, pooling=in_order)
    assert score(asked) == pytest.approx(score(scorer), abs=1e-9)


def test_a_folder_that_says_nothing_is_pooled_by_the_mean(plain):
    assert list(score(build(plain)).values()) == pytest.approx(expected(plain, ["mean"]), abs=2e-6)


def test_texts_are_cut_and_folded_as_the_files_say(plain, tmp_path):
    folder = with_pooling(plain, tmp_path / "m", "mean", max_seq_length=7, do_lower_case=True)
    got = list(score(build(folder)).values())
    assert got == pytest.approx(expected(plain, ["mean"], limit=7, lower=True), abs=2e-6)
    assert got != pytest.approx(list(score(build(plain)).values()), abs=1e-4)
    signature = dict(build(folder).signature.items)
    assert (signature["truncate"], signature["case"]) == ("7", "lc")
    longer = build(folder, max_tokens=9)
    assert dict(longer.signature.items)["truncate"] == "9"
    expected_longer = expected(plain, ["mean"], limit=9, lower=True)
    assert list(score(longer).values()) == pytest.approx(expected_longer, abs=2e-6)


def test_padding_changes_nothing(plain):
    scorer = build(plain, pooling="cls+max+mean+mean_sqrt_len")
    together = scorer.measure(EXAMPLES, TEXTS)
    pairs = zip(EXAMPLES, TEXTS, strict=True)
    alone = np.concatenate([scorer.measure([example], [text]) for example, text in pairs])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_columns_say_what_they_read(plain):
    scorer = build(plain)
    assert [column.against for column in scorer.columns] == ["reference", "source"]
    example = EXAMPLES[0]
    copy = score(scorer, [example], [example.source])
    assert copy["embedding-source"] == pytest.approx(1)
    assert copy["embedding"] < 0.9999
    same = score(scorer, [example], [example.references[-1]])
    assert same["embedding"] == pytest.approx(1)


def test_without_references_the_source_alone_is_read(plain):
    values = score(build(plain), [Example("a", TEXTS[0], ())], [TEXTS[1]])
    assert np.isnan(values["embedding"])
    assert np.isfinite(values["embedding-source"])


def test_each_distinct_text_is_encoded_once(plain, monkeypatch):
    read = []
    tokenise = sentence_vectors._tokenise
    monkeypatch.setattr(
        sentence_vectors, "_tokenise", lambda *given: read.extend(given[2]) or tokenise(*given)
    )
    build(plain).measure([Example("a", "one", ("two", "three", "one"))] * 3, ["one", "two", "four"])
    assert sorted(read) == ["four", "one", "three", "two"]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"steps": {**STEPS, "3_Dense": "Dense"}}, "a step Dense"),
        ({"flags": {"pooling_mode_lasttoken": True}}, "pooling by lasttoken"),
        ({"flags": {"pooling_mode_mean_tokens": False}}, "pooling by nothing"),
        ({"prompts": {"default_prompt_name": "query"}}, "a prompt before every text, 'query'"),
    ],
)
def test_a_step_that_is_not_known_is_refused(plain, tmp_path, change, found):
    folder = with_pooling(plain, tmp_path / "m", "mean", steps=change.get("steps", STEPS))
    config = folder / "1_Pooling" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | change.get("flags", {})))
    if "prompts" in change:
        prompts = folder / "config_sentence_transformers.json"
        prompts.write_text(json.dumps(change["prompts"]))
    with pytest.raises(UserError) as raised:
        _ = build(folder).signature
    assert found in raised.value.found
    # what the files ask for may be replaced, and is then said in the signature
    assert "pooling:max" in str(build(folder, pooling="max").signature)


def test_files_that_cannot_be_read_are_told(plain, tmp_path):
    folder = with_pooling(plain, tmp_path / "m", "mean")
    (folder / "modules.json").write_text("[{")
    with pytest.raises(UserError, match=r"modules\.json"):
        _ = build(folder).signature


@pytest.mark.parametrize("options", [{"pooling": "median"}, {"max_tokens": 0}, {"layers": 3}])
def test_options_that_there_are_none_of_are_refused(plain, options):
    with pytest.raises(UserError):
        build(plain, **options)


def test_contract(plain):
    scorer = build(plain)
    check_contract(scorer)
    assert model_names(scorer) == [str(plain)]
    assert str(plain.parent) not in str(scorer.signature)
    scorer.release()
