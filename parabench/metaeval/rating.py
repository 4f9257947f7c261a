"""Blind rating sheets: outputs of a run in random order behind letters, a key beside them, and the
way back.

What comes back are judgments in the general format of ``parabench.metaeval.judgments``, on which
scorers are tested. A text that several systems wrote is shown once and counts for each of them.
"""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from parabench.contracts import Example, UserError
from parabench.render.escape import csv_text
from parabench.report.results import RunResults
from parabench.stats.leave_one_out import without_reference
from parabench.store.files import read_bytes

_KEY_FORMAT = "parabench rating key 1"
HEAD = ("item", "letter", "source", "text", "rating", "comment")
LOWEST, HIGHEST = 1, 5
INSTRUCTIONS = f"""\
How well does each text say the same as its source, in other words?

  {HIGHEST}  the same meaning, clearly other words, and good language
  4  the same meaning, somewhat other words
  3  nearly the same meaning, or hardly changed, or awkward
  2  part of the meaning is lost or wrong
  {LOWEST}  another meaning, nonsense, empty, or a mere copy of the source

Fill in the column "rating" with whole or half numbers from {LOWEST} to {HIGHEST}, and "comment" if you like. Leave a
rating empty if you cannot decide. Change nothing else: every row is checked against the key when the sheet is read.
The letters mean something else in each item. An apostrophe at the start of a text keeps spreadsheets from computing
it. Save the file as CSV.
"""


@dataclass(frozen=True)
class AnonymousText:
    """One text of an item, and the systems that wrote it."""

    letter: str
    text: str
    systems: tuple[str, ...]


@dataclass(frozen=True)
class RatingItem:
    """One source with the texts to rate, in the order of the sheet."""

    number: int
    example: Example
    texts: tuple[AnonymousText, ...]


@dataclass(frozen=True)
class CollectedRatings:
    """A text with what each rater gave it."""

    item: RatingItem
    shown: AnonymousText
    ratings: tuple[float, ...]


def draw_rating_items(
    results: RunResults, systems: Sequence[str], count: int, seed: int
) -> list[RatingItem]:
    """``count`` examples in random order, each with its texts in random order; all of them if there
    are fewer.

    Only examples that every system answered are drawn. UserError for a system that the run has not.
    """
    for name in systems:
        if name not in results.outputs:
            raise UserError(
                f"rate {name!r}", "the run has no outputs of it", sorted(results.outputs)
            )
    if not 1 <= len(systems) <= len(ascii_uppercase):
        raise UserError(
            "make a rating sheet",
            f"{len(systems)} systems",
            mend=f"name 1 to {len(ascii_uppercase)}",
        )
    chance = random.Random(seed)
    whole = [
        e for e in results.examples if all(e.id in results.outputs[name].texts for name in systems)
    ]
    if not whole or count < 1:
        found = f"{len(whole)} examples that all systems answered, {count} asked for"
        raise UserError("make a rating sheet", found, mend="finish the run, or name fewer systems")
    chosen = chance.sample(whole, min(count, len(whole)))
    return [
        _item(results, systems, number, example, chance) for number, example in enumerate(chosen, 1)
    ]


def _item(
    results: RunResults,
    systems: Sequence[str],
    number: int,
    example: Example,
    chance: random.Random,
) -> RatingItem:
    """One source; where people wrote a text for every turn, that of one turn is shown and is no
    reference.
    """
    texts = {name: results.outputs[name].texts[example.id] for name in systems}
    turns = max(map(len, texts.values()))
    turn = chance.randrange(turns)
    by_text: dict[str, list[str]] = {}
    for name, written in texts.items():
        by_text.setdefault(written[turn % len(written)], []).append(name)
    order = zip(ascii_uppercase, chance.sample(sorted(by_text), len(by_text)), strict=False)
    shown = tuple(AnonymousText(letter, text, tuple(by_text[text])) for letter, text in order)
    return RatingItem(number, without_reference(example, turn) if turns > 1 else example, shown)


def rating_sheet(items: Sequence[RatingItem]) -> str:
    """The sheet as CSV with a byte order mark, which tells spreadsheets that it is UTF-8; no system
    is named in it.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(HEAD)
    for item in items:
        for shown in item.texts:
            writer.writerow(
                [
                    item.number,
                    shown.letter,
                    csv_text(item.example.source),
                    csv_text(shown.text),
                    "",
                    "",
                ]
            )
    return "\ufeff" + file.getvalue()


def rating_key(items: Sequence[RatingItem], facts: Mapping[str, Any]) -> str:
    """What the sheet hides, as JSON; ``facts`` say of what run and seed it is."""
    content = [
        {
            "item": item.number,
            "id": item.example.id,
            "source": item.example.source,
            "references": item.example.references,
            "texts": [
                {"letter": one.letter, "text": one.text, "systems": one.systems}
                for one in item.texts
            ],
        }
        for item in items
    ]
    return json.dumps({"format": _KEY_FORMAT, **facts, "items": content}, indent=1) + "\n"


def read_key(path: Path) -> list[RatingItem]:
    """The items of a key; UserError where the file is none."""
    try:
        found = json.loads(read_bytes(path))
        if found["format"] != _KEY_FORMAT:
            raise ValueError(f"format {found['format']!r}")
        return [
            RatingItem(
                one["item"],
                Example(one["id"], one["source"], tuple(one["references"])),
                tuple(
                    AnonymousText(text["letter"], text["text"], tuple(text["systems"]))
                    for text in one["texts"]
                ),
            )
            for one in found["items"]
        ]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        mend = "give the .key.json that was written beside the sheet"
        raise UserError(
            f"read the key {path}", f"{type(error).__name__}: {error}", mend=mend
        ) from None


def read_sheets(paths: Sequence[Path], items: Sequence[RatingItem]) -> list[CollectedRatings]:
    """All raters' sheets against their key: every text that somebody rated, with the ratings in
    order of the sheets.

    UserError with file and line for a row that is changed, unknown, there twice or missing, or a
    rating out of range.
    """
    known = {
        (str(item.number), shown.letter): (item, shown) for item in items for shown in item.texts
    }
    ratings: dict[tuple[str, str], list[float]] = {place: [] for place in known}
    for path in paths:
        for place, rating in _read_sheet(path, known):
            ratings[place].append(rating)
    found = [
        CollectedRatings(*known[place], tuple(given)) for place, given in ratings.items() if given
    ]
    if not found:
        raise UserError(
            f"read {', '.join(map(str, paths))}",
            "not one rating",
            mend='fill in the column "rating"',
        )
    return found


def _read_sheet(
    path: Path, known: Mapping[tuple[str, str], tuple[RatingItem, AnonymousText]]
) -> Iterator[tuple[tuple[str, str], float]]:
    seen: dict[tuple[str, str], int] = {}
    for line, row in _rows(path):
        place = row["item"].strip(), row["letter"].strip()
        if place not in known:
            raise _wrong(
                path, line, f"item {place[0]!r}, letter {place[1]!r}, which the key has not"
            )
        if place in seen:
            raise _wrong(
                path,
                line,
                f"item {place[0]}, letter {place[1]} again; it stood in line {seen[place]}",
            )
        seen[place] = line
        item, shown = known[place]
        for name, wanted in (("source", item.example.source), ("text", shown.text)):
            if row[name] != csv_text(wanted):
                raise _wrong(path, line, f"another {name} than in the key: {row[name][:60]!r}")
        if row["rating"].strip():
            yield place, _rating(path, line, row["rating"])
    if missing := [place for place in known if place not in seen]:
        raise UserError(
            f"read {path}", f"no row of item {missing[0][0]}, letter {missing[0][1]}", mend=MEND
        )


MEND = "take the sheet as it was written and fill in the ratings alone"


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows with the lines they end on; commas, semicolons and tabs are what spreadsheets put
    between cells.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"read {path}", str(error), mend="save it as CSV in UTF-8") from None
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    head = [name.strip() for name in next(reader, [])]
    if set(HEAD[:5]) - set(head):
        raise UserError(f"read {path}", f"the columns {', '.join(head) or 'none'}", HEAD, MEND)
    for cells in _guarded(reader, path):
        if any(cell.strip() for cell in cells):
            yield reader.line_num, dict(zip(head, [*cells, *[""] * len(head)], strict=False))


def _guarded(reader: Any, path: Path) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise _wrong(path, reader.line_num, str(error)) from None


def _rating(path: Path, line: int, text: str) -> float:
    try:
        value = float(text.strip().replace(",", "."))
    except ValueError:
        value = 0.0
    if not LOWEST <= value <= HIGHEST or value * 2 != int(value * 2):
        raise _wrong(
            path,
            line,
            f"the rating {text!r}; it must be one of {LOWEST}, {LOWEST + 0.5}, … {HIGHEST}",
        )
    return value


def _wrong(path: Path, line: int, found: str) -> UserError:
    return UserError(f"read {path}", f"line {line}: {found}", mend=MEND)


def judgments_jsonl(rated: Sequence[CollectedRatings]) -> str:
    """JSON Lines that ``parabench meta`` reads; ``systems`` is for those who look."""
    lines = [
        {
            "source": one.item.example.source,
            "references": one.item.example.references,
            "text": one.shown.text,
            "ratings": one.ratings,
            "cluster": one.item.example.source,
            "systems": one.shown.systems,
        }
        for one in rated
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


@dataclass(frozen=True)
class MeanRating:
    """What a system was given on average over its rated texts, with a 95 % bootstrap interval over
    the sources.
    """

    system: str
    count: int
    mean: float
    low: float
    high: float


def mean_ratings(rated: Sequence[CollectedRatings], seed: int) -> list[MeanRating]:
    """Every system's mean rating, best first; a text's rating is its raters' mean."""
    import numpy as np

    from parabench.stats.significance import interval

    found = []
    for name in sorted({name for one in rated for name in one.shown.systems}):
        values = np.array(
            [[sum(one.ratings) / len(one.ratings)] for one in rated if name in one.shown.systems]
        )
        low, high = interval(lambda rows: rows.mean(axis=0), values, seed)
        found.append(
            MeanRating(name, len(values), float(values.mean()), float(low[0]), float(high[0]))
        )
    return sorted(found, key=lambda one: -one.mean)
