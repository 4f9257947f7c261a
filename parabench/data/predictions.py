"""Predictions made elsewhere: anyone's paraphrases, read for scoring without any model of ours.

With the references in the same file:
    JSONL  ``{"source": "…", "prediction": "…", "references": ["…", …]}``
    TSV    ``source TAB prediction TAB reference TAB …`` (every line the same number of columns)
Beside a test set (``--data``): JSONL ``{"id": "…", "prediction": "…"}``, or plain text, one prediction a line in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from parabench.contracts import Example, UserError
from parabench.data.corpora import parquet_records
from parabench.data.examples import bad_line, check_text, identifier, json_record, read_lines

Predicted = list[tuple[Example, str]]


def read_predictions(path: Path, examples: Sequence[Example] | None = None) -> Predicted:
    """Pair every prediction with its example; refuses anything missing, doubled or ragged, naming
    the line.
    """
    lines = list(read_lines(path))
    if not lines:
        raise UserError(f"score {path}", "the file is empty", mend=__doc__.split("\n\n", 1)[1])
    if path.suffix in (".jsonl", ".json"):
        return _by_id(path, lines, examples) if examples is not None else _json(path, lines)
    return _in_order(path, lines, examples) if examples is not None else _tsv(path, lines)


def stream(path: Path) -> Iterator[tuple[Example, str]]:
    """The rows of a file of any length, JSONL, TSV or Parquet, one after the other; ids may repeat
    unnoticed.
    """
    if path.suffix == ".parquet":
        for number, record in parquet_records(str(path)):
            yield _record(path, number, record)
    elif path.suffix in (".jsonl", ".json"):
        for number, line in read_lines(path):
            yield _record(path, number, json_record(path, number, line))
    else:
        yield from _cells(path, read_lines(path))


def _json(path: Path, lines: list[tuple[int, str]]) -> Predicted:
    pairs, seen = [], dict[str, int]()
    for number, line in lines:
        pair = _record(path, number, json_record(path, number, line))
        name = pair[0].id
        if name in seen:
            raise bad_line(path, number, f"the id {name!r} stands in line {seen[name]} too")
        seen[name] = number
        pairs.append(pair)
    return pairs


def _record(path: Path, number: int, record: dict[str, Any]) -> tuple[Example, str]:
    if "source" not in record:
        raise bad_line(
            path,
            number,
            'needs "source" and "prediction" (and "references": [text, …]), or add --data',
        )
    if not isinstance(record.get("references", []), list):
        raise bad_line(path, number, '"references" is no list of texts')
    references = tuple(check_text(path, number, text) for text in record.get("references", ()))
    source = check_text(path, number, record.get("source"))
    example = Example(identifier(path, number, record), source, references)
    return example, check_text(path, number, record.get("prediction"), empty=True)


def _tsv(path: Path, lines: list[tuple[int, str]]) -> Predicted:
    return list(_cells(path, lines))


def _cells(path: Path, lines: Iterable[tuple[int, str]]) -> Iterator[tuple[Example, str]]:
    width = 0
    for number, line in lines:
        cells = line.split("\t")
        width = width or len(cells)
        if len(cells) < 2 or len(cells) != width:
            wanted = max(width, 2)
            raise bad_line(
                path,
                number,
                f"{len(cells)} columns instead of {wanted}: source, prediction, references…",
            )
        for position, text in enumerate(cells):
            check_text(path, number, text, empty=position == 1)
        yield Example(str(number), cells[0], tuple(cells[2:])), cells[1]


def _by_id(path: Path, lines: list[tuple[int, str]], examples: Sequence[Example]) -> Predicted:
    wanted, given = {example.id for example in examples}, dict[str, str]()
    for number, line in lines:
        record = json_record(path, number, line)
        if "id" not in record:
            raise bad_line(path, number, 'needs "id" and "prediction"')
        name = identifier(path, number, record)
        if name not in wanted or name in given:
            raise bad_line(
                path,
                number,
                f"the id {name!r} " + ("stands twice" if name in given else "is not in the data"),
            )
        given[name] = check_text(path, number, record.get("prediction"), empty=True)
    missing = [example.id for example in examples if example.id not in given]
    if missing:
        raise UserError(
            f"score {path}",
            f"{len(missing)} examples have no prediction, the first is {missing[0]!r}",
        )
    return [(example, given[example.id]) for example in examples]


def _in_order(path: Path, lines: list[tuple[int, str]], examples: Sequence[Example]) -> Predicted:
    if len(lines) != len(examples):
        raise UserError(
            f"score {path}",
            f"{len(lines)} lines for {len(examples)} examples",
            mend="give one line for each",
        )
    return [
        (example, check_text(path, number, line, empty=True))
        for example, (number, line) in zip(examples, lines, strict=True)
    ]
