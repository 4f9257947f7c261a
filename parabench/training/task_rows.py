"""Records of tasks as training rows, in batches that mix the tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from parabench.contracts import UserError
from parabench.prompts.records import TaskRecord
from parabench.prompts.rendering import Rendered, TooLongError, render
from parabench.prompts.table import prompt_offsets, shift_virtual_ids
from parabench.prompts.templates import Template
from parabench.training.losses import TrainingRow, prompt_loss
from parabench.training.objectives import Objective


class TaskRow(NamedTuple):
    """A rendered record: its task, and its ids as they are trained on."""

    taskname: str
    row: TrainingRow


class TaskRows(NamedTuple):
    """The records that fit, in their order, and the ids of those that do not."""

    fitting: list[TaskRow]
    too_long: list[str]


def render_rows(
    templates: Sequence[Template],
    records: Sequence[TaskRecord],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
) -> TaskRows:
    """Records as training rows of at most ``max_length`` tokens.

    Virtual ids are rows of the matrix that stacks the prompts of ``templates``.
    """
    tasks = {one.taskname: one for one in templates}
    offsets = prompt_offsets(templates)
    rows = TaskRows([], [])
    for record in records:
        try:
            rendered = render(
                tasks[record.taskname], record.fields, tokenizer, max_length, training=True
            )
        except TooLongError:
            # Too long even with its truncate_field empty.
            rows.too_long.append(record.id)
            continue
        shifted = shift_virtual_ids(rendered, offsets[record.taskname])
        rows.fitting.append(TaskRow(record.taskname, training_row(shifted)))
    return rows


def training_row(rendered: Rendered) -> TrainingRow:
    """A rendered record, parted where the loss begins.

    Something must be read before the first word is predicted: where a template has neither virtual
    tokens nor BOS in front, that is its first token.
    """
    begin = max(rendered.loss_start, 1)
    return TrainingRow(list(rendered.ids[:begin]), list(rendered.ids[begin:]))


def rows_objective(model: PreTrainedModel, prompts: nn.Module) -> Objective:
    """The loss of mixed batches of rendered records in front of a frozen model."""
    model.requires_grad_(False).eval()

    def loss(rows: Sequence[TrainingRow]) -> Tensor:
        return prompt_loss(model, prompts(), rows, lead=0)

    def encode(items: Sequence[TaskRow]) -> list[TrainingRow]:
        return [item.row for item in items]

    return Objective(loss, prompts.train(), encode, int(model.config.max_position_embeddings))


def check_some_fit(template: Template, rows: TaskRows, what: str, longest: int) -> None:
    """Refuse, with UserError, a task none of whose ``rows`` fits into ``longest`` tokens.

    ``template`` is the task's; ``what`` says which records they are.
    """
    fitting = {item.taskname for item in rows.fitting}
    if template.taskname not in fitting:
        found = f"none of its {what} fits into {longest} tokens"
        mend = "set truncate_field in the tasks file, or give shorter records"
        raise UserError(f"train the task {template.taskname!r}", found, mend=mend)
