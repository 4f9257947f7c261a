"""Soft prompts, records and tables of tasks in memory, as tests want them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from parabench.data.filters import TextPair
from parabench.inference.prompt_ids import PromptIds
from parabench.prompts.initialisers import PromptInit
from parabench.prompts.records import TaskRecord, check_record
from parabench.prompts.rendering import Rendered, TooLongError, render
from parabench.prompts.soft import SoftPrompt, vocabulary_rows
from parabench.prompts.table import TaskTable, prompt_offsets, shift_virtual_ids
from parabench.prompts.templates import Template, paraphrase_template, templates_by_name
from parabench.training import objectives
from parabench.training.config import TrainingConfig
from parabench.training.recipes import StepCallback, train_in_memory


def embedding_width(model: nn.Module) -> int:
    """H, the width of the input embeddings; OPT-350m's (512) is not its hidden size (1024)."""
    return vocabulary_rows(model).shape[1]


def check_records(
    records: Iterable[Mapping[str, object]], templates: Mapping[str, Template], training: bool
) -> Iterator[TaskRecord]:
    """The same for records in memory; ``id`` is ``record:number``.

    Raises UserError at the first record that breaks a rule.
    """
    for number, record in enumerate(records, start=1):
        yield check_record(record, f"record:{number}", templates, training)


def render_tasks(
    templates: Sequence[Template],
    records: Iterable[TaskRecord],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    training: bool = False,
) -> tuple[list[Rendered], list[str]]:
    """Records of any of these tasks, and the ids of those that do not fit into ``max_length``.

    Virtual ids are rows of the matrix that stacks the tasks' prompts. With ``training`` the answer
    and EOS follow the prompt.
    """
    tasks = templates_by_name(tuple(templates))
    offsets = prompt_offsets(templates)
    fitting: list[Rendered] = []
    rejected: list[str] = []
    for record in records:
        template = tasks[record.taskname]
        try:
            rendered = render(template, record.fields, tokenizer, max_length, training)
        except TooLongError:
            rejected.append(record.id)
            continue
        fitting.append(shift_virtual_ids(rendered, offsets[record.taskname]))
    return fitting, rejected


def table_prompt_ids(
    table: TaskTable,
    records: Iterable[TaskRecord],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
) -> tuple[list[PromptIds], list[str]]:
    """Prompts of records of any tasks, for one batch, and the ids of records that do not fit."""
    rendered, rejected = render_tasks(table.templates, records, tokenizer, max_length)
    return [PromptIds(one.ids, table.virtual) for one in rendered], rejected


def tune_prompt(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Iterable[TextPair],
    length: int,
    initialiser: PromptInit,
    config: TrainingConfig,
    template: Template | None = None,
    watch: StepCallback = id,
) -> SoftPrompt:
    """Train a soft prompt of ``length`` rows before ``model``, which is frozen, its dropout off.

    ``initialiser`` makes the first rows; ``template`` None is the paraphrasing template.
    """
    rows = initialiser(vocabulary_rows(model), length)
    prompt = SoftPrompt(rows).to(model.device)
    chosen = template or paraphrase_template(length)
    objective = objectives.prompt_objective(model, tokenizer, prompt, chosen)
    train_in_memory(objective, pairs, config, watch)
    return prompt
