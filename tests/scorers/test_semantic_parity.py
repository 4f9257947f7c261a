"""Semantic parity by plain formulas over bert-score's similarities and transformers' own loss."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from parabench.scorers import bertscore, fluency, semantic_parity
from transformers import AutoModelForCausalLM, AutoTokenizer

from parabench.contracts import (
    BuildContext,
    Example,
    UserError,
    model_names,
    shared_encodings,
    undefined_reason,
)
from parabench.inference import likelihood
from parabench.stats.leave_one_out import measure_leave_one_out
from tests.support import encoders, tiny
from tests.support.worlds import REWORDED as EXAMPLES
from tests.support.worlds import check_contract, score

TEXTS = (
    "The aged man made his way to the harbour.",
    "Prices fell once more last week, according to the bank.",
)
PEOPLE = [list(one.references) for one in EXAMPLES]


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, str | int]:
    folder = tmp_path_factory.mktemp("models")
    encoder = encoders.roberta(folder / "roberta")
    return {"model": str(encoder), "layers": 2, "causal": str(tiny.opt(folder / "opt"))}


@pytest.fixture(scope="module")
def scorer(folders):
    setting = BuildContext(
        options=folders,
        sources=[one.source for one in EXAMPLES],
        human_answers=[one.references for one in EXAMPLES],
    )
    return semantic_parity.build("", setting)


def in_turns(scorer, several) -> np.ndarray:
    return scorer.combine(measure_leave_one_out(scorer, EXAMPLES, several))


# ---- the plain formula


@pytest.fixture(scope="module")
def similarity(folders):
    """BERTScore F of (text, other), which test_bertscore.py holds against bert-score."""
    options = {name: folders[name] for name in ("model", "layers")}
    made = bertscore.build("", BuildContext(options=options))
    return lambda text, other: score(made, [Example("a", "", (other,))], [text])["bertscore"]


@pytest.fixture(scope="module")
def nats(folders):
    """transformers' cross-entropy of a text and its end, summed."""
    model = AutoModelForCausalLM.from_pretrained(folders["causal"]).eval()
    tokenizer = AutoTokenizer.from_pretrained(folders["causal"])

    @torch.inference_mode()
    def surprise(text: str) -> float:
        ids = torch.tensor([[*tokenizer(text).input_ids, tokenizer.eos_token_id]])
        return model(input_ids=ids, labels=ids).loss.item() * (ids.shape[1] - 1)

    return surprise


def plain_change(text: str, source: str) -> float:
    """1 - shared n-grams over those of the shorter text, mean over orders 1 to 4."""
    one, other = ("".join(c for c in t.lower() if c not in ".,").split() for t in (text, source))
    shares = []
    for order in range(1, 5):
        own = Counter(" ".join(one[at : at + order]) for at in range(len(one) - order + 1))
        old = Counter(" ".join(other[at : at + order]) for at in range(len(other) - order + 1))
        shares.append(sum((own & old).values()) / min(sum(own.values()), sum(old.values())))
    return 1 - sum(shares) / 4


def turns(texts=None):
    """(text, source, references) of every turn; without texts of the reference left out."""
    for place, one in enumerate(EXAMPLES):
        for turn, answer in enumerate(one.references):
            others = one.references[:turn] + one.references[turn + 1 :]
            yield (texts[place] if texts else answer), one.source, others


def test_it_is_the_product_over_peoples_mean(scorer, similarity, nats):
    def parts(cases):
        found = []
        for text, source, others in cases:
            by_people = np.mean([nats(one) for one in (source, *others)])
            meaning = max(similarity(text, one) for one in others)
            found.append((meaning, by_people / nats(text), plain_change(text, source)))
        return np.array(found).T

    people = parts(turns())
    top, enough = np.quantile(people[0], 0.9), np.quantile(people[2], 0.1)

    def products(meaning, expected, change):
        squared = (np.minimum(1, meaning / top) * np.minimum(1, expected)) ** 2
        return squared * np.minimum(1, change / enough)

    own = products(*parts(turns(TEXTS)))
    # "fell" stands where the source has "rose": half of each turn of the second example
    own[3:] /= 2
    expected = 100 * own.mean() / products(*people).mean()
    values = in_turns(scorer, [[text] for text in TEXTS])
    assert values[0] == pytest.approx(expected, rel=1e-4)
    assert values[4] == 50


def test_people_have_100_and_half_of_them_half(scorer):
    assert in_turns(scorer, PEOPLE)[0] == pytest.approx(100)
    one = measure_leave_one_out(scorer, EXAMPLES, PEOPLE)
    none = measure_leave_one_out(scorer, EXAMPLES, [[example.source] for example in EXAMPLES])
    both = scorer.combine(np.vstack([one, none]))[0]
    assert both == pytest.approx(50)


@pytest.mark.parametrize(
    "rule",
    [
        lambda source: source,
        str.upper,
        lambda source: "",
        lambda source: " ".join(source.split()[:5]),
        lambda source: f"{source} {source}",
        lambda source: f"It is said that {source}",
    ],
)
def test_neither_deleting_nor_adding_is_rewording(scorer, rule):
    assert in_turns(scorer, [[rule(one.source)] for one in EXAMPLES])[0] == 0


def test_source_overlap_by_hand():
    overlap = semantic_parity.source_overlap
    assert overlap("a b c d", "A, B, C, D!") == 1
    assert overlap("b c", "a b c d") == 1
    assert overlap("w x y z", "a b c d") == 0
    # words 2 of 4, pairs 1 of 3, none longer
    assert overlap("a b y z", "a b c d") == pytest.approx((2 / 4 + 1 / 3) / 4)
    assert overlap("", "a b c d") == 0


def test_without_human_answers_there_is_no_value(folders):
    alone = semantic_parity.build("", BuildContext(options=folders))
    one = replace(EXAMPLES[0], references=EXAMPLES[0].references[:1])
    assert np.isnan(list(score(alone, [one], TEXTS[:1]).values())).all()
    assert "human" in undefined_reason(alone, one, TEXTS[0])
    assert dict(alone.signature.items)["scale"] == "none"


def test_where_people_copy_a_copy_is_no_fault(folders):
    source = "The old man walked slowly to the harbour."
    copied = Example("a", source, (source, source, "The aged man went to the port."))
    setting = BuildContext(options=folders, sources=[source], human_answers=[copied.references])
    made = semantic_parity.build("", setting)
    rows = measure_leave_one_out(made, [copied], [["The old man walked to the harbour."]])
    assert made.combine(rows)[3] == 1


def test_it_shares_the_language_model_with_fluency(scorer, folders, monkeypatch):
    """Whichever of the two is asked first: what systems wrote is scored once, to the same bits."""
    options = {"model": folders["causal"]}
    models = scorer.language_model.models
    beside = fluency.build("", BuildContext(options=options, models=models))
    assert shared_encodings(beside) == shared_encodings(scorer)
    alone = fluency.build("", BuildContext(options=options))
    expected = alone.measure(EXAMPLES, TEXTS)
    measured = scorer.measure(EXAMPLES, TEXTS)
    with monkeypatch.context() as patch:
        patch.setattr(likelihood, "causal_log_likelihood", None)
        np.testing.assert_array_equal(beside.measure(EXAMPLES, TEXTS), expected)
        np.testing.assert_array_equal(scorer.measure(EXAMPLES, TEXTS), measured)


def test_what_people_wrote_is_scored_once(folders, monkeypatch):
    """Sources and references stand in every block of a run, and in the scale besides."""
    setting = BuildContext(
        options=folders,
        sources=[one.source for one in EXAMPLES],
        human_answers=[one.references for one in EXAMPLES],
    )
    made = semantic_parity.build("", setting)
    asked = []
    original = likelihood.causal_log_likelihood

    def counted(model, prompts, targets, runtime):
        asked.append(len(targets))
        return original(model, prompts, targets, runtime)

    monkeypatch.setattr(likelihood, "causal_log_likelihood", counted)
    made.measure(EXAMPLES, TEXTS)
    made.measure(EXAMPLES[:1], ["A man walked."])
    other = replace(EXAMPLES[0], source="An old man was walking to the harbour.")
    made.measure([other], ["A man walked."])
    # two sources and six answers; two texts; one; the source that is not of the scale
    assert asked == [8, 2, 1, 1]


def test_both_models_are_named(scorer, folders):
    assert model_names(scorer) == [folders["model"], folders["causal"]]
    with pytest.raises(UserError, match="no layer was chosen"):
        semantic_parity.build("", BuildContext(options={"model": "m"}))
    with pytest.raises(UserError, match="no such option"):
        semantic_parity.build("", BuildContext(options={"baseline": "m"}))


def test_its_contract(scorer):
    check_contract(scorer)
    assert semantic_parity.build("", BuildContext()).combine(np.ones((3, 10))).shape == (5,)
