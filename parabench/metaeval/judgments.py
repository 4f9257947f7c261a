"""What people said about paraphrases, and the general format of files of it.

JSON Lines, one rated text or one preference a line::

    {"source": "…", "references": ["…"], "text": "…", "ratings": [3, 4, 4],
     "cluster": "…", "systems": ["…"]}
    {"source": "…", "references": ["…"], "chosen": "…", "rejected": "…",
     "cluster": "…", "votes": [1, 1, 0]}

``references``, ``cluster``, ``systems`` (who wrote the text) and ``votes`` (of each rater: 1 for
the chosen text, 0 for the other, .5 for neither) may be left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from parabench.contracts import Example
from parabench.data.lines import bad_line, json_record, read_lines

_LARGEST_NUMBER = 1e9
"""The largest rating, which tells numbers from infinity."""
_LONGEST_LINE = 1 << 22
"""Bytes of a line, which holds all that is said of a text."""


@dataclass(frozen=True)
class RatedText:
    """A text and what each rater gave it.

    Items of one ``cluster`` share a source and are not independent. ``systems`` wrote the text,
    where that is known.
    """

    example: Example
    text: str
    ratings: tuple[float, ...]
    cluster: str
    systems: tuple[str, ...] = ()

    @property
    def rating(self) -> float:
        """The mean of the raters."""
        return sum(self.ratings) / len(self.ratings)


@dataclass(frozen=True)
class Preference:
    """Two texts for one source, of which people preferred ``chosen``.

    ``votes`` has a number for each rater: 1 for the chosen text, 0 for the other, .5 for neither.
    """

    example: Example
    chosen: str
    rejected: str
    cluster: str
    votes: tuple[float, ...] = ()


Judgment = RatedText | Preference


def general_judgments(path: Path) -> Iterator[Judgment]:
    """Read the general format, a line at a time.

    Raises:
        UserError: where a line is no judgment.
    """
    for number, line in read_lines(path, _LONGEST_LINE):
        yield _judgment(_Row(path, number, json_record(path, number, line)))


@dataclass(frozen=True)
class _Row:
    """One line of a file, whose fields are read with errors that name it."""

    path: Path
    number: int
    fields: Mapping[str, Any]

    def text(self, name: str) -> str:
        """A text of any length and content: what systems wrote was judged as it is."""
        if name not in self.fields:
            self.refuse(f"no {name!r}")
        return self._checked(self.fields[name], name)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts; empty where the field is left out."""
        return tuple(self._checked(one, name) for one in self._list(name))

    def _checked(self, found: object, name: str) -> str:
        if not isinstance(found, str):
            self.refuse(f"{found!r:.80} in {name!r}, where a text is needed")
        return found

    def numbers(self, name: str) -> tuple[float, ...]:
        """A list of numbers; empty where the field is left out."""
        found = self._list(name)
        for one in found:
            # JSON's true and false are numbers to Python, which also reads NaN and Infinity.
            is_number = isinstance(one, int | float) and not isinstance(one, bool)
            if not is_number or not abs(one) <= _LARGEST_NUMBER:
                self.refuse(f"{one!r:.80} in {name!r}, where a number is needed")
        return tuple(map(float, found))

    def _list(self, name: str) -> list[Any]:
        found = self.fields.get(name, [])
        if not isinstance(found, list):
            self.refuse(f"{found!r:.80} as {name!r}, where a list is needed")
        return found

    def refuse(self, found: str) -> NoReturn:
        """Raise UserError: what was ``found`` in this line is no judgment."""
        raise bad_line(self.path, self.number, found)


def _judgment(row: _Row) -> Judgment:
    example = Example(str(row.number), row.text("source"), row.texts("references"))
    # Judgments of one source are not independent, whatever else is known of them.
    cluster = row.text("cluster") if "cluster" in row.fields else example.source
    if "chosen" in row.fields:
        if "ratings" in row.fields:
            row.refuse("both 'chosen' and 'ratings'")
        return Preference(
            example,
            row.text("chosen"),
            row.text("rejected"),
            cluster,
            row.numbers("votes"),
        )
    ratings = row.numbers("ratings")
    if not ratings:
        row.refuse("neither 'ratings' nor 'chosen'")
    return RatedText(
        example,
        row.text("text"),
        ratings,
        cluster,
        row.texts("systems"),
    )
