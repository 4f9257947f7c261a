"""Metrics of the evaluate library in their several forms, by stand-ins: what they read and give."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from parabench.scorers import evaluate

from parabench.contracts import BuildContext, Example, UserError

EXAMPLES = [Example("a", "the source", ("one two", "one two three"))]


class Value:
    """As datasets.Value: one text."""


def library(monkeypatch, compute, **features):
    metric = SimpleNamespace(compute=compute, features=features or None)
    monkeypatch.setitem(sys.modules, "evaluate", SimpleNamespace(load=lambda name: metric))


def edits(predictions, references):
    """Word errors of one text against one reference, as wer: the words that it lacks."""
    assert isinstance(references[0], str)
    return {"wer": float(len(set(references[0].split()) - set(predictions[0].split())))}


def value(name, **options):
    scorer = evaluate.build(name, BuildContext(options=options))
    return float(scorer.combine(scorer.measure(EXAMPLES, ["one two"]))[0])


def test_a_metric_with_one_reference_takes_the_best_of_several(monkeypatch):
    library(monkeypatch, edits, predictions=Value(), references=Value())
    assert value("wer") == 0.0
    assert value("mine", better="up") == 1.0
    with pytest.raises(UserError, match="which way is better"):
        value("mine")


def test_directions_are_known_given_or_none():
    def way(name, **options):
        return evaluate.build(name, BuildContext(options=options)).columns[0].better

    # by the path of its script or folder, too
    assert [way(f"mine/wer{end}") for end in ("", "/", ".py")] == ["down"] * 3
    assert (way("wer"), way("meteor"), way("mine"), way("mine", better="down")) == (
        "down",
        "up",
        "none",
        "down",
    )
    with pytest.raises(UserError, match="no such choice"):
        way("mine", better="lower")


def test_sources_are_given_and_lists_of_one_are_numbers(monkeypatch):
    def compute(predictions, references, sources):
        assert sources == ["the source"]
        return {"f1": [0.5]}

    library(monkeypatch, compute, predictions=Value(), references=[Value()], sources=Value())
    assert value("comet") == 0.5


def test_a_metric_of_other_inputs_is_refused_in_its_words(monkeypatch):
    def compute(predictions, references):
        raise ValueError("model_id is missing")

    library(monkeypatch, compute)
    with pytest.raises(UserError, match="model_id is missing"):
        value("perplexity")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (SyntaxError("'(' was never closed"), "SyntaxError: '(' was never closed"),
        (KeyError("mine"), "KeyError: 'mine'"),
        (TimeoutError(), "TimeoutError: no reason given"),
    ],
)
def test_a_metric_that_fails_to_load_is_refused(monkeypatch, error, says):
    """Foreign code ends in any error, also in one without a message."""

    def load(name):
        raise error

    monkeypatch.setitem(sys.modules, "evaluate", SimpleNamespace(load=load))
    with pytest.raises(UserError, match="load the metric 'broken'") as caught:
        value("broken")
    assert says in str(caught.value)
