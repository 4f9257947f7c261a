"""The task table: the prompts of several tasks, of any lengths, in one file and in one batch.

On disk: ``prompt_table.safetensors`` with one tensor a task, and ``prompt_table.json`` beside it.
In a batch: one matrix with all prompts under each other, in which row ids of task t are moved by
the lengths of the tasks before it. After NeMo's prompt table (``prompt_table.py`` v1.10), which
wanted equal lengths of tasks trained together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from parabench.contracts import UserError
from parabench.inference.prompt_ids import PromptIds
from parabench.prompts.adapters import check_base
from parabench.prompts.facts import ADAPTER_FORMAT, BaseIdentity
from parabench.prompts.files import (
    check_matrix,
    damaged_adapter,
    pack_tensors,
    read_adapter_file,
    read_json_object,
    to_json_bytes,
    unpack_tensors,
    verify_checksums,
    with_checksums,
)
from parabench.prompts.records import TaskRecord
from parabench.prompts.rendering import Rendered, TooLongError, render
from parabench.prompts.templates import Template, templates_by_name
from parabench.prompts.validation import STRICT_KEYS, validate_dataclass
from parabench.store.files import write_atomically

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from parabench.models.local import Checkpoint

TABLE_TENSORS_FILE, TABLE_FACTS_FILE = "prompt_table.safetensors", "prompt_table.json"


@dataclass(frozen=True, eq=False)
class TaskTable:
    """Prompts ``[P, H]`` by task name, with their templates in the same order, for one base
    model.
    """

    base: BaseIdentity
    templates: tuple[Template, ...]
    prompts: Mapping[str, Float[Tensor, "_ H"]]

    @cached_property
    def virtual(self) -> Float[Tensor, "P H"]:
        """All prompts under each other, in the order of the templates."""
        empty = torch.empty(0, self.base.width)
        return torch.cat([empty, *(self.prompts[template.taskname] for template in self.templates)])


@dataclass(frozen=True)
class TableFacts:
    """What stands in ``prompt_table.json``."""

    __pydantic_config__: ClassVar = STRICT_KEYS

    base: BaseIdentity
    templates: tuple[Template, ...]
    sha256: str
    origin: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    format: int = ADAPTER_FORMAT


def prompt_offsets(templates: Sequence[Template]) -> dict[str, int]:
    """Where each task's rows begin in the matrix of all prompts."""
    starts = accumulate((template.total_virtual_tokens for template in templates), initial=0)
    return {template.taskname: start for template, start in zip(templates, starts, strict=False)}


def split_prompts(
    virtual: Float[Tensor, "P H"], templates: Sequence[Template]
) -> dict[str, Float[Tensor, "_ H"]]:
    """The prompts of the matrix that stacks them, by task name."""
    parts = virtual.split([template.total_virtual_tokens for template in templates])
    return {
        template.taskname: part.clone() for template, part in zip(templates, parts, strict=True)
    }


def shift_virtual_ids(rendered: Rendered, offset: int) -> Rendered:
    """The same record with its virtual rows taken from ``offset`` on."""
    return replace(
        rendered, ids=tuple(token - offset if token < 0 else token for token in rendered.ids)
    )


def plan_new_tasks(
    templates: Sequence[Template],
    new_tasks: Sequence[str],
    existing_tasks: Sequence[str],
    table: TaskTable | None,
) -> tuple[Template, ...]:
    """The templates to be tuned, checked: UserError for tasks that are unknown, named twice, or in
    both lists.
    """
    known, there = templates_by_name(tuple(templates)), dict(table.prompts) if table else {}
    for name in [*new_tasks, *existing_tasks]:
        if [*new_tasks, *existing_tasks].count(name) > 1:
            raise UserError(
                f"tune the task {name!r}", "it is named twice among new_tasks and existing_tasks"
            )
    for name in new_tasks:
        if name not in known:
            raise UserError(f"tune the new task {name!r}", "it has no template", sorted(known))
        if name in there:
            raise UserError(
                f"tune the new task {name!r}",
                "the table has it",
                mend="remove it there, or rename it",
            )
    for name in existing_tasks:
        if name not in there:
            raise UserError(
                f"keep the existing task {name!r}", "the table has it not", sorted(there)
            )
    if not new_tasks:
        raise UserError("tune new tasks", "new_tasks is empty", sorted(set(known) - set(there)))
    return tuple(known[name] for name in new_tasks)


def add_task(table: TaskTable, template: Template, prompt: Float[Tensor, "P H"]) -> TaskTable:
    """The table with one task more; every other prompt stays the same tensor."""
    if template.taskname in table.prompts:
        raise UserError(
            f"add the task {template.taskname!r}",
            "the table has it",
            mend="remove it first, or rename it",
        )
    _check(Path(template.taskname), table.base, template, prompt)
    kept = prompt.detach().to("cpu", torch.float32)
    return TaskTable(
        table.base, (*table.templates, template), {**table.prompts, template.taskname: kept}
    )


def remove_task(table: TaskTable, taskname: str) -> TaskTable:
    """The table without a task."""
    _known(templates_by_name(table.templates), taskname)
    templates = tuple(template for template in table.templates if template.taskname != taskname)
    return TaskTable(
        table.base, templates, {t.taskname: table.prompts[t.taskname] for t in templates}
    )


def render_tasks(
    templates: Sequence[Template],
    records: Iterable[TaskRecord],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    training: bool = False,
) -> tuple[list[Rendered], list[str]]:
    """Records of any of these tasks, with rows of the matrix that stacks their prompts; and ids of
    those too long.
    """
    tasks, starts = templates_by_name(tuple(templates)), prompt_offsets(templates)
    fitting: list[Rendered] = []
    rejected: list[str] = []
    for record in records:
        try:
            rendered = render(
                _known(tasks, record.taskname), record.fields, tokenizer, max_length, training
            )
        except TooLongError:
            rejected.append(record.id)
            continue
        fitting.append(shift_virtual_ids(rendered, starts[record.taskname]))
    return fitting, rejected


def table_prompt_ids(
    table: TaskTable,
    records: Iterable[TaskRecord],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
) -> tuple[list[PromptIds], list[str]]:
    """Inference rows of records of any tasks, for one batch, and the ids of records that do not
    fit.
    """
    rendered, rejected = render_tasks(table.templates, records, tokenizer, max_length)
    return [PromptIds(one.ids, table.virtual) for one in rendered], rejected


def save_table(
    folder: Path, table: TaskTable, origin: str = "", versions: Mapping[str, str] | None = None
) -> None:
    """Write the table, each file whole or not at all; the facts with the checksum last."""
    content = pack_tensors(table.prompts)
    facts = TableFacts(
        table.base, table.templates, hashlib.sha256(content).hexdigest(), origin, versions or {}
    )
    write_atomically(folder / TABLE_TENSORS_FILE, content)
    write_atomically(folder / TABLE_FACTS_FILE, to_json_bytes(with_checksums(asdict(facts))))


def load_table(folder: Path, base: Checkpoint | None = None) -> TaskTable:
    """Read and verify a table; with ``base``, refuse one made for another model."""
    facts = validate_dataclass(
        TableFacts,
        verify_checksums(folder, TABLE_FACTS_FILE, read_json_object(folder, TABLE_FACTS_FILE)),
        f"read the task table {folder}",
    )
    content = read_adapter_file(folder, TABLE_TENSORS_FILE)
    if hashlib.sha256(content).hexdigest() != facts.sha256:
        raise damaged_adapter(
            folder, f"{TABLE_TENSORS_FILE} is not the file that {TABLE_FACTS_FILE} was written for"
        )
    prompts, templates = (
        unpack_tensors(folder / TABLE_TENSORS_FILE, content),
        templates_by_name(facts.templates),
    )
    if set(prompts) != set(templates):
        raise damaged_adapter(
            folder, f"tensors of {sorted(prompts)}, templates of {sorted(templates)}"
        )
    for name, template in templates.items():
        _check(folder, facts.base, template, prompts[name])
    if base is not None:
        check_base(folder, facts.base, base)
    return TaskTable(facts.base, facts.templates, prompts)


def _known(tasks: Mapping[str, Template], taskname: str) -> Template:
    if taskname not in tasks:
        raise UserError(f"use the task {taskname!r}", "the table has it not", sorted(tasks))
    return tasks[taskname]


def _check(where: Path, base: BaseIdentity, template: Template, prompt: Tensor) -> None:
    wanted = (template.total_virtual_tokens, base.width)
    if tuple(check_matrix(where, prompt).shape) != wanted:
        raise damaged_adapter(
            where, f"the prompt of {template.taskname!r} is {tuple(prompt.shape)}, not {wanted}"
        )
