"""Side measures: what is wrong with the outputs before any question of quality."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from parabench.contracts import Against, BuildContext, Column, Example, Scorer, Signature

from . import scorer_options
from .aggregation import additive
from .edits import normalised_edits
from .segment import RULE, lower_tokens, ngrams, split_sentences

NEAR_EDITS, NEAR_WORDS = 0.1, 0.9
"""A near-copy differs in under a tenth of its characters, or shares nine tenths of its distinct
words.
"""

ECHO_WORDS = 3
"""A shorter source may stand inside an honest paraphrase."""

MORE_WORDS = 1.5
"""Cutting a sentence in two takes hardly more words than the source has; running on does."""

_INSTRUCTION = re.compile(
    r"""\W* (?: (?: paraphrased? | rewritten | rephrased ) """
    r"""(?: \s (?: version | sentence | text ) )? \s* :
            | (?: output | answer ) \s* :
            | (?: sure | certainly | of\ course ) [,!.:]
            | here\ (?: is | are ) \ (?: a | the | some | one | your ) \b [^.]* :
            | .* paraphrase\ the\ following )""",
    re.IGNORECASE | re.VERBOSE,
)

_SHARES: dict[str, tuple[Against, str]] = {
    "copies": ("source", "same as the source but for case, punctuation and spaces"),
    "near-copies": (
        "source",
        "copies, and texts within a tenth of the source's characters or words",
    ),
    "length-off": ("source", "fewer than half or more than twice the source's words"),
    "repetition": ("output", "holds some sequence of four words twice"),
    "empty": ("output", "no letter, digit or symbol"),
    "echo": ("source", "holds the source whole, and more than it"),
    "instruction": ("output", "speaks about the task: a label, an announcement, the prompt"),
    "run-on": ("source", "more sentences than the source, and over half as many words again"),
    "failures": ("source", "empty, echo, instruction or run-on"),
}


@dataclass(frozen=True)
class Diagnostics:
    """Shares of outputs in percent, and ``length``: words of all outputs over words of all sources.

    Statistics: see ``_row``. ``distinct1`` and ``distinct2`` are the mean share of distinct words
    and pairs within one output. Li et al. 2016 take them over all outputs of a system: a share that
    falls as outputs are added, and no function of examples' sums. None of these ranks: a system can
    be spotless and useless.
    """

    @property
    def columns(self) -> tuple[Column, ...]:
        shares = (
            Column(name, "none", against, 1, f"% of outputs: {what}")
            for name, (against, what) in _SHARES.items()
        )
        distinct = (
            Column(
                f"distinct{n}", "none", "output", 1, f"% of an output's {n}-grams that are distinct"
            )
            for n in (1, 2)
        )
        return (
            *shares,
            *distinct,
            Column("length", "none", "source", 2, "words of outputs over words of sources"),
        )

    @property
    def signature(self) -> Signature:
        items = (
            ("tok", "13a"),
            ("case", "lc"),
            ("near", f"ned<{NEAR_EDITS},jaccard>={NEAR_WORDS}"),
            ("sentences", RULE),
            ("run-on", f"words>{MORE_WORDS}"),
        )
        return Signature("side", items)

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N 14"]:
        rows = [_row(example.source, text) for example, text in zip(examples, texts, strict=True)]
        return np.array(rows, dtype=float)

    @additive
    def combine(
        self, statistics: Float[np.ndarray, "*draws N 14"]
    ) -> Float[np.ndarray, "*draws 12"]:
        sums = statistics.sum(axis=-2)
        shares = sums[..., :-3]
        after, before, count = np.moveaxis(sums[..., -3:], -1, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            percent = 100 * shares / count[..., None]
            length = np.where(before > 0, after / before, np.nan)
        return np.concatenate([percent, length[..., None]], axis=-1)


def _row(source: str, text: str) -> list[float]:
    """The shares in order, two kinds of distinctness, the lengths of text and source, and 1."""
    before = lower_tokens(source)
    after = lower_tokens(text)
    bare_source = _bare(source)
    bare = _bare(text)
    # two texts without any letter are equal, and yet no copy: `empty` counts them
    copied = bool(bare) and bare == bare_source
    near = (
        copied
        or normalised_edits(source, text) < NEAR_EDITS
        or _jaccard(before, after) >= NEAR_WORDS
    )
    # spaces around both: no word may match a part of another one
    holds_source = f" {bare_source} " in f" {bare} " and bare != bare_source
    echo = holds_source and bare_source.count(" ") >= ECHO_WORDS - 1
    # a source that itself looks like an instruction is answered rightly by such a text
    instruction = bool(_INSTRUCTION.match(text)) and not _INSTRUCTION.match(source)
    more_words = len(after) > MORE_WORDS * len(before)
    run_on = more_words and _more_sentences(source, text)
    failures = [not bare, echo, instruction, run_on]
    length_off = not len(before) / 2 <= len(after) <= len(before) * 2
    repeats = _distinct(after, 4) < 1
    shares = [copied, near, length_off, repeats, *failures, any(failures)]
    return [
        *map(float, shares),
        _distinct(after, 1),
        _distinct(after, 2),
        len(after),
        len(before),
        1.0,
    ]


def _more_sentences(source: str, text: str) -> bool:
    # an empty source has no sentence: one in the text is none too many
    allowed = max(1, len(split_sentences(source)))
    return len(split_sentences(text)) > allowed


def _bare(text: str) -> str:
    """The letters, digits, symbols and marks of a text, folded in case, runs joined by a space."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    # Unicode's general categories, whose first letter is the kind: punctuation and spaces are left
    kept = [c if unicodedata.category(c)[0] in "LNSM" else " " for c in folded]
    return " ".join("".join(kept).split())


def _jaccard(a: Sequence[str], b: Sequence[str]) -> float:
    """Words that two texts share over words of either, each counted once."""
    shared = set(a) & set(b)
    either = set(a) | set(b)
    return len(shared) / max(1, len(either))


def _distinct(tokens: Sequence[str], order: int) -> float:
    """The share of n-grams that are distinct; 1 where there are none."""
    grams = list(ngrams(tokens, order))
    if not grams:
        return 1.0
    return len(set(grams)) / len(grams)


def build(variant: str, setting: BuildContext) -> Scorer:
    """Build ``side``; it has no options, and raises UserError for any."""
    scorer_options.no_variant("side", variant)
    return Diagnostics(**scorer_options.checked_options("side", setting))
