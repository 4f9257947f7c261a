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
from parabench.data.lines import distinct_names
from parabench.prompts.answering import TaskAnswer
from parabench.prompts.records import TaskRecord, check_record, read_objects
from parabench.prompts.templates import Template
from parabench.stats.arrays import corpus_value
from parabench.stats.intervals import only_of_enough
from parabench.stats.resampling import interval
from parabench.stats.significance import paired_test
from parabench.store.files import read_bytes, write_atomically


@dataclass(frozen=True)
class TaskScore:
    """One column of one task: value and 95 % bootstrap interval over ``answered`` records.

    The ends are NaN where there are too few records for an interval.
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
        # With the record's own fields, so that a line is never taken for another record's answer.
        line = {**asdict(answer), "fields": dict(record.fields)}
        lines.append(json.dumps(line, ensure_ascii=False, sort_keys=True) + "\n")
    write_atomically(path, "".join(lines).encode())


def read_answers(path: Path) -> list[dict[str, Any]]:
    """The lines of an answers file; UserError where one is not such a line."""
    found = []
    for number, line in enumerate(read_bytes(path).splitlines(), start=1):
        try:
            answer = json.loads(line, object_pairs_hook=distinct_names)
        except (ValueError, RecursionError):
            answer = None
        if not _is_answer(answer):
            asked = f"read line {number} of the answers {path}"
            raise UserError(asked, "not an answer", mend="parabench tasks run TABLE --output FILE")
        found.append(answer)
    return found


def _is_answer(line: object) -> bool:
    """Whether a parsed line has what every answer has, each of its kind."""
    if not isinstance(line, Mapping) or not isinstance(line.get("fields"), Mapping):
        return False
    texts = (line.get(name) for name in ("taskname", "text", "problem"))
    return all(isinstance(text, str) for text in texts)


def read_truth(
    path: Path, templates: Mapping[str, Template]
) -> list[tuple[TaskRecord, tuple[str, ...]]]:
    """The records of a file with their right answers, of which there may be several in a list.

    The record comes without its answer. Raises UserError where a record breaks a rule of
    ``check_record`` or has no answer, and where a task has no ``answer_field``.
    """
    truth = []
    for number, content in read_objects(path):
        where = f"{path.name}:{number}"
        task = content.get("taskname") if isinstance(content, Mapping) else None
        has_template = isinstance(task, str) and task in templates
        if not isinstance(content, Mapping) or not has_template:
            # This always raises, by the rule that the record breaks.
            check_record(content, where, templates, training=True)
            continue
        truth.append(_split_truth(content, where, templates))
    return truth


def _split_truth(
    content: Mapping[str, Any], where: str, templates: Mapping[str, Template]
) -> tuple[TaskRecord, tuple[str, ...]]:
    """A record of a known task without its answer, and the answers that are right."""
    task = content["taskname"]
    answer_field = templates[task].answer_field
    if answer_field is None:
        asked = f"score the task {task!r}"
        raise UserError(asked, "its template has no answer_field", mend="set answer_field")
    given = content.get(answer_field)
    # SQuAD's questions have several right answers; most tasks have one.
    accepted = tuple(given) if isinstance(given, list) else (given,)
    are_texts = [isinstance(text, str) for text in accepted]
    if not accepted or not all(are_texts):
        asked = f"score the record {where} of task {task!r}"
        found = f"{answer_field!r} is {json.dumps(given)[:40]}"
        mend = "give the right answer as text, or several as a list of texts"
        raise UserError(asked, found, mend=mend)
    question = dict(content)
    question.pop(answer_field)
    record = check_record(question, where, templates, training=False)
    return record, accepted


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
    asked = f"score the answers {where}"
    mend = "score with the same records"
    if len(truth) != len(answers):
        found = f"{len(answers)} answers, {len(truth)} records"
        raise UserError(asked, found, mend=mend)
    rows: dict[str, list[tuple[Example, str, bool]]] = {}
    for (record, accepted), answer in zip(truth, answers, strict=True):
        # The records that were answered may have held their answers; the truth here does not.
        question = dict(answer["fields"])
        question.pop(templates[record.taskname].answer_field, None)
        same_task = answer["taskname"] == record.taskname
        if not same_task or question != record.fields:
            found = f"an answer to another record than {record.id}"
            raise UserError(asked, found, mend=mend)
        example = Example(record.id, _source(record), accepted)
        was_answered = not answer["problem"]
        row = (example, str(answer["text"]), was_answered)
        rows.setdefault(record.taskname, []).append(row)
    sheets = {}
    for task, of_task in rows.items():
        # From rows to columns, as scorers take them.
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
    """The columns of ``scorer`` on the answers ``sheet`` of one task.

    With ``other`` answers, p-values of paired tests too: only records that have an answer in each
    of the two are compared. ``seed`` draws the bootstrap samples and the swaps. Raises UserError,
    naming the task by ``taskname``, where no record is left.
    """
    kept = np.array(sheet.answered)
    if other is not None:
        # A paired test needs both answers to a record, and the value is of the same records.
        kept &= np.array(other.answered)
    places = np.flatnonzero(kept)
    missing = len(kept) - len(places)
    if not len(places):
        raise UserError(f"score the task {taskname!r}", "no record has an answer")
    statistics = _measure(scorer, sheet, places)
    # Measured once; value, interval and test are computed from the same statistics.
    values = corpus_value(scorer.combine, statistics)
    ends = interval(scorer.combine, statistics, seed)
    low, high = only_of_enough(*ends, len(places))
    tests = None
    if other is not None:
        theirs = _measure(scorer, other, places)
        tests = paired_test(scorer.combine, statistics, theirs, seed)
    for number, column in enumerate(scorer.columns):
        p_value = None if tests is None else float(tests[number])
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
            p_value,
        )


def _measure(scorer: Scorer, sheet: TaskSheet, places: np.ndarray) -> Float[np.ndarray, "N K"]:
    examples = [sheet.examples[place] for place in places]
    texts = [sheet.texts[place] for place in places]
    return scorer.measure(examples, texts)


def _source(record: TaskRecord) -> str:
    """What the record asks, as one text: its only field, or all as JSON."""
    values = list(record.fields.values())
    if len(values) == 1:
        return values[0]
    return json.dumps(dict(record.fields), ensure_ascii=False, sort_keys=True)
