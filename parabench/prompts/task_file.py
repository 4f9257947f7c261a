"""Tasks files: the templates of several tasks as a list, in TOML, YAML or JSON.

The shape is that of NeMo's notebook ``Multitask_Prompt_and_PTuning.ipynb``: a list of tables with
``taskname``, ``prompt_template``, ``total_virtual_tokens``, ``virtual_token_splits`` and
``truncate_field``; ``answer_field``, ``answer_only_loss``, ``stop`` and ``max_new_tokens`` may be
left out. In TOML each table is headed ``[[task]]``; in YAML and JSON the list may stand by itself
or under ``task_templates``, as in NeMo's configuration files.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from parabench.contracts import UserError
from parabench.data.lines import distinct_names
from parabench.data.text_files import read_whole
from parabench.prompts.templates import (
    Template,
    parse_template,
    template_slots,
    templates_by_name,
)

TASK_FILE_FORMATS = (".toml", ".yaml", ".yml", ".json")
_LARGEST = 1 << 20
"""Bytes of a file of tasks."""
_LIST_KEYS = ("task_templates", "tasks", "task")
_EXAMPLE = "see docs/tasks.md for a tasks file in each format"
_RESERVED_NAME = "__metadata__"
"""Where safetensors keeps what is no tensor; a table's tensors have the names of its tasks."""


def read_task_file(path: Path) -> tuple[Template, ...]:
    """Read the templates of a tasks file, in its order.

    Raises UserError, naming the file and the task, for an unreadable file, a list that is missing
    or empty, an unknown or missing key, a rule of ``Template`` that is broken, and a name that is
    used twice. Beyond the rules of ``Template`` those of
    ``check_written_template`` hold.
    """
    templates = tuple(
        _read_entry(path, number, entry) for number, entry in enumerate(_entries(path), start=1)
    )
    if not templates:
        raise UserError(f"read the tasks file {path}", "no task", mend=_EXAMPLE)
    try:
        templates_by_name(templates)
    except UserError as error:
        mend = "give each task a name of its own"
        raise UserError(f"read the tasks file {path}", error.found, mend=mend) from None
    return templates


def with_answer(settings: Mapping[str, object]) -> dict[str, object]:
    """The settings with ``answer_field`` filled in: the last slot, where the template ends with it.

    NeMo's notebook leaves the key out where ``answer_only_loss`` is false; the field is then still
    what the model is to write, and is absent from test records.
    """
    text = settings.get("prompt_template")
    if "answer_field" in settings or not isinstance(text, str):
        return dict(settings)
    slots = template_slots(text)
    if not slots:
        return dict(settings)
    last = slots[-1]
    ends_with_slot = text.endswith(f"{{{last}}}")
    # A slot that stands earlier too is part of the question, so it cannot be the answer.
    if not ends_with_slot or slots.count(last) > 1:
        return dict(settings)
    return {**settings, "answer_field": last}


def parse_yaml(text: str | bytes) -> object:
    """What a YAML document holds, without its tags.

    Raises ``yaml.YAMLError`` for anything but one document of plain values, and for a key that
    occurs twice in a mapping, of which PyYAML keeps the last unseen; ValueError for a date that is
    none; RecursionError where values are nested too deep.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    waiting = [root]
    # An alias is the node of its anchor, so a node may be met again, even within itself.
    met: set[int] = set()
    while waiting:
        node = waiting.pop()
        if id(node) in met:
            continue
        met.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        if isinstance(node, yaml.MappingNode):
            _check_distinct_keys(node)
            waiting += [value for _, value in node.value]
    return yaml.safe_load(text)


def _check_distinct_keys(mapping: yaml.MappingNode) -> None:
    names: set[str] = set()
    for key, _ in mapping.value:
        if not isinstance(key, yaml.ScalarNode):
            continue  # refused by the constructor: such a key has no hash
        if key.value in names:
            problem = f"the key {key.value!r} occurs twice"
            raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
        names.add(key.value)


def check_written_template(template: Template) -> None:
    """Refuse what a stored template may be, and one that a user writes may not.

    Raises UserError for a name that options and table files cannot tell from others (control
    characters, ``,`` and ``=``, spaces around it), for a template without a slot, whose records
    would all read the same, for a slot that no record can fill, and for half a character.
    """
    asked = f"use the template of task {template.taskname!r}"
    for found, mend in _written_faults(template):
        raise UserError(asked, found, mend=mend)


def _written_faults(template: Template) -> Iterator[tuple[str, str]]:
    name = template.taskname
    text = template.prompt_template
    # Half a surrogate pair is a character to Python, and cannot be written as UTF-8.
    written = "".join((name, text, template.system, *template.stop))
    try:
        written.encode()
    except UnicodeEncodeError as error:
        yield f"half a character ({error.reason})", "write it as UTF-8"
        return
    if not name.isprintable() or name.strip() != name or set(name) & set(",="):
        found = "a name with a comma, =, a control character or spaces around it"
        yield found, "use letters, digits, - and _: options name tasks as a,b and TASK=NAME"
    if name == _RESERVED_NAME:
        yield "a name that safetensors keeps for itself", "use another name"
    if not template.fields:
        yield "no slot, so that all records would read the same", "write {field} where one stands"
    if "{}" in text:
        yield "a slot without a name, {}", "name the record's field in it"
    for slot in template.fields:
        if slot == "taskname":
            yield "a slot {taskname}, which no record fills: it names the task", "rename the field"
        if slot.strip() != slot:
            yield f"spaces around the name in the slot {{{slot}}}", f"write {{{slot.strip()}}}"


def _entries(path: Path) -> list[object]:
    """The list of tables in a file, whichever way it is written down."""
    asked = f"read the tasks file {path}"
    content = _parse_file(path)
    if isinstance(content, Mapping):
        model = content.get("model")
        if isinstance(model, Mapping):
            content = model  # NeMo's whole configuration file
    if isinstance(content, Mapping):
        present = [key for key in _LIST_KEYS if key in content]
        # With two lists it is not known which one is meant.
        if len(present) != 1:
            keys = ", ".join(map(str, content)) or "none"
            mend = "name the list of tasks by one of these keys"
            raise UserError(asked, f"the keys {keys}", _LIST_KEYS, mend)
        content = content[present[0]]
    if not isinstance(content, list):
        found = f"a {type(content).__name__} where the list of tasks belongs"
        raise UserError(asked, found, mend=_EXAMPLE)
    return content


def _parse_file(path: Path) -> object:
    asked = f"read the tasks file {path}"
    if path.suffix not in TASK_FILE_FORMATS:
        raise UserError(asked, f"a {path.suffix or 'nameless'} file", TASK_FILE_FORMATS)
    try:
        # Editors of Windows write a byte order mark.
        text = read_whole(path, _LARGEST).decode("utf-8-sig")
    except OSError as error:
        raise UserError(asked, str(error.strerror), mend=_EXAMPLE) from None
    except UnicodeDecodeError as error:
        raise UserError(asked, f"not UTF-8 ({error.reason})", mend="save it as UTF-8") from None
    try:
        if path.suffix == ".toml":
            return tomllib.loads(text)
        if path.suffix == ".json":
            return json.loads(text, object_pairs_hook=distinct_names)
        return parse_yaml(text)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        kind = path.suffix.removeprefix(".").upper()
        # Messages of YAML run over several lines.
        reason = " ".join(str(error).split())
        found = f"not {kind} ({reason})"
        raise UserError(asked, found, mend=_EXAMPLE) from None


def _read_entry(path: Path, number: int, entry: object) -> Template:
    """One entry as a template; an error names the file and the entry besides the task."""
    where = f"read entry {number} of the tasks file {path}"
    if not isinstance(entry, Mapping):
        found = f"a {type(entry).__name__} where a table of settings belongs"
        raise UserError(where, found, mend=_EXAMPLE)
    settings = {str(key): value for key, value in entry.items()}
    try:
        template = parse_template(with_answer(settings))
        check_written_template(template)
        return template
    except UserError as error:
        asked = f"{where}, task {settings.get('taskname')!r}"
        raise UserError(asked, error.found, error.choices, error.mend) from None
