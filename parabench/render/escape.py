"""Escaping, one function for each output format: terminal, Markdown, CSV and LaTeX.

Names, notes and model outputs are untrusted text. What each function returns displays that text in
its format and cannot change anything around it.
"""

from __future__ import annotations

import re
import unicodedata

# Characters that reorder the text around them. Unicode counts most of them as format characters
# (Cf), as it does the joiners of emoji, which must stay; so they are listed one by one.
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

# Controls, lone surrogates, line and paragraph separators.
_UNPRINTABLE = frozenset(
    {
        "Cc",
        "Cs",
        "Zl",
        "Zp",
    }
)

# In order: characters that have a meaning anywhere; those that begin a list or a heading at the
# start of a text; and the last three, of which GitHub makes links of addresses by itself.
_MARKDOWN = re.compile(
    r"[\\`*_{}\[\]<>()#!|~$&]|^[-+=]|(?<=^\d)[.)]|(?<=^\d\d)[.)]|:(?=//)|@|(?<=www)\.",
    re.IGNORECASE,
)

# Quotes and hyphens are here because LaTeX joins "--" to a dash and "``" to a quotation mark.
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

# Full-width forms too: some spreadsheets take them for the ASCII ones.
_FORMULA = tuple("=+-@＝＋－＠")


def visible(text: str) -> str:
    r"""Put a text on one line with nothing hidden, for a terminal or a page.

    Line breaks become ``⏎``; controls, bidirectional marks and lone surrogates become escapes such
    as ``\x1b``. Everything else, whatever its script, stays as it is.
    """
    joined = re.sub(r"\r\n|\n|\r", "⏎", text)
    # Most texts are plain ASCII: they need no look at each character.
    if joined.isascii() and joined.isprintable():
        return joined
    return "".join(map(_seen, joined))


def _seen(character: str) -> str:
    hidden = character in _BIDI or unicodedata.category(character) in _UNPRINTABLE
    if hidden:
        return character.encode("unicode_escape").decode("ascii")
    return character


def markdown(text: str) -> str:
    """Escape a text for GitHub Markdown.

    It renders as itself in a table cell, a heading, a list item and a paragraph.
    """
    return _MARKDOWN.sub(r"\\\g<0>", visible(text).strip())


def markdown_code(text: str) -> str:
    """Make an inline code span of a text, for use outside of tables.

    It is fenced by one backtick more than its longest run of backticks (CommonMark 0.31, 6.1).
    """
    shown = visible(text)
    runs = re.findall("`+", shown)
    fence = "`" * (1 + max(map(len, runs), default=0))
    # CommonMark takes one blank away at each end where both ends have one, so that a span may
    # begin or end with a backtick. A span of blanks alone keeps them.
    touches_fence = shown.strip(" ") and (shown[0] in "` " or shown[-1] in "` ")
    pad = " " if touches_fence else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def csv_text(text: str) -> str:
    """Make a CSV cell that no spreadsheet takes for a formula.

    Where a text begins with ``= + - @``, an apostrophe is put before it (OWASP, CSV injection).
    """
    shown = visible(text)
    if shown.lstrip().startswith(_FORMULA):
        return f"'{shown}"
    return shown


def latex(text: str) -> str:
    """Escape a text for LaTeX, outside of mathematics.

    The ten special characters become commands; quotation marks and dashes are not joined.
    """

    def command(match: re.Match[str]) -> str:
        character = match.group()
        return _LATEX.get(character, f"\\{character}")

    return re.sub(r"[\\{}$&#%_^~<>|\"'`-]", command, visible(text))
