"""A task of a task table as a system of a suite: ``softprompt`` with ``table`` and ``task``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from parabench.contracts import BuildContext, Paraphrase, Signature, UserError
from parabench.models.checkpoints import locate
from parabench.models.loading import load_causal
from parabench.models.local import Checkpoint

from . import options
from .chats import chat_items

if TYPE_CHECKING:
    from parabench.prompts.table import TaskTable
    from parabench.prompts.templates import Template


@dataclass(frozen=True)
class TaskSystem:
    """A frozen decoder-only model behind one prompt of a task table.

    A source fills the template's one slot; for a template with several it is a JSON object of their
    texts. An answer ends where the task's own ``stop`` says.
    """

    setting: BuildContext

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The base model, found and identified; UserError where it is missing."""
        return locate(str(self.setting.options["model"]))

    @cached_property
    def table(self) -> TaskTable:
        """The table with this task alone; UserError where it is missing or of another base."""
        from parabench.prompts.table import TaskTable, find_task
        from parabench.prompts.table_files import load_table

        # one task's prompt alone, so that a change of another one leaves the signature as it is
        whole = load_table(Path(str(self.setting.options["table"])), self.checkpoint)
        name = str(self.setting.options.get("task", ""))
        template = find_task(whole, name)
        return TaskTable(whole.base, (template,), {name: whole.prompts[name]})

    @property
    def signature(self) -> Signature:
        """Model and prompt by their digests, the template and the end of an answer in full."""
        from parabench.prompts.table import task_adapter

        (template,) = self.table.templates
        adapter = task_adapter(self.table, template.taskname)
        name = Path(self.checkpoint.path).name
        digest = self.checkpoint.digest
        lengths = "+".join(map(str, template.virtual_token_splits))
        # repr, so that a line break among the stop strings is seen
        stop = "+".join(["eos", *map(repr, template.stop)])
        if template.max_new_tokens is not None:
            stop += f"+{template.max_new_tokens} tokens"
        items = (
            ("model", f"{name}@{digest[:12]}"),
            ("adapter", adapter.digest[:12]),
            ("P", lengths or "0"),
            ("task", template.taskname),
            ("template", template.prompt_template),
            ("stop", stop),
        )
        chat = chat_items(template, self.checkpoint)
        return Signature("softprompt", (*items, *chat, *options.dtype_item(self.setting)))

    model_names = property(options.suite_models)
    runtime = property(options.suite_runtime)
    role = property(options.suite_role)

    def paraphrase(self, sources: Sequence[str]) -> Iterator[Sequence[Paraphrase]]:
        """Yield the answers in one batch; UserError for a source that does not fit."""
        from parabench.prompts.answering import answer_records
        from parabench.prompts.records import TaskRecord

        (template,) = self.table.templates
        records = []
        for number, source in enumerate(sources):
            fields = source_fields(template, source)
            record = TaskRecord(str(number), template.taskname, fields)
            records.append(record)
        model, tokenizer = self.setting.models.get(
            load_causal, self.checkpoint, self.setting.runtime
        )
        answers = answer_records(
            self.table, records, model, tokenizer, self.setting.decoding, self.setting.runtime
        )
        outputs = []
        for place, answer in enumerate(answers):
            if answer.problem:
                # a row without an answer would be counted as the model's failure, which it is not
                asked = f"answer source {place} of task {template.taskname!r}"
                mend = "set truncate_field in the tasks file"
                raise UserError(asked, answer.problem, mend=mend)
            outputs.append(Paraphrase(place, answer.text, answer.finished))
        yield outputs

    def release(self) -> None:
        """Free the model; the next ``paraphrase`` loads it again."""
        self.setting.models.clear()


def source_fields(template: Template, source: str) -> Mapping[str, str]:
    """The fields of a record that ``source`` stands for.

    Raises UserError where the template has several slots and the source is no JSON object of
    exactly these.
    """
    slots = [name for name in template.fields if name != template.answer_field]
    if len(slots) == 1:
        return {slots[0]: source}
    try:
        fields = json.loads(source)
    except ValueError:
        fields = None
    fits = isinstance(fields, dict) and set(fields) == set(slots)
    # only now are there values to look at: a number or a list would be written as Python writes it
    if not fits or not all(isinstance(text, str) for text in fields.values()):
        asked = f"fill the template of task {template.taskname!r}"
        mend = "write each source as a JSON object with these fields"
        raise UserError(asked, f"the source {source[:60]!r}", slots, mend)
    return dict(fields)
