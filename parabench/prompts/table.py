"""The task table: the prompts of several tasks, of any lengths, in one batch.

One matrix has all prompts under each other, and the virtual ids of a task are moved by the lengths
of the tasks before it. After NeMo's prompt table (``prompt_table.py`` v1.10), which wanted equal
lengths of tasks trained together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from parabench.contracts import UserError
from parabench.prompts.adapters import Adapter
from parabench.prompts.facts import AdapterFacts, BaseIdentity
from parabench.prompts.files import (
    check_matrix,
    damaged_adapter,
    pack_tensors,
)
from parabench.prompts.peft_format import PEFT_TENSOR_KEY
from parabench.prompts.rendering import Rendered
from parabench.prompts.templates import MARKER, Template, templates_by_name


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
        # A table without tasks has a matrix of no rows.
        empty = torch.empty(0, self.base.width)
        prompts = [self.prompts[one.taskname] for one in self.templates]
        return torch.cat([empty, *prompts])


def prompt_offsets(templates: Sequence[Template]) -> dict[str, int]:
    """The row of the matrix of all prompts at which each task's prompt begins."""
    offsets = {}
    start = 0
    for template in templates:
        offsets[template.taskname] = start
        start += template.total_virtual_tokens
    return offsets


def split_prompts(
    virtual: Float[Tensor, "P H"], templates: Sequence[Template]
) -> dict[str, Float[Tensor, "_ H"]]:
    """The prompts of the matrix that stacks them, by task name."""
    lengths = [template.total_virtual_tokens for template in templates]
    parts = virtual.split(lengths)
    prompts = {}
    for template, part in zip(templates, parts, strict=True):
        # A copy: a part is a view, which training the matrix would change.
        prompts[template.taskname] = part.clone()
    return prompts


def shift_virtual_ids(rendered: Rendered, offset: int) -> Rendered:
    """The same record with its virtual rows taken from row ``offset`` on."""
    # Row k is the id -1-k, so rows further down have smaller ids.
    ids = tuple(token - offset if token < 0 else token for token in rendered.ids)
    return replace(rendered, ids=ids)


def plan_new_tasks(
    templates: Sequence[Template],
    new_tasks: Sequence[str],
    existing_tasks: Sequence[str],
    table: TaskTable | None,
) -> tuple[Template, ...]:
    """The templates of the tasks to be tuned, in the order of ``new_tasks``.

    Raises UserError for a task without a template among ``templates``, a new task that ``table``
    has, an existing task that it lacks, a task that is named twice, and for no new task at all.
    """
    known = templates_by_name(tuple(templates))
    present = set(table.prompts) if table else set()
    named = [*new_tasks, *existing_tasks]
    for name in named:
        if named.count(name) > 1:
            found = "it is named twice among the new and the existing tasks"
            raise UserError(f"tune the task {name!r}", found, mend="name it once")
    for name in new_tasks:
        if name in present:
            mend = "remove it there (parabench tasks remove), or rename it"
            raise UserError(f"tune the new task {name!r}", "it is in the table already", mend=mend)
        if name not in known:
            raise UserError(f"tune the new task {name!r}", "it has no template", sorted(known))
    for name in existing_tasks:
        if name not in present:
            asked = f"keep the existing task {name!r}"
            raise UserError(asked, "no such task in the table", sorted(present))
    if not new_tasks:
        raise UserError("tune new tasks", "no new task is named", sorted(set(known) - present))
    return tuple(known[name] for name in new_tasks)


def add_task(table: TaskTable, template: Template, prompt: Float[Tensor, "P H"]) -> TaskTable:
    """The table with one task more; every other prompt stays the same tensor.

    Raises UserError where the table has the task, or the prompt is not ``[P, H]`` of the template's
    virtual tokens and the base's width.
    """
    name = template.taskname
    if name in table.prompts:
        mend = "remove it first (parabench tasks remove), or rename it"
        raise UserError(f"add the task {name!r}", "it is in the table already", mend=mend)
    wanted = (template.total_virtual_tokens, table.base.width)
    if tuple(prompt.shape) != wanted:
        found = f"its prompt is {tuple(prompt.shape)}, template and base model need {wanted}"
        raise UserError(f"add the task {name!r}", found, mend="use its own template")
    check_prompt_shape(Path(name), table.base, template, prompt)
    # In float32 and on the CPU, as tables are stored and read.
    stored = prompt.detach().to("cpu", torch.float32)
    return TaskTable(table.base, (*table.templates, template), {**table.prompts, name: stored})


def remove_task(table: TaskTable, taskname: str) -> TaskTable:
    """The table without a task; UserError where it has no such task."""
    find_task(table, taskname)
    templates = tuple(one for one in table.templates if one.taskname != taskname)
    prompts = dict(table.prompts)
    del prompts[taskname]
    return TaskTable(table.base, templates, prompts)


def merge_tables(tables: Sequence[TaskTable]) -> TaskTable:
    """One table with the tasks of several, in their order.

    Raises UserError where two have a task of one name, or were made for different base models.
    """
    merged = tables[0]
    for table in tables[1:]:
        one = merged.base
        other = table.base
        same_model = one.digest == other.digest
        # Without digests, sizes are all that is known of a model.
        same_width = one.width == other.width
        same_vocabulary = one.vocabulary == other.vocabulary
        if not (same_model and same_width and same_vocabulary):
            found = f"one made for {one.name} {one.digest}, one for {other.name} {other.digest}"
            raise UserError("merge the task tables", found, mend="merge tables of one base model")
        for template in table.templates:
            name = template.taskname
            if name in merged.prompts:
                mend = f"parabench tasks remove TABLE {name}, in all tables but one"
                raise UserError("merge the task tables", f"two have the task {name!r}", mend=mend)
            merged = add_task(merged, template, table.prompts[name])
    return merged


def without_prompts(table: TaskTable) -> TaskTable:
    """The same tasks with no virtual tokens (zero-shot): what the model answers by itself."""
    nothing = torch.empty(0, table.base.width)
    templates = []
    prompts = {}
    for template in table.templates:
        plain = replace(
            template,
            prompt_template=MARKER.sub("", template.prompt_template),
            total_virtual_tokens=0,
            virtual_token_splits=(),
        )
        templates.append(plain)
        prompts[plain.taskname] = nothing
    return TaskTable(table.base, tuple(templates), prompts)


def task_adapter(table: TaskTable, taskname: str, origin: str = "") -> Adapter:
    """One task of a table as an adapter; ``origin`` says where the table was read.

    Raises UserError where the table has no such task.
    """
    template = find_task(table, taskname)
    prompt = table.prompts[taskname]
    # The digest is that of the file in which an adapter of this prompt would lie.
    content = pack_tensors({PEFT_TENSOR_KEY: prompt})
    digest = hashlib.sha256(content).hexdigest()
    facts = AdapterFacts(template, table.base, origin=origin, sha256=digest)
    return Adapter(prompt, facts, digest)


def find_task(table: TaskTable, taskname: str) -> Template:
    """The template of a task; UserError lists the tasks where there is no such one."""
    tasks = templates_by_name(table.templates)
    if taskname not in tasks:
        raise UserError(f"use the task {taskname!r}", "no such task in the table", sorted(tasks))
    return tasks[taskname]


def check_prompt_shape(where: Path, base: BaseIdentity, template: Template, prompt: Tensor) -> None:
    """Refuse, with UserError, a ``prompt`` of other sizes than ``template`` and ``base`` say.

    ``where`` names its source in the error.
    """
    wanted = (template.total_virtual_tokens, base.width)
    found = tuple(check_matrix(where, prompt).shape)
    if found != wanted:
        raise damaged_adapter(
            where, f"the prompt of {template.taskname!r} is {found}, not {wanted}"
        )
