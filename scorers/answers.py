"""Labels and short answers: accuracy and macro F1, exact match and token F1.

For tasks whose answer is right or wrong, such as sentiment and question answering. Nothing here
reads the source.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from jaxtyping import Float

from parabench.contracts import BuildContext, Column, Example, Scorer, Signature, additive

from . import scorer_options
from .aggregation import need_references

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise_answer(text: str) -> str:
    """Return a text in lower case, without punctuation and articles, words joined by one space.

    SQuAD's official ``evaluate-v2.0.py``, ``normalize_answer``: punctuation is ASCII's.
    """
    bare = text.lower().translate(_PUNCTUATION)
    without_articles = _ARTICLES.sub(" ", bare)
    return " ".join(without_articles.split())


def token_f1(answer: str, reference: str) -> float:
    """Return F1 of the words that two texts share, 0 to 1.

    Of two empty texts 1, of one empty one 0. SQuAD's official ``evaluate-v2.0.py``, ``compute_f1``.
    """
    given = normalise_answer(answer).split()
    wanted = normalise_answer(reference).split()
    if not given or not wanted:
        return float(given == wanted)
    # a word counts as often as both have it
    shared = Counter(given) & Counter(wanted)
    return 2 * shared.total() / (len(given) + len(wanted))


@dataclass(frozen=True)
class Answers:
    """Exact match and token F1 as SQuAD counts them, the best over the references, 0 to 100.

    Statistics: exact match and F1, each 0 to 1, and one. Rajpurkar et al. 2018, "Know What You
    Don't Know".
    """

    columns: tuple[Column, ...] = (
        Column("exact_match", "up", "reference", 1, "answers equal to a reference, normalised"),
        Column("token_f1", "up", "reference", 1, "F1 of the words shared with the best reference"),
    )

    @property
    def signature(self) -> Signature:
        return Signature("answers", (("normalise", "squad"), ("references", "best")))

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N 3"]:
        """One row of exact match, F1 and one per example; UserError where one has no reference."""
        need_references("answers", examples)
        statistics = np.empty((len(examples), 3))
        for place, (example, text) in enumerate(zip(examples, texts, strict=True)):
            references = example.references
            wanted = [normalise_answer(reference) for reference in references]
            is_exact = normalise_answer(text) in wanted
            f1 = max(token_f1(text, reference) for reference in references)
            statistics[place] = is_exact, f1, 1
        return statistics

    @additive
    def combine(self, statistics: Float[np.ndarray, "*draws N 3"]) -> Float[np.ndarray, "*draws C"]:
        """The means in percent; NaN for no rows."""
        # rows are counted by their last number: a resampled sum has no rows left to count
        sums = statistics.sum(axis=-2)
        percent = 100 * sums[..., :2]
        count = sums[..., 2:]
        with np.errstate(invalid="ignore"):
            return percent / count


@dataclass(frozen=True)
class Labels:
    """Accuracy and macro F1 of labels, 0 to 100; case and spaces around a label do not count.

    Statistics: a number for the right label, one for the label given, and whether they are the
    same. Classes are the right labels that occur: what a model makes up is a miss of the right
    class, and no class of its own (``f1_score(average="macro", labels=sorted(set(right)))`` of
    scikit-learn).
    """

    columns: tuple[Column, ...] = (
        Column("accuracy", "up", "reference", 1, "labels that are the reference's"),
        Column("macro_f1", "up", "reference", 1, "mean F1 over the references' classes"),
    )

    @property
    def signature(self) -> Signature:
        return Signature("labels", (("case", "ignored"), ("classes", "references")))

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N 3"]:
        """One row of right label, given label and their equality per example.

        Of several references the one that was given counts, or the first. UserError where an
        example has none.
        """
        need_references("labels", examples)
        statistics = np.empty((len(examples), 3))
        for place, (example, text) in enumerate(zip(examples, texts, strict=True)):
            given = _label(text)
            accepted = [_label(reference) for reference in example.references]
            right = given if given in accepted else accepted[0]
            is_right = given == right
            statistics[place] = _number(right), _number(given), is_right
        return statistics

    def combine(self, statistics: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, " C"]:
        """Accuracy and macro F1 in percent; NaN for no rows."""
        if not len(statistics):
            return np.full(2, np.nan)
        right, given, correct = statistics.T
        classes, of_right = np.unique(right, return_inverse=True)
        hits = np.bincount(of_right, weights=correct)
        wanted = np.bincount(of_right)
        # a given label that is nobody's right one sorts in somewhere, but never equals its class
        place = np.searchsorted(classes, given)
        place = np.minimum(place, len(classes) - 1)
        is_class = classes[place] == given
        named = np.bincount(place[is_class], minlength=len(classes))
        # F1 is 2 hits over the labels that should and those that do name the class
        f1 = 2 * hits / (wanted + named)
        means = [correct.mean(), f1.mean()]
        return 100 * np.array(means)


def _label(text: str) -> str:
    return " ".join(text.casefold().split())


def _number(label: str) -> int:
    """A label as an integer that a float64 holds exactly: 52 bits of its hash.

    Rows are measured in blocks, so that labels cannot be numbered in the order they are met.
    """
    digest = sha256(label.encode("utf-8", "replace")).digest()
    # 7 bytes are 56 bits, 4 too many
    return int.from_bytes(digest[:7], "big") >> 4


def build_answers(variant: str, setting: BuildContext) -> Scorer:
    """Build ``answers``; it has no options, and raises UserError for any."""
    scorer_options.no_variant("answers", variant)
    scorer_options.checked_options("answers", setting)
    return Answers()


def build_labels(variant: str, setting: BuildContext) -> Scorer:
    """Build ``labels``; it has no options, and raises UserError for any."""
    scorer_options.no_variant("labels", variant)
    scorer_options.checked_options("labels", setting)
    return Labels()
