"""ROUGE-1, 2, L and Lsum: precision, recall and F against the best reference, by rouge-score."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import version
from itertools import chain
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float
from rapidfuzz.distance import LCSseq
from rouge_score.scoring import Score, fmeasure
from rouge_score.tokenize import tokenize

from parabench.contracts import BuildContext, Column, Example, Scorer, Signature

from . import scorer_options, segment
from .aggregation import additive, mean_of_defined, need_references, values_and_counts
from .parallel import CACHED_TEXTS, EXAMPLES_PER_CALL, Count, count_all
from .summary_rouge import summary_hits

ROUGE_KINDS = ("rouge1", "rouge2", "rougeL", "rougeLsum")
ROUGE_PARTS = (
    ("", "fmeasure", "F"),
    ("-p", "precision", "precision"),
    ("-r", "recall", "recall"),
)
"""Of each part: the end of its column's name, rouge-score's name for it, and a reader's."""


@dataclass(frozen=True)
class Rouge:
    """Mean ROUGE in percent, precision, recall and F against the best reference.

    Of several references, the one of the best F counts, for each kind by itself. rouge-score's own
    tokenizer keeps the letters a-z and digits alone. A reference that loses most of its letters by
    that is not read, and an example without another one is undefined, never a number.
    ``tokenizer="unicode"`` keeps letters and digits of every script, ideographs one by one. Lin
    2004; google-research/google-research, rouge.
    """

    stemmer: bool = False
    tokenizer: str = "a-z"

    block: ClassVar[int] = EXAMPLES_PER_CALL

    @property
    def columns(self) -> tuple[Column, ...]:
        return tuple(
            Column(
                kind + suffix, "up", "reference", 1, f"{kind}, {word}, against the best reference"
            )
            for suffix, _, word in ROUGE_PARTS
            for kind in ROUGE_KINDS
        )

    @property
    def signature(self) -> Signature:
        settings = {
            "stemmer": "yes" if self.stemmer else "no",
            "sentences": segment.RULE,
            "refs": "best-f",
            "version": version("rouge-score"),
        }
        # Named only where it is another, so that signatures of earlier runs stay what they were.
        own = {} if self.tokenizer == "a-z" else {"tok": self.tokenizer}
        return Signature("rouge", tuple((settings | own).items()))

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N 24"]:
        need_references("rouge", examples)
        begin = partial(_counter, self.stemmer, self.tokenizer)
        return values_and_counts(count_all(begin, examples, texts))

    @additive
    def combine(
        self, statistics: Float[np.ndarray, "*draws N 24"]
    ) -> Float[np.ndarray, "*draws 12"]:
        return mean_of_defined(statistics)

    def why(self, example: Example, text: str) -> str:
        """Why an example has no value."""
        if any(is_readable(one, self.tokenizer) for one in example.references):
            return ""
        return "no reference keeps half of its letters and digits: ROUGE reads a-z and 0-9"


def is_readable(reference: str, tokenizer: str) -> bool:
    """Return whether a tokenizer keeps half of a ``reference``'s letters and digits, and one.

    ``tokenizer``: ``a-z`` or ``unicode``, which keeps all.
    """
    # composed: a decomposed "é" is a letter of a-z and an accent, and would count as kept
    composed = unicodedata.normalize("NFC", reference)
    letters = [c for c in composed if c.isalnum()]
    if tokenizer != "a-z":
        return bool(letters)
    kept = sum(c.isascii() for c in letters)
    return 0 < len(letters) <= 2 * kept


_UNICODE_TOKEN = re.compile(
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
    "|[^\\W_\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+"
)
"""One ideograph or kana, or a run of other letters and digits."""


def unicode_words(text: str, stemmer: Any = None) -> list[str]:
    """Return case-folded words of every script, and ideographs one by one: they have no spaces.

    ``stemmer``: nltk's, for words of more than three letters, as in rouge-score; None for none.
    """
    # Full-width letters and ligatures are the letters that they stand for.
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = _UNICODE_TOKEN.findall(folded)
    if stemmer is None:
        return words
    return [stemmer.stem(word) if len(word) > 3 else word for word in words]


def _counter(stemmer: bool, tokenizer: str) -> Count:
    """Percentages of every part of every kind, equal to rouge-score's.

    It has no public names for the scores of cut-up texts.
    """
    cut = tokenize if tokenizer == "a-z" else unicode_words
    tokenise = partial(cut, stemmer=_porter_stemmer() if stemmer else None)

    # The same references come back for every system, and a text for every turn.
    @lru_cache(CACHED_TEXTS)
    def lines(text: str) -> list[list[str]]:
        return [tokenise(sentence) for sentence in segment.split_sentences(text)]

    @lru_cache(CACHED_TEXTS)
    def scores(text: str, reference: str) -> list[Score]:
        theirs = lines(reference)
        own = lines(text)
        flat = list(chain.from_iterable(theirs))
        flat_own = list(chain.from_iterable(own))
        found = []
        # Matches are clipped: an n-gram counts as often as the side that has it less often.
        for order in (1, 2):
            their_grams = Counter(segment.ngrams(flat, order))
            own_grams = Counter(segment.ngrams(flat_own, order))
            common = (their_grams & own_grams).total()
            found.append(_score(common, their_grams.total(), own_grams.total()))
        longest = _longest_common(flat, flat_own)
        summary = longest
        if len(theirs) > 1 or len(own) > 1:
            # of one sentence each, the summary's level is that of the sentence
            summary = _score(summary_hits(theirs, own), len(flat), len(flat_own))
        return [*found, longest, summary]

    def count(text: str, references: Sequence[str]) -> list[float]:
        readable = [reference for reference in references if is_readable(reference, tokenizer)]
        if not readable:
            return [np.nan] * (len(ROUGE_KINDS) * len(ROUGE_PARTS))
        of_references = [scores(text, reference) for reference in readable]
        best = []
        for of_one_kind in zip(*of_references, strict=True):
            best.append(max(of_one_kind, key=lambda score: score.fmeasure))
        percentages = list[float]()
        for _, part, _ in ROUGE_PARTS:
            percentages += [100 * getattr(score, part) for score in best]
        return percentages

    return count


def _longest_common(reference: Sequence[str], text: Sequence[str]) -> Score:
    """ROUGE-L, as rouge-score has it but for the table that it fills in Python."""
    return _score(LCSseq.similarity(reference, text), len(reference), len(text))


def _score(common: int, wanted: int, given: int) -> Score:
    """Precision, recall and F of what is ``common`` to a reference and a text."""
    precision = common / max(1, given)
    recall = common / max(1, wanted)
    return Score(precision, recall, fmeasure(precision, recall))


def _porter_stemmer() -> Any:
    # nltk takes more than a second to import
    from nltk.stem.porter import PorterStemmer

    return PorterStemmer()


def build(variant: str, setting: BuildContext) -> Scorer:
    """Build ``rouge``; options: ``stemmer`` (Porter's, as ``ROUGE-1.5.5.pl -m``), ``tokenizer``.

    Raises UserError where an option is unknown or has another value.
    """
    scorer_options.no_variant("rouge", variant)
    given = scorer_options.checked_options("rouge", setting, stemmer=bool, tokenizer=str)
    chosen = given.get("tokenizer", "a-z")
    scorer_options.choose("rouge", "tokenizer", chosen, ("a-z", "unicode"))
    return Rouge(**given)
