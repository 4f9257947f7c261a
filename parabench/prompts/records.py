"""Task records from JSON or JSON Lines, each checked against its task's template before any model
sees it.

The rules are NeMo's (``gpt_prompt_learning_dataset.py`` v1.10, rules 2, 7 and 8) and those it
lacks: missing fields, unknown tasks, values that are not text, and values that hold a marker or a
slot. Each error names the file and line, and the task.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from parabench.contracts import UserError
from parabench.data.lines import distinct_names
from parabench.data.text_files import read_whole
from parabench.prompts.templates import BRACKET, PIECES, Template
from parabench.store.files import check_regular

RECORD_FILE_FORMATS = (".jsonl", ".json")
_LARGEST_ARRAY = 1 << 28
"""Bytes of a file that is one array, which is read whole; JSON Lines may have any number."""
_WHITESPACE = " \t\r\n"
"""What JSON allows between values."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_VALUE_SHOWN = 40
"""Characters of a value, in an error."""


@dataclass(frozen=True)
class TaskRecord:
    """One checked example of a task.

    ``id`` is ``file:line``, or ``record:number`` for records in memory; ``fields`` are the values
    by the names of the template's slots.
    """

    id: str
    taskname: str
    fields: Mapping[str, str]


def read_records(
    path: Path, templates: Mapping[str, Template], training: bool
) -> Iterator[TaskRecord]:
    """Yield the records of a file in order: one object a line, or one array of objects.

    With ``training`` every record needs its answer; without, the answer may be absent. Raises
    UserError at the first line that breaks a rule, and where the file cannot be read.
    """
    for number, content in read_objects(path):
        yield check_record(content, f"{path.name}:{number}", templates, training)


def read_objects(path: Path) -> Iterator[tuple[int, object]]:
    """What a file of records holds, unchecked, with the line on which each record begins.

    Raises UserError where the file cannot be read, or is neither JSON Lines nor a JSON array.
    """
    if path.suffix not in RECORD_FILE_FORMATS:
        found = f"a {path.suffix or 'nameless'} file"
        raise UserError(f"read the records {path}", found, RECORD_FILE_FORMATS)
    if _begins_as_array(path):
        yield from _array_items(path)
    else:
        yield from _json_lines(path)


def check_record(
    record: object, where: str, templates: Mapping[str, Template], training: bool
) -> TaskRecord:
    """Check one ``record`` against the template of its task; ``where`` names it in errors.

    ``templates`` are all tasks' by name. In ``training`` the answer is required; at inference it
    may be absent. Raises UserError for a record
    that is not an object of texts, an unknown task, a field too many or missing, and a value that
    holds a marker, a slot or half a character.
    """
    if not isinstance(record, Mapping):
        found = f"a {type(record).__name__}, not an object"
        raise _error(where, found, "write one JSON object for each record")
    task = record.get("taskname")
    if not isinstance(task, str) or task not in templates:
        found = "no taskname" if task is None else f"the taskname {task!r}"
        raise UserError(f"use the record {where}", found, sorted(templates))
    template = templates[task]
    where_and_task = f"{where} of task {task!r}"
    fields: dict[str, str] = {}
    for name, value in record.items():
        # Numbers are not turned into text: which form of 0.5 was meant is not known.
        if not isinstance(value, str):
            shown = json.dumps(value, default=str)[:_VALUE_SHOWN]
            found = f"the field {name!r} is not text but {shown}"
            raise _error(where_and_task, found, "write numbers and lists as text")
        fields[str(name)] = value
    del fields["taskname"]
    _check_names(where_and_task, template, fields, training)
    for name, value in fields.items():
        _check_value(where_and_task, template, name, value)
    return TaskRecord(where, template.taskname, fields)


def check_every_task_has_records(
    records: Iterable[TaskRecord], templates: Iterable[Template], what: str
) -> None:
    """Refuse, with UserError, a task without a single record; ``what`` says which records."""
    present = {record.taskname for record in records}
    for template in templates:
        task = template.taskname
        if task not in present:
            found = f"no record of the task {task!r}"
            mend = f"add records with the taskname {task!r}, or leave the task out"
            raise UserError(f"use the {what}", found, sorted(present), mend)


def _check_names(where: str, template: Template, fields: Mapping[str, str], training: bool) -> None:
    slots = ", ".join(template.fields) or "none"
    for name in fields:
        if name in template.fields:
            continue
        mend = "leave it out, or name it in the template"
        # NeMo's own example writes [sentence1], which is plain text.
        if name in BRACKET.findall(template.prompt_template):
            mend = f"write {{{name}}} in the template"
        found = f"the field {name!r}, for which the template has no slot; slots: {slots}"
        raise _error(where, found, mend)
    for name in template.fields:
        is_optional = name == template.answer_field and not training
        if name not in fields and not is_optional:
            found = f"no field {name!r}, for which the template has a slot; slots: {slots}"
            raise _error(where, found, f"add {name!r} to the record")


def _check_value(where: str, template: Template, name: str, value: str) -> None:
    """Refuse text that NeMo would have expanded: markers, and the slots of this template."""
    slots = {f"{{{field}}}" for field in template.fields}
    for piece in PIECES.findall(value):
        # Braces around anything but a slot's name are text, as in a record of source code.
        is_slot = piece.startswith("{")
        if piece in slots or not is_slot:
            found = f"{piece} inside the field {name!r}"
            raise _error(where, found, "take it out of the text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        found = f"half a character in the field {name!r} ({error.reason})"
        raise _error(where, found, "write it as UTF-8") from None


def _json_lines(path: Path) -> Iterator[tuple[int, object]]:
    """The line number and the value of every line."""
    check_regular(path)
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                yield number, _parse_line(line, f"{path.name}:{number}")
    except OSError as error:
        raise UserError(f"read the records {path}", str(error.strerror)) from None


def _parse_line(line: bytes, where: str) -> object:
    try:
        return json.loads(line, object_pairs_hook=distinct_names)
    except (ValueError, RecursionError) as error:
        raise _error(where, f"not JSON ({error})", "write one JSON object on each line") from None


def _begins_as_array(path: Path) -> bool:
    check_regular(path)
    try:
        with path.open("rb") as file:
            beginning = file.read(4096)
    except OSError as error:
        raise UserError(f"read the records {path}", str(error.strerror)) from None
    without_mark = beginning.removeprefix(_BYTE_ORDER_MARK)
    text = without_mark.lstrip(_WHITESPACE.encode())
    return text.startswith(b"[")


def _array_items(path: Path) -> Iterator[tuple[int, object]]:
    """The items of the file's one array, each with the number of the line on which it begins."""
    asked = f"read the records {path}"
    mend = "write one array of objects, or JSON Lines"
    try:
        text = read_whole(path, _LARGEST_ARRAY).decode("utf-8-sig")
    except OSError as error:
        raise UserError(asked, str(error.strerror)) from None
    except UnicodeDecodeError as error:
        raise UserError(asked, f"not UTF-8 ({error.reason})", mend="save it as UTF-8") from None
    try:
        items = json.loads(text, object_pairs_hook=distinct_names)
    except (ValueError, RecursionError) as error:
        raise UserError(asked, f"not JSON ({error})", mend=mend) from None
    lines = _item_lines(text, len(items))
    return zip(lines, items, strict=True)


def _item_lines(text: str, count: int) -> Iterator[int]:
    """The line on which each of ``count`` items of a valid JSON array begins, counted from 1."""
    decoder = json.JSONDecoder()
    place = text.index("[") + 1
    line = 1
    # Line breaks before this place are counted in ``line``.
    counted_to = 0
    for _ in range(count):
        # Between two items there is whitespace and one comma.
        while text[place] in _WHITESPACE + ",":
            place += 1
        line += text.count("\n", counted_to, place)
        counted_to = place
        yield line
        _, place = decoder.raw_decode(text, place)


def _error(where: str, found: str, mend: str) -> UserError:
    return UserError(f"use the record {where}", found, mend=mend)
