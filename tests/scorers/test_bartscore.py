"""BARTScore against the original's arithmetic, written out one pair at a time on a tiny random
BART.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from parabench.scorers import bartscore
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from parabench.contracts import BuildContext, Example, UserError
from parabench.inference import likelihood
from tests.support import tiny
from tests.support.worlds import EXAMPLES, TEXTS, check_contract, score


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.bart(tmp_path_factory.mktemp("likelihood") / "bart")


@pytest.fixture(scope="module")
def plain(folder):
    """neulab/BARTScore, bart_score.py: NLLLoss over ``labels`` that the model shifts itself, over
    the target length.
    """
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)

    @torch.inference_mode()
    def one(source: str, target: str) -> float:
        labels = tokenizer(target, return_tensors="pt").input_ids
        logits = model(**tokenizer(source, return_tensors="pt"), labels=labels).logits[0]
        return -torch.nn.functional.nll_loss(
            logits.log_softmax(1), labels[0], reduction="sum"
        ).item() / len(labels[0])

    return one


def build(folder, **options):
    return bartscore.build("", BuildContext(options={"model": str(folder), **options}))


@pytest.mark.parametrize(("rule", "over"), [("mean", np.mean), ("max", np.max)])
def test_equals_one_pair_at_a_time(folder, plain, rule, over):
    rows = []
    for example, text in zip(EXAMPLES, TEXTS, strict=True):
        precision = [plain(reference, text) for reference in example.references]
        recall = [plain(text, reference) for reference in example.references]
        both = [(p + r) / 2 for p, r in zip(precision, recall, strict=True)]
        rows.append([plain(example.source, text), over(precision), over(recall), over(both)])
    got = score(build(folder, references=rule))
    assert list(got) == ["bartscore-s2h", "bartscore-r2h", "bartscore-h2r", "bartscore-f"]
    assert list(got.values()) == pytest.approx(np.mean(rows, axis=0), abs=1e-4)


def test_directions_are_not_interchangeable(folder):
    got = score(build(folder), [Example("a", TEXTS[0], (TEXTS[1],))], [TEXTS[2]])
    turned = score(build(folder), [Example("a", TEXTS[0], (TEXTS[2],))], [TEXTS[1]])
    assert got["bartscore-r2h"] == pytest.approx(turned["bartscore-h2r"])
    assert got["bartscore-r2h"] != pytest.approx(got["bartscore-h2r"])
    assert got["bartscore-s2h"] != pytest.approx(turned["bartscore-s2h"])


def test_each_distinct_pair_is_computed_once(folder, monkeypatch):
    seen = []
    original = likelihood.seq2seq_log_likelihood
    monkeypatch.setattr(
        likelihood, "seq2seq_log_likelihood", lambda m, p, r: seen.extend(p) or original(m, p, r)
    )
    build(folder).measure([Example("a", "one", ("two", "two", "one"))] * 3, ["one"] * 3)
    assert len(seen) == len(set(seen)) == 3


def test_an_empty_text_is_its_special_tokens(folder, plain):
    example = Example("a", EXAMPLES[0].source, EXAMPLES[0].references[:1])
    got = score(build(folder), [example], [""])
    assert got["bartscore-s2h"] == pytest.approx(plain(example.source, ""), abs=1e-4)


def test_order_of_references_changes_nothing(folder):
    backwards = [Example(e.id, e.source, e.references[::-1]) for e in EXAMPLES]
    np.testing.assert_allclose(
        build(folder).measure(EXAMPLES, TEXTS), build(folder).measure(backwards, TEXTS), atol=1e-6
    )


def test_without_references_the_source_alone_is_read(folder, plain):
    scorer = build(folder)
    alone = scorer.measure([Example("a", TEXTS[0], ())], [TEXTS[1]])
    assert scorer.combine(alone) == pytest.approx(
        [plain(TEXTS[0], TEXTS[1]), *[np.nan] * 3], abs=1e-4, nan_ok=True
    )


def test_contract(folder):
    scorer = build(folder)
    check_contract(scorer)
    scorer.release()
    assert [column.against for column in scorer.columns] == [
        "source",
        "reference",
        "reference",
        "reference",
    ]
    assert "refs:mean" in str(scorer.signature)


def test_a_missing_model_is_told_by_the_signature(tmp_path):
    scorer = build(tmp_path / "nowhere")
    with pytest.raises(UserError):
        _ = scorer.signature
    with pytest.raises(UserError):
        build(tmp_path, references="median")
