"""Escaping, one function for each place where foreign text is written: terminal, Markdown, CSV.

Names, notes and model outputs are text nobody controls. What each function returns shows that text
there and does nothing else.
"""

from __future__ import annotations

import re
import unicodedata

_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
# The last three keep GitHub from making links of addresses; the group before them starts a list or
# a heading.
_MARKDOWN = re.compile(
    r"[\\`*_{}\[\]<>()#!|~$&]|^[-+=]|(?<=^\d)[.)]|(?<=^\d\d)[.)]|:(?=//)|@|(?<=www)\.",
    re.IGNORECASE,
)
_LATEX = {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\symbol{34}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "-": "-{}",
}
_FORMULA = tuple("=+-@＝＋－＠")


def visible(text: str) -> str:
    r"""The text on one line, nothing hidden: newlines as ``⏎``, controls, bidi marks, lone
    surrogates as ``\x1b``.
    """
    joined = re.sub(r"\r\n|\n|\r", "⏎", text)
    return (
        "".join(map(_seen, joined)) if not joined.isascii() or not joined.isprintable() else joined
    )


def _seen(character: str) -> str:
    hidden = character in _BIDI or unicodedata.category(character) in _UNPRINTABLE
    return character.encode("unicode_escape").decode("ascii") if hidden else character


def markdown(text: str) -> str:
    """The text as GitHub Markdown that renders as itself in a table cell, a heading, a list item or
    a paragraph.
    """
    return _MARKDOWN.sub(r"\\\g<0>", visible(text).strip())


def markdown_code(text: str) -> str:
    """The text as an inline code span outside of tables, fenced by more backticks than it holds
    anywhere.
    """
    shown = visible(text)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    pad = " " if shown.strip(" ") and (shown[0] in "` " or shown[-1] in "` ") else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def csv_text(text: str) -> str:
    """The text as a CSV cell that no spreadsheet takes for a formula: an apostrophe stands before
    ``= + - @``.
    """
    shown = visible(text)
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA) else shown


def latex(text: str) -> str:
    """The text as LaTeX that typesets it: the ten special characters by their commands, quotes and
    dashes unjoined.
    """
    return re.sub(
        r"[\\{}$&#%_^~<>|\"'`-]",
        lambda match: _LATEX.get(match.group(), f"\\{match.group()}"),
        visible(text),
    )
