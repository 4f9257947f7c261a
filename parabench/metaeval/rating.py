"""Blind rating sheets: outputs of a run in random order behind letters, and a key beside them.

Filled in, they become judgments in the general format of ``parabench.metaeval.judgments``, on which
scorers are tested. A text that several systems wrote is shown once and counts for each of them.
"""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import numpy as np

from parabench.contracts import Example, UserError
from parabench.render.escape import csv_text
from parabench.report.results import RunResults
from parabench.stats.intervals import only_of_enough
from parabench.stats.leave_one_out import without_reference
from parabench.stats.resampling import interval
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

Fill in the column "rating" with whole or half numbers from {LOWEST} to {HIGHEST}, and "comment" if
you like. Leave a rating empty if you cannot decide. Change nothing else: every row is checked
against the key when the sheet is read. The letters mean something else in each item. An apostrophe
at the start of a text keeps spreadsheets from computing it. Save the file as CSV.
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

    @property
    def mean(self) -> float:
        """The mean of the raters."""
        return sum(self.ratings) / len(self.ratings)


@dataclass(frozen=True)
class MeanRating:
    """A system's mean rating over its ``count`` rated texts, with a 95 % bootstrap interval.

    The ends are NaN where there are too few texts for an interval.
    """

    system: str
    count: int
    mean: float
    low: float
    high: float


# ---- making a sheet


def draw_rating_items(
    results: RunResults,
    systems: Sequence[str],
    count: int,
    seed: int,
) -> list[RatingItem]:
    """Draw examples in random order, each with the texts of all systems in random order.

    Args:
        results: of the run whose outputs are rated.
        systems: whose texts are shown, controls included; at most 26.
        count: how many examples; all of them where there are fewer. Only examples that every
            system answered are drawn.
        seed: of both orders.

    Raises:
        UserError: for a system that the run does not have, for none or too many systems, and where
            no example was answered by all.
    """
    for name in systems:
        if name not in results.outputs:
            known = sorted(results.outputs)
            raise UserError(f"rate {name!r}", "the run has no outputs of it", known)
    if not 1 <= len(systems) <= len(ascii_uppercase):
        raise UserError(
            "make a rating sheet",
            f"{len(systems)} systems",
            mend=f"name 1 to {len(ascii_uppercase)}",
        )
    written = [results.outputs[name].texts for name in systems]
    answered = []
    for example in results.examples:
        if all(example.id in texts for texts in written):
            answered.append(example)
    if not answered or count < 1:
        found = f"{len(answered)} examples that all systems answered, {count} asked for"
        raise UserError("make a rating sheet", found, mend="finish the run, or name fewer systems")
    # One generator for the choice and for the orders within items: a seed stands for a sheet.
    generator = random.Random(seed)
    chosen = generator.sample(answered, min(count, len(answered)))
    items = []
    for number, example in enumerate(chosen, 1):
        texts = {name: results.outputs[name].texts[example.id] for name in systems}
        items.append(_rating_item(number, example, texts, generator))
    return items


def _rating_item(
    number: int,
    example: Example,
    texts: Mapping[str, Sequence[str]],
    generator: random.Random,
) -> RatingItem:
    """One source with the texts of all systems.

    The human control has a text for every turn, in which one reference is left out to be its
    answer. One turn is drawn, its text is shown, and it is no reference of the item.
    """
    turns = max(map(len, texts.values()))
    turn = generator.randrange(turns)
    # A text that several systems wrote is rated once, for all of them.
    systems_by_text: dict[str, list[str]] = {}
    for name, written in texts.items():
        # A system has one text for all turns, or one for each.
        text = written[turn % len(written)]
        systems_by_text.setdefault(text, []).append(name)
    # Sorted before it is shuffled, so that the order does not depend on the order of systems.
    shuffled = generator.sample(sorted(systems_by_text), len(systems_by_text))
    shown = []
    for letter, text in zip(ascii_uppercase, shuffled, strict=False):
        shown.append(AnonymousText(letter, text, tuple(systems_by_text[text])))
    rest = without_reference(example, turn) if turns > 1 else example
    return RatingItem(number, rest, tuple(shown))


def rating_sheet(items: Sequence[RatingItem]) -> str:
    """The sheet as CSV, which names no system.

    It begins with a byte order mark, which tells spreadsheets that it is UTF-8.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(HEAD)
    for item in items:
        source = csv_text(item.example.source)
        for shown in item.texts:
            writer.writerow(
                [
                    item.number,
                    shown.letter,
                    source,
                    csv_text(shown.text),
                    "",
                    "",
                ]
            )
    return "\ufeff" + file.getvalue()


def rating_key(items: Sequence[RatingItem], facts: Mapping[str, Any]) -> str:
    """What the sheet hides, as JSON; ``facts`` say of what run and seed it is."""
    content = []
    for item in items:
        texts = [
            {
                "letter": one.letter,
                "text": one.text,
                "systems": one.systems,
            }
            for one in item.texts
        ]
        content.append(
            {
                "item": item.number,
                "id": item.example.id,
                "source": item.example.source,
                "references": item.example.references,
                "texts": texts,
            }
        )
    return (
        json.dumps(
            {
                "format": _KEY_FORMAT,
                **facts,
                "items": content,
            },
            indent=1,
        )
        + "\n"
    )


def read_key(path: Path) -> list[RatingItem]:
    """Read the items of a key.

    Raises:
        UserError: where the file is no key.
    """
    try:
        found = json.loads(read_bytes(path))
        if found["format"] != _KEY_FORMAT:
            raise ValueError(f"format {found['format']!r}")
        return list(map(_key_item, found["items"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(
            f"read the key {path}",
            f"{type(error).__name__}: {error}",
            mend="give the .key.json that was written beside the sheet",
        ) from None


def _key_item(content: Mapping[str, Any]) -> RatingItem:
    example = Example(content["id"], content["source"], tuple(content["references"]))
    texts = [
        AnonymousText(one["letter"], one["text"], tuple(one["systems"])) for one in content["texts"]
    ]
    return RatingItem(content["item"], example, tuple(texts))


# ---- what came back


def judgments_jsonl(rated: Sequence[CollectedRatings]) -> str:
    """Ratings as JSON Lines in the general format of judgments."""
    lines = []
    for one in rated:
        judgment = {
            "source": one.item.example.source,
            "references": one.item.example.references,
            "text": one.shown.text,
            "ratings": one.ratings,
            "cluster": one.item.example.source,
            "systems": one.shown.systems,
        }
        lines.append(json.dumps(judgment) + "\n")
    return "".join(lines)


def mean_ratings(rated: Sequence[CollectedRatings], seed: int) -> list[MeanRating]:
    """Every system's mean rating, best first; a text's rating is the mean of its raters.

    ``seed`` is that of the bootstrap intervals. A system has one text for each source, so texts
    are drawn as sources are.
    """
    found = []
    for name in sorted({name for one in rated for name in one.shown.systems}):
        ratings = [[one.mean] for one in rated if name in one.shown.systems]
        values = np.array(ratings)
        ends = interval(lambda rows: rows.mean(axis=0), values, seed)
        low, high = only_of_enough(*ends, len(values))
        mean = float(values.mean())
        found.append(
            MeanRating(
                name,
                len(values),
                mean,
                float(low[0]),
                float(high[0]),
            )
        )
    return sorted(found, key=lambda one: -one.mean)
