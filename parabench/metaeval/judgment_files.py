"""Files of judgments: the general format, and those of published data sets as they are."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from parabench.contracts import Example, UserError
from parabench.data.lines import json_record, read_lines
from parabench.data.text_files import read_whole
from parabench.metaeval.judgments import Judgment, Preference, RatedText, general_judgments

_LARGEST = 1 << 28
"""Bytes of a file that is read as a whole; those of WMT have some ten million."""


class JudgmentFile(Iterable[Judgment]):
    """The judgments of a file, read anew each time they are gone through."""

    def __init__(self, path: Path, layout: str = "jsonl", against_source: bool = False) -> None:
        """Name the file.

        Args:
            path: of the file.
            layout: one of ``LAYOUTS``.
            against_source: whether the source is taken for the only reference.

        Raises:
            UserError: where there is no such layout.
        """
        if layout not in LAYOUTS:
            asked = f"read judgments laid out as {layout!r}"
            raise UserError(asked, "no such layout", sorted(LAYOUTS))
        self._path = path
        self._layout = layout
        self._against_source = against_source

    def __iter__(self) -> Iterator[Judgment]:
        """Read the file.

        Raises:
            UserError: where it cannot be read in its layout, or holds no judgment.
        """
        is_empty = True
        for item in self._read():
            is_empty = False
            yield with_source_as_reference(item) if self._against_source else item
        if is_empty:
            raise UserError(f"read judgments from {self._path}", "no judged text")

    def _read(self) -> Iterator[Judgment]:
        try:
            for item in LAYOUTS[self._layout](self._path):
                _check(item)
                yield item
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"read judgments from {self._path}", str(error)) from None
        except (ValueError, KeyError, TypeError, IndexError, csv.Error) as error:
            raise UserError(
                f"read judgments from {self._path} as {self._layout}",
                f"{type(error).__name__}: {error}",
                mend=f"give the file's own layout: {', '.join(sorted(LAYOUTS))}",
            ) from None


def _check(item: Judgment) -> None:
    """Raise TypeError or ValueError for what is no text or no number, as a damaged file has it."""
    if isinstance(item, RatedText):
        texts, numbers = [item.text], item.ratings
    else:
        texts, numbers = [item.chosen, item.rejected], item.votes
    for text in (item.example.source, *item.example.references, *texts, item.cluster):
        if not isinstance(text, str):
            raise TypeError(f"{text!r:.80} where a text is needed")
    for number in numbers:
        if not math.isfinite(number):
            raise ValueError(f"{number} where a number is needed")


def with_source_as_reference(item: Judgment) -> Judgment:
    """The judgment with the source as the only reference, for data that has none.

    Columns against references then measure likeness to the source.
    """
    example = replace(item.example, references=(item.example.source,))
    return replace(item, example=example)


def _twitter_para(path: Path) -> Iterator[Judgment]:
    """Shen et al. 2022, JSON Lines: a source, a reference, candidates with mean votes 0 to 1."""
    for number, line in read_lines(path):
        row = json_record(path, number, line)
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


def _strap(path: Path) -> Iterator[Judgment]:
    """Krishna et al. 2020, TSV, a row a rater: system, worker, item, label, source, text.

    Labels above 0 say that the meaning is kept.
    """
    lines = (line for _, line in read_lines(path))
    # Quotation marks are part of the sentences there: no cell is quoted.
    rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
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


def _apty(path: Path) -> Iterator[Judgment]:
    """Meier et al. 2024, ``apty_ranked.json``: a paraphrase ranked above another one."""
    # Spreadsheets put a byte order mark before the first character, which utf-8-sig takes away.
    content: list[Mapping[str, Any]] = json.loads(read_whole(path, _LARGEST).decode("utf-8-sig"))
    for number, row in enumerate(content):
        example = Example(str(number), row["original"], ())
        chosen = row["chosen"]
        rejected = row["rejected"]
        # A rater ranked both texts, at the same place of the two lists.
        ranks = zip(chosen["ranks"], rejected["ranks"], strict=True)
        votes = tuple(_vote(int(first), int(second)) for first, second in ranks)
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


LAYOUTS: Mapping[str, Callable[[Path], Iterator[Judgment]]] = {
    "jsonl": general_judgments,
    "twitter-para": _twitter_para,
    "strap": _strap,
    "apty": _apty,
}
