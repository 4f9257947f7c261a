"""One normaliser for source, text and references alike, so that no score is about typography.

Lower-casing one side alone costs 10 BLEU, and curly quotes or a Treebank's spaces cost as surely;
so a run normalises everything it scores by one rule, keeps the raw text, and names the rule in its
signature.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from typing import Literal

from parabench.contracts import Example, Signature, UserError

Case = Literal["keep", "lower", "sentence"]
CASES = ("keep", "lower", "sentence")

# soft hyphens, joiners, marks of direction, byte order marks
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]"
)
# all control characters but tabs and line ends, which split() takes for spaces
_CONTROL = re.compile("[\u0000-\u0008\u000e-\u001b\u007f-\u0084\u0086-\u009f]")
_PUNCTUATION = str.maketrans(
    {
        **dict.fromkeys("“”„‟«»″", '"'),
        **dict.fromkeys("‘’‚‛‹›′`´", "'"),
        **dict.fromkeys("‐‑‒–−", "-"),
        **dict.fromkeys("—―", " - "),
        "…": "...",
    }
)

# a closing quote without a word behind it; an opening one behind a space
_TREEBANK_QUOTES = re.compile("(?<!\\S)(``|`)\\s+|\\s+('')(?!\\w)")
_TREEBANK = tuple(
    (re.compile(pattern, re.IGNORECASE), text)
    for pattern, text in (
        (r"-LRB-", "("),
        (r"-RRB-", ")"),
        (r"-LSB-", "["),
        (r"-RSB-", "]"),
        (r"\b(gon|wan) na\b", r"\1na"),
        (r"\b(got) ta\b", r"\1ta"),
        (r"\b(gim|lem) me\b", r"\1me"),
        (r"\b(can) not\b", r"\1not"),
        (r" (n't)\b", r"\1"),
        (r" ('(?:s|re|ve|ll|d|m))\b", r"\1"),
        (r'(?<!\S)" ([^"]*?) "(?!\w)', r'"\1"'),
        (r"(?<=\w) '(?=[ .,;:?!)]|$)", "'"),
        (r" ([,.;:?!)\]])", r"\1"),
        (r"(?<=\d) %", "%"),
        (r"(?<!\S)# (?=\d)", "#"),
        (r"([(\[$£€]) ", r"\1"),
    )
)
# the first word of the text, the first behind a full stop, and "i" wherever it stands alone
_SENTENCE_START = re.compile(r"(?:^|(?<=[.!?] ))[\"'(\[]*[^\W\d_]|\bi\b")


@dataclass(frozen=True)
class Normaliser:
    """The rules of normalisation: Unicode NFC, plain quotes and dashes, single spaces, nothing
    invisible; Treebank spacing and case if asked.

    ``treebank`` undoes the spaces and brackets of Penn Treebank tokens (``did n't``, ``-LRB-``) and
    leaves ordinary text as it is. ``case``: ``keep``, ``lower``, or ``sentence``, which gives
    lower-cased text its first capitals.
    """

    treebank: bool = False
    case: Case = "keep"

    def __post_init__(self) -> None:
        if self.case not in CASES:
            raise UserError(
                f"normalise with case = {self.case!r}",
                "no such choice",
                CASES,
            )

    @property
    def signature(self) -> Signature:
        """Which rules were applied; the number changes when they do."""
        treebank = "yes" if self.treebank else "no"
        items = (
            ("rules", "1"),
            ("treebank", treebank),
            ("case", self.case),
            # which characters are composed, and how case is changed, is a table of Python's
            ("unicode", unicodedata.unidata_version),
        )
        return Signature("normalise", items)

    def __call__(self, text: str) -> str:
        """The normalised text; applied twice it changes nothing more."""
        text = _INVISIBLE.sub("", text)
        text = _CONTROL.sub("", text)
        if self.treebank:
            # before the marks that tell an opening quote from a closing one are unified
            text = _TREEBANK_QUOTES.sub(lambda found: "'" if found.group(1) == "`" else '"', text)
        text = unicodedata.normalize("NFC", text).translate(_PUNCTUATION)
        text = " ".join(text.split())
        if self.treebank:
            text = _undo_treebank(text)
        if self.case == "lower":
            # lower-casing some letters leaves a mark of its own that is to be composed again
            return unicodedata.normalize("NFC", text.lower())
        if self.case == "sentence":
            return _SENTENCE_START.sub(lambda found: found.group().upper(), text)
        return text

    def example(self, example: Example) -> Example:
        """The example with source and references normalised, and its id kept."""
        references = tuple(map(self, example.references))
        return replace(
            example,
            source=self(example.source),
            references=references,
        )


def _undo_treebank(text: str) -> str:
    # one rule may make room for another; every rule shortens the text, so this ends
    before = None
    while before != text:
        before = text
        for pattern, replacement in _TREEBANK:
            text = pattern.sub(replacement, text)
    return text
