"""What people said about paraphrases: formats of published data sets, and one general format.

General format, JSON Lines, one rated text or one preference a line::

    {"source": "…", "references": ["…"], "text": "…", "ratings": [3, 4, 4],
     "cluster": "…", "systems": ["…"]}
    {"source": "…", "references": ["…"], "chosen": "…", "rejected": "…",
     "cluster": "…", "votes": [1, 1, 0]}

``references``, ``cluster``, ``systems`` (who wrote the text) and ``votes`` (of each rater: 1 for
the chosen text, 0 for the other, .5 for neither) may be left out.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from parabench.contracts import Example, UserError
from parabench.data.text_files import read_whole

_LARGEST = 1 << 28
"""Bytes of a file of judgments; those of WMT have some ten million."""


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


def with_source_as_reference(items: Sequence[Judgment]) -> list[Judgment]:
    """The judgments with the source as the only reference, for data that has none.

    Columns against references then measure likeness to the source.
    """
    changed: list[Judgment] = []
    for item in items:
        example = replace(item.example, references=(item.example.source,))
        changed.append(replace(item, example=example))
    return changed


def read_judgments(path: Path, layout: str = "jsonl") -> list[Judgment]:
    """Read all judgments of a file in one of ``LAYOUTS``.

    Raises:
        UserError: where there is no such layout, or the file cannot be read in it or holds no
            judgment.
    """
    if layout not in LAYOUTS:
        raise UserError(f"read judgments laid out as {layout!r}", "no such layout", sorted(LAYOUTS))
    read = LAYOUTS[layout]
    try:
        # Spreadsheets put a byte order mark before the first line, which utf-8-sig takes away.
        text = read_whole(path, _LARGEST).decode("utf-8-sig")
        found = list(read(text))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"read judgments from {path}", str(error)) from None
    except (ValueError, KeyError, TypeError, StopIteration) as error:
        raise UserError(
            f"read judgments from {path} as {layout}",
            f"{type(error).__name__}: {error}",
            mend=f"give the file's own layout: {', '.join(sorted(LAYOUTS))}",
        ) from None
    if not found:
        raise UserError(f"read judgments from {path}", "no judged text")
    return found


def _general(text: str) -> Iterator[Judgment]:
    for number, line in enumerate(_lines(text), start=1):
        try:
            yield _judgment(json.loads(line), str(number))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"line {number}: {type(error).__name__} {error}") from None


def _judgment(row: Mapping[str, Any], identity: str) -> Judgment:
    references = tuple(row.get("references", ()))
    example = Example(identity, row["source"], references)
    # Judgments of one source are not independent, whatever else is known of them.
    cluster = row.get("cluster", row["source"])
    if "chosen" in row:
        given = row.get("votes", ())
        votes = tuple(map(float, given))
        return Preference(
            example,
            row["chosen"],
            row["rejected"],
            cluster,
            votes,
        )
    ratings = tuple(map(float, row["ratings"]))
    if not ratings:
        raise ValueError("no ratings")
    systems = tuple(row.get("systems", ()))
    return RatedText(
        example,
        row["text"],
        ratings,
        cluster,
        systems,
    )


def _twitter_para(text: str) -> Iterator[Judgment]:
    """Shen et al. 2022, JSON Lines: a source, a reference, candidates with mean votes 0 to 1."""
    for number, line in enumerate(_lines(text)):
        row = json.loads(line)
        for place, candidate in enumerate(row["candidates"]):
            identity = f"{number}.{place}"
            example = Example(identity, row["source"], (row["reference"],))
            # The raters' mean alone is published: it counts as one rater.
            ratings = (float(candidate["human"]),)
            yield RatedText(
                example,
                candidate["text"],
                ratings,
                row["source"],
            )


def _strap(text: str) -> Iterator[Judgment]:
    """Krishna et al. 2020, TSV, a row a rater: system, worker, item, label, source, text.

    Labels above 0 say that the meaning is kept.
    """
    # Quotation marks are part of the sentences there: no cell is quoted.
    rows = csv.DictReader(_lines(text), delimiter="\t", quoting=csv.QUOTE_NONE)
    # groupby joins neighbours alone, so the rows of an item are brought together first.
    ordered = sorted(rows, key=lambda row: (row["system"], int(row["item"])))
    grouped = groupby(ordered, key=lambda row: (row["system"], row["item"]))
    for (system, item), group in grouped:
        raters = list(group)
        # All raters of an item saw the same two texts.
        source = raters[0]["text1"]
        paraphrase = raters[0]["text2"]
        example = Example(f"{system}.{item}", source, ())
        labels = tuple(float(int(row["label"]) > 0) for row in raters)
        yield RatedText(
            example,
            paraphrase,
            labels,
            source,
            (system,),
        )


def _apty(text: str) -> Iterator[Judgment]:
    """Meier et al. 2024, ``apty_ranked.json``: a paraphrase ranked above another one."""
    for number, row in enumerate(json.loads(text)):
        example = Example(str(number), row["original"], ())
        chosen = row["chosen"]
        rejected = row["rejected"]
        # A rater ranked both texts, at the same place of the two lists.
        ranks = zip(chosen["ranks"], rejected["ranks"], strict=True)
        votes = tuple(_vote(first, second) for first, second in ranks)
        yield Preference(
            example=example,
            chosen=chosen["text"],
            rejected=rejected["text"],
            cluster=row["original"],
            votes=votes,
        )


def _vote(chosen: int, rejected: int) -> float:
    """One rater's vote from the ranks given to both texts, 1 being the best rank."""
    is_tie = chosen == rejected
    return (chosen < rejected) + 0.5 * is_tie


def _lines(text: str) -> list[str]:
    """The lines of a text, which end at line feeds alone.

    ``splitlines`` would also cut at separators such as U+2028 that occur inside a tweet.
    """
    if not text:
        return []
    # Without the last line feed there is no empty line after it.
    joined = text.replace("\r\n", "\n").removesuffix("\n")
    return joined.split("\n")


LAYOUTS: Mapping[str, Callable[[str], Iterator[Judgment]]] = {
    "jsonl": _general,
    "twitter-para": _twitter_para,
    "strap": _strap,
    "apty": _apty,
}
