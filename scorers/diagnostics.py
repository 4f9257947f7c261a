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
from .segment import RULE, lower_tokens, split_sentences

NEAR_EDITS, NEAR_WORDS = 0.1, 0.9
"""A near-copy differs in under a tenth of its characters, or shares nine tenths of its distinct
words.
"""

ECHO_WORDS = 3
"""A shorter source may stand inside an honest paraphrase."""

MORE_WORDS = 1.5
"""Who cuts a sentence in two has hardly more words than before; who goes on after it has."""

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

    ``distinct1`` and ``distinct2`` are the mean share of distinct words and pairs within one
    output. Li et al. 2016 take them over all outputs of a system: a share that falls as outputs are
    added, and no function of examples' sums. None of these ranks: a system can be spotless and
    useless.
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
        near = f"ned<{NEAR_EDITS},jaccard>={NEAR_WORDS}"
        run_on = ("run-on", f"words>{MORE_WORDS}")
        return Signature(
            "side", (("tok", "13a"), ("case", "lc"), ("near", near), ("sentences", RULE), run_on)
        )

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
        shares, after, before, count = sums[..., :-3], sums[..., -3], sums[..., -2], sums[..., -1]
        with np.errstate(divide="ignore", invalid="ignore"):
            length = np.where(before > 0, after / before, np.nan)
            return np.concatenate([100 * shares / count[..., None], length[..., None]], axis=-1)


def _row(source: str, text: str) -> list[float]:
    """The shares in their order, two kinds of distinctness, the lengths of text and source, and
    1.
    """
    before, after = lower_tokens(source), lower_tokens(text)
    bare_source, bare = _bare(source), _bare(text)
    copied = bool(bare) and bare == bare_source
    near = (
        copied
        or normalised_edits(source, text) < NEAR_EDITS
        or _jaccard(before, after) >= NEAR_WORDS
    )
    failures = [
        not bare,
        bare_source.count(" ") >= ECHO_WORDS - 1
        and f" {bare_source} " in f" {bare} "
        and bare != bare_source,
        bool(_INSTRUCTION.match(text)) and not _INSTRUCTION.match(source),
        len(after) > MORE_WORDS * len(before)
        and len(split_sentences(text)) > max(1, len(split_sentences(source))),
    ]
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


def _bare(text: str) -> str:
    """The runs of letters, digits and symbols of a text, folded in case, with single spaces between
    them.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(
        "".join(c if unicodedata.category(c)[0] in "LNSM" else " " for c in folded).split()
    )


def _jaccard(a: Sequence[str], b: Sequence[str]) -> float:
    return len(set(a) & set(b)) / max(1, len(set(a) | set(b)))


def _distinct(tokens: Sequence[str], order: int) -> float:
    grams = list(zip(*(tokens[start:] for start in range(order)), strict=False))
    return len(set(grams)) / len(grams) if grams else 1.0


def build(variant: str, setting: BuildContext) -> Scorer:
    """Build ``side``; it has no options."""
    scorer_options.no_variant("side", variant)
    return Diagnostics(**scorer_options.read_options("side", setting))
