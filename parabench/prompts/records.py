"""Task records from JSON Lines: every line checked against its task's template before any model
sees it.

The rules are NeMo's (``gpt_prompt_learning_dataset.py`` v1.10, rules 2, 7 and 8) and those it
lacks: missing fields, unknown tasks, values that are no text, and values that hold a marker or a
slot. Each error names file and line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from parabench.contracts import UserError
from parabench.prompts.templates import BRACKET, PIECES, Template


@dataclass(frozen=True)
class TaskRecord:
    """One checked example of a task; ``id`` is ``file:line``."""

    id: str
    taskname: str
    fields: Mapping[str, str]


def read_records(
    path: Path, templates: Mapping[str, Template], training: bool
) -> Iterator[TaskRecord]:
    """The records of a JSON Lines file, in order; UserError at the first line that breaks a
    rule.
    """
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                where = f"{path.name}:{number}"
                yield check_record(_parse(line, where), where, templates, training)
    except OSError as error:
        raise UserError(f"read the records {path}", str(error.strerror)) from None


def check_records(
    records: Iterable[Mapping[str, object]], templates: Mapping[str, Template], training: bool
) -> Iterator[TaskRecord]:
    """The same for records that are in memory; ``id`` is ``record:number``."""
    for number, record in enumerate(records, start=1):
        yield check_record(record, f"record:{number}", templates, training)


def check_record(
    record: object, where: str, templates: Mapping[str, Template], training: bool
) -> TaskRecord:
    """One record against its template; in training the answer is required, at inference it may be
    absent.
    """
    if not isinstance(record, Mapping) or not all(
        isinstance(value, str) for value in record.values()
    ):
        raise _error(
            where, "not an object whose values are all text", "write numbers and lists as text"
        )
    fields = {str(name): str(value) for name, value in record.items() if name != "taskname"}
    task = record.get("taskname")
    if task not in templates:
        raise UserError(f"use the record {where}", f"the taskname {task!r}", sorted(templates))
    template = templates[str(task)]
    _check_names(where, template, fields, training)
    for name, value in fields.items():
        _check_value(where, template, name, value)
    return TaskRecord(where, template.taskname, fields)


def _check_names(where: str, template: Template, fields: Mapping[str, str], training: bool) -> None:
    extra = [name for name in fields if name not in template.fields]
    if extra:
        bracketed = extra[0] in BRACKET.findall(template.prompt_template)
        mend = (
            f"write {{{extra[0]}}} in the template"
            if bracketed
            else "leave it out, or name it in the template"
        )
        raise _error(
            where,
            f"the field {extra[0]!r}, which the template of {template.taskname!r} has not",
            mend,
        )
    optional = () if training else (template.answer_field,)
    missing = [name for name in template.fields if name not in fields and name not in optional]
    if missing:
        raise _error(
            where,
            f"no field {missing[0]!r}, which the template of {template.taskname!r} has",
            "add it",
        )


def _check_value(where: str, template: Template, name: str, value: str) -> None:
    slots = {f"{{{field}}}" for field in template.fields}
    inside = [
        piece for piece in PIECES.findall(value) if piece in slots or not piece.startswith("{")
    ]
    if inside:
        raise _error(where, f"{inside[0]} inside the field {name!r}", "take it out of the text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise _error(
            where, f"half a character in the field {name!r} ({error.reason})", "write it as UTF-8"
        ) from None


def _parse(line: bytes, where: str) -> object:
    try:
        return json.loads(line)
    except ValueError as error:
        raise _error(where, f"not JSON ({error})", "write one JSON object on each line") from None


def _error(where: str, found: str, mend: str) -> UserError:
    return UserError(f"use the record {where}", found, mend=mend)
