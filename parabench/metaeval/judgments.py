"""What people said about paraphrases: native formats of published data, and one general format.

General format, JSON Lines, one judged text or one preference a line. ``references``, ``cluster``,
``systems`` (who wrote the text) and ``votes`` (of each rater: 1 for the chosen text, 0 for the
other, .5 for neither) may be left out: ``{"source": "…", "references": ["…"], "text": "…",
"ratings": [3, 4, 4], "cluster": "…", "systems": ["…"]}`` ``{"source": "…", "references": ["…"],
"chosen": "…", "rejected": "…", "cluster": "…", "votes": [1, 1, 0]}``
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


@dataclass(frozen=True)
class RatedText:
    """A text and what each rater gave it; items of one ``cluster`` share a source and are not
    independent.

    ``systems`` wrote it, where that is known.
    """

    example: Example
    text: str
    ratings: tuple[float, ...]
    cluster: str
    systems: tuple[str, ...] = ()

    @property
    def rating(self) -> float:
        """The raters' mean."""
        return sum(self.ratings) / len(self.ratings)


@dataclass(frozen=True)
class Preference:
    """Two texts for one source, of which people preferred the first; ``votes`` of each rater, 1 for
    it, 0 against.
    """

    example: Example
    chosen: str
    rejected: str
    cluster: str
    votes: tuple[float, ...] = ()


Judgment = RatedText | Preference


def with_source_as_reference(items: Sequence[Judgment]) -> list[Judgment]:
    """The items with the source in place of all references, for data that has none: likeness to the
    source.
    """
    examples = (replace(item.example, references=(item.example.source,)) for item in items)
    return [replace(item, example=example) for item, example in zip(items, examples, strict=True)]


def read_judgments(path: Path, layout: str = "jsonl") -> list[Judgment]:
    """All items of a file in one of ``LAYOUTS``; raises UserError naming the line that cannot be
    read.
    """
    if layout not in LAYOUTS:
        raise UserError(f"read judgments laid out as {layout!r}", "no such layout", sorted(LAYOUTS))
    try:
        found = list(LAYOUTS[layout](path.read_text(encoding="utf-8-sig")))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"read judgments from {path}", str(error)) from None
    except (ValueError, KeyError, TypeError, StopIteration) as error:
        mend = f"give the file's own layout: {', '.join(sorted(LAYOUTS))}"
        raise UserError(
            f"read judgments from {path} as {layout}", f"{type(error).__name__}: {error}", mend=mend
        ) from None
    if not found:
        raise UserError(f"read judgments from {path}", "no judged text")
    return found


def _general(text: str) -> Iterator[Judgment]:
    for number, line in enumerate(_lines(text), start=1):
        try:
            row = json.loads(line)
            yield _item(row, str(number))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"line {number}: {type(error).__name__} {error}") from None


def _item(row: Mapping[str, Any], identity: str) -> Judgment:
    example = Example(identity, row["source"], tuple(row.get("references", ())))
    cluster = row.get("cluster", row["source"])
    if "chosen" in row:
        return Preference(
            example,
            row["chosen"],
            row["rejected"],
            cluster,
            tuple(map(float, row.get("votes", ()))),
        )
    ratings = tuple(map(float, row["ratings"]))
    if not ratings:
        raise ValueError("no ratings")
    return RatedText(example, row["text"], ratings, cluster, tuple(row.get("systems", ())))


def _twitter_para(text: str) -> Iterator[Judgment]:
    """Shen et al. 2022, in JSON Lines: a source, a reference, and candidates with their mean vote,
    0 to 1.
    """
    for number, line in enumerate(_lines(text)):
        row = json.loads(line)
        for place, candidate in enumerate(row["candidates"]):
            example = Example(f"{number}.{place}", row["source"], (row["reference"],))
            yield RatedText(example, candidate["text"], (float(candidate["human"]),), row["source"])


def _strap(text: str) -> Iterator[Judgment]:
    """Krishna et al. 2020, a row a rater: system, worker, item, label, source, text. Labels above
    0: meaning kept.
    """
    rows = csv.DictReader(_lines(text), delimiter="\t", quoting=csv.QUOTE_NONE)
    keyed = sorted(rows, key=lambda row: (row["system"], int(row["item"])))
    for (system, item), group in groupby(keyed, key=lambda row: (row["system"], row["item"])):
        judged = list(group)
        example = Example(f"{system}.{item}", judged[0]["text1"], ())
        labels = tuple(float(int(row["label"]) > 0) for row in judged)
        yield RatedText(example, judged[0]["text2"], labels, judged[0]["text1"], (system,))


def _apty(text: str) -> Iterator[Judgment]:
    """Meier et al. 2024, ``apty_ranked.json``: an original, the paraphrase ranked above another
    one, and ranks.
    """
    for number, row in enumerate(json.loads(text)):
        example, chosen, rejected = (
            Example(str(number), row["original"], ()),
            row["chosen"],
            row["rejected"],
        )
        ranks = zip(chosen["ranks"], rejected["ranks"], strict=True)
        votes = tuple((first < second) + 0.5 * (first == second) for first, second in ranks)
        yield Preference(example, chosen["text"], rejected["text"], row["original"], votes)


def _lines(text: str) -> list[str]:
    """Lines end at line feeds alone: ``splitlines`` would also cut at separators that stand inside
    a tweet.
    """
    return text.replace("\r\n", "\n").removesuffix("\n").split("\n") if text else []


LAYOUTS: Mapping[str, Callable[[str], Iterator[Judgment]]] = {
    "jsonl": _general,
    "twitter-para": _twitter_para,
    "strap": _strap,
    "apty": _apty,
}
