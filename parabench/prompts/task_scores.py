"""Answers of tasks on disk, and their scores: intervals and paired tests by measure and combine.

An answers file is JSON Lines, one line a record in the records' order, with the record's own fields
beside the text; so a line is never taken for the answer to another record.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from parabench.contracts import Example, Scorer, UserError
from parabench.prompts.answering import TaskAnswer
from parabench.prompts.records import TaskRecord, check_record, read_objects
from parabench.prompts.templates import Template
from parabench.stats.arrays import corpus_value
from parabench.stats.resampling import interval
from parabench.stats.significance import paired_test
from parabench.store.files import read_bytes, write_atomically


@dataclass(frozen=True)
class TaskScore:
    """One column of one task: value and 95 % bootstrap interval over ``answered`` records.

    ``missing`` counts records without an answer, which no column counts. ``p`` is that of the
    paired test against the other answers, where there are such.
    """

    taskname: str
    column: str
    better: str
    value: float
    low: float
    high: float
    answered: int
    missing: int
    signature: str
    p: float | None = None


@dataclass(frozen=True)
class TaskSheet:
    """The records of one task with right answers, and what a model answered ("": a problem)."""

    examples: tuple[Example, ...]
    texts: tuple[str, ...]
    answered: tuple[bool, ...]


def write_answers(path: Path, records: Sequence[TaskRecord], answers: Sequence[TaskAnswer]) -> None:
    """Write one line for each record: its id, task and fields, and its answer or the reason why
    there is none.
    """
    lines = []
    for record, answer in zip(records, answers, strict=True):
        line = {**asdict(answer), "fields": dict(record.fields)}
        lines.append(json.dumps(line, ensure_ascii=False, sort_keys=True) + "\n")
    write_atomically(path, "".join(lines).encode())


def read_answers(path: Path) -> list[dict[str, Any]]:
    """The lines of an answers file; UserError where one is not such a line."""
    found = []
    for number, line in enumerate(read_bytes(path).splitlines(), start=1):
        try:
            answer = json.loads(line)
            complete = {"taskname", "text", "problem", "fields"} <= answer.keys()
        except (ValueError, AttributeError):
            complete = False
        if not complete:
            asked = f"read line {number} of the answers {path}"
            raise UserError(asked, "not an answer", mend="parabench tasks run TABLE --output FILE")
        found.append(answer)
    return found


def read_truth(
    path: Path, templates: Mapping[str, Template]
) -> list[tuple[TaskRecord, tuple[str, ...]]]:
    """The records of a file with their right answers, of which there may be several in a list.

    The record comes without its answer. Raises UserError where a record breaks a rule of
    ``check_record`` or has no answer, and where a task has no ``answer_field``.
    """
    found = []
    for number, content in read_objects(path):
        where = f"{path.name}:{number}"
        task = str(content.get("taskname")) if isinstance(content, Mapping) else ""
        name = templates[task].answer_field if task in templates else None
        if not isinstance(content, Mapping) or task not in templates:
            check_record(content, where, templates, training=True)
            continue
        if name is None:
            asked = f"score the task {task!r}"
            raise UserError(asked, "its template has no answer_field", mend="set answer_field")
        given = content.get(name)
        accepted = tuple(given) if isinstance(given, list) else (given,)
        if not accepted or not all(isinstance(text, str) for text in accepted):
            value = f"{name!r} is {json.dumps(given)[:40]}"
            mend = "give the right answer as text, or several as a list of texts"
            raise UserError(f"score the record {where} of task {task!r}", value, mend=mend)
        asked_alone = {key: value for key, value in content.items() if key != name}
        found.append((check_record(asked_alone, where, templates, training=False), accepted))
    return found


def match_answers(
    truth: Sequence[tuple[TaskRecord, tuple[str, ...]]],
    answers: Sequence[Mapping[str, Any]],
    templates: Mapping[str, Template],
    where: str,
) -> dict[str, TaskSheet]:
    """Answers beside the records that they answer, by task, in the order of the records.

    Raises UserError, naming ``where`` the answers were read, unless line n of the answers is of
    record n: its task and its fields are compared.
    """
    if len(truth) != len(answers):
        found = f"{len(answers)} answers, {len(truth)} records"
        raise UserError(f"score the answers {where}", found, mend="score with the same records")
    rows: dict[str, list[tuple[Example, str, bool]]] = {}
    for (record, accepted), answer in zip(truth, answers, strict=True):
        hidden = templates[record.taskname].answer_field
        asked = {key: text for key, text in answer["fields"].items() if key != hidden}
        if (answer["taskname"], asked) != (record.taskname, record.fields):
            found = f"an answer to another record than {record.id}"
            raise UserError(f"score the answers {where}", found, mend="score with the same records")
        example = Example(record.id, _source(record), accepted)
        row = (example, str(answer["text"]), not answer["problem"])
        rows.setdefault(record.taskname, []).append(row)
    sheets = {}
    for task, of_task in rows.items():
        examples, texts, answered = zip(*of_task, strict=True)
        sheets[task] = TaskSheet(examples, texts, answered)
    return sheets


def score_task(
    taskname: str,
    sheet: TaskSheet,
    scorer: Scorer,
    seed: int,
    other: TaskSheet | None = None,
) -> Iterator[TaskScore]:
    """The scorer's columns on one task; with ``other`` answers, p-values of paired tests too.

    Only records that have an answer in each of the two are compared. ``seed`` draws the bootstrap
    samples and the swaps.
    """
    kept = np.array(sheet.answered)
    if other is not None:
        kept &= np.array(other.answered)
    places = np.flatnonzero(kept)
    missing = len(kept) - len(places)
    if not len(places):
        raise UserError(f"score the task {taskname!r}", "no record has an answer")
    statistics = _measure(scorer, sheet, places)
    values = corpus_value(scorer.combine, statistics)
    low, high = interval(scorer.combine, statistics, seed)
    tests = None
    if other is not None:
        tests = paired_test(scorer.combine, statistics, _measure(scorer, other, places), seed)
    for number, column in enumerate(scorer.columns):
        yield TaskScore(
            taskname,
            column.name,
            column.better,
            float(values[number]),
            float(low[number]),
            float(high[number]),
            len(places),
            missing,
            str(scorer.signature),
            None if tests is None else float(tests[number]),
        )


def _measure(scorer: Scorer, sheet: TaskSheet, places: np.ndarray) -> Float[np.ndarray, "N K"]:
    examples = [sheet.examples[place] for place in places]
    return scorer.measure(examples, [sheet.texts[place] for place in places])


def _source(record: TaskRecord) -> str:
    """What the record asks, as one text: its only field, or all as JSON."""
    values = list(record.fields.values())
    if len(values) == 1:
        return values[0]
    return json.dumps(dict(record.fields), ensure_ascii=False, sort_keys=True)
