"""The 2022 protocol against its recipe written out again, and what such a protocol rewards."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from parabench.scorers import paraphraseopt
from rouge_score.rouge_scorer import RougeScorer
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from parabench.contracts import BuildContext, Example
from tests.support import tiny
from tests.support.worlds import EXAMPLES, TEXTS, check_contract, score, sentences


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.bart(tmp_path_factory.mktemp("legacy") / "bart")


@pytest.fixture(scope="module")
def scorer(folder):
    return paraphraseopt.build("", BuildContext(options={"model": str(folder)}))


def grams(words, order):
    return [tuple(words[start : start + order]) for start in range(len(words) - order + 1)]


def shared(one, other):
    """How many items two lists share, each as often as it stands in both."""
    rest, found = list(other), 0
    for item in one:
        if item in rest:
            rest.remove(item)
            found += 1
    return found


def plain_bleu(text, source):
    """Papineni et al. 2002 on words between spaces, one text against one reference, no smoothing, 0
    to 1.
    """
    words, kept = text.split(), source.split()
    precisions = []
    for order in (1, 2, 3, 4):
        made = grams(words, order)
        precisions.append(shared(made, grams(kept, order)) / len(made) if made else 0.0)
    if min(precisions) == 0:
        return 0.0
    penalty = 1.0 if len(words) > len(kept) else math.exp(1 - len(kept) / len(words))
    return penalty * np.prod(precisions) ** 0.25


def common(one, other):
    """Places in ``one`` of a longest common subsequence; of several, the one that holds on to the
    end of ``other``.
    """
    table = np.zeros((len(one) + 1, len(other) + 1), int)
    for i, a in enumerate(one, 1):
        for j, b in enumerate(other, 1):
            table[i, j] = (
                table[i - 1, j - 1] + 1 if a == b else max(table[i - 1, j], table[i, j - 1])
            )
    i, j, places = len(one), len(other), []
    while i and j:
        if one[i - 1] == other[j - 1]:
            i, j, places = i - 1, j - 1, [i - 1, *places]
        elif table[i, j - 1] > table[i - 1, j]:
            j -= 1
        else:
            i -= 1
    return places


def parts(hits, made, kept):
    precision, recall = (hits / made, hits / kept) if made and kept else (0.0, 0.0)
    return [2 * precision * recall / (precision + recall) if hits else 0.0, precision, recall]


def plain_rouge(text, source):
    """Lin 2004, as the F, precision and recall of orders 1 and 2, L, and L by sentence; letters and
    digits alone.
    """

    def words(of):
        return re.findall("[a-z0-9]+", of.lower())

    made, kept = words(text), words(source)
    found = []
    for order in (1, 2):
        first, second = grams(made, order), grams(kept, order)
        found += parts(shared(first, second), len(first), len(second))
    found += parts(len(common(kept, made)), len(made), len(kept))
    by_sentence = [words(one) for one in re.split(r"(?<=[.!?])\s+", text)]
    pool, union = list(made), 0
    for sentence in (words(one) for one in re.split(r"(?<=[.!?])\s+", source)):
        places = sorted({place for other in by_sentence for place in common(sentence, other)})
        union += sum(
            1 for place in places if sentence[place] in pool and not pool.remove(sentence[place])
        )
    return found + parts(union, len(made), len(kept))


def plain_bartscore(folder, text, source):
    """neulab/BARTScore's arithmetic, called with the output as its source, and the source as its
    target.
    """
    model, tokenizer = (
        AutoModelForSeq2SeqLM.from_pretrained(folder).eval(),
        AutoTokenizer.from_pretrained(folder),
    )
    with torch.inference_mode():
        labels = tokenizer(source, return_tensors="pt").input_ids
        logits = model(**tokenizer(text, return_tensors="pt"), labels=labels).logits[0]
    return (
        -torch.nn.functional.nll_loss(logits.log_softmax(1), labels[0], reduction="sum").item()
        / labels.shape[1]
    )


def plain(text, source):
    return [plain_bleu(text, source), *plain_rouge(text, source)]


def of_row(scorer, text, source):
    return scorer.combine(scorer.measure([Example("x", source, ())], [text]))


def test_equals_the_recipe_written_out(scorer, folder):
    rows = [
        [plain_bartscore(folder, t, e.source), *plain(t, e.source)]
        for e, t in zip(EXAMPLES, TEXTS, strict=True)
    ]
    got = scorer.combine(scorer.measure(EXAMPLES, TEXTS))
    np.testing.assert_allclose(got[1:], np.mean(rows, axis=0)[1:], rtol=0, atol=1e-12)
    assert got[0] == pytest.approx(np.mean(rows, axis=0)[0], abs=1e-6)


@settings(max_examples=40)
@given(sentences, sentences)
def test_overlap_equals_the_recipe_on_any_pair(text, source):
    found = [
        paraphraseopt.bleu(text, source),
        *paraphraseopt._rouge(RougeScorer(paraphraseopt.LEGACY_ROUGE_KINDS), text, source),
    ]
    np.testing.assert_allclose(found, plain(text, source), rtol=0, atol=1e-12)


def test_known_to_the_original(scorer):
    """From its notebooks: a two-word title scores 0 BLEU against itself, and so does a changed
    apostrophe.
    """
    assert of_row(scorer, "Road transport.", "Road transport.")[1] == 0
    assert of_row(scorer, "he doesn 't know", "he doesn't know")[1] == 0


def test_torchmetrics_own_example(scorer):
    """Its documentation, ``rouge_score("My name is John", "Is your name John")``: .75, 0, .5,
    .5.
    """
    got = of_row(scorer, "My name is John", "Is your name John")
    assert got[2:].tolist() == pytest.approx([0.75] * 3 + [0.0] * 3 + [0.5] * 6)


def test_a_copy_is_perfect_and_nothing_ranks(scorer):
    copies = score(scorer, EXAMPLES[:3], [example.source for example in EXAMPLES[:3]])
    assert [value for name, value in copies.items() if name != "legacy-bartscore"] == pytest.approx(
        [1.0] * 13
    )
    better = score(scorer, EXAMPLES[:3], [example.references[0] for example in EXAMPLES[:3]])
    assert all(
        copies[name] > better[name] for name in copies if name != "legacy-bartscore"
    )  # a BART at random
    assert {(column.better, column.against) for column in scorer.columns} == {("none", "source")}
    assert all(column.name.startswith("legacy-") for column in scorer.columns)


def test_contract(scorer):
    check_contract(scorer)
    assert len(scorer.columns) == 14
    scorer.release()
