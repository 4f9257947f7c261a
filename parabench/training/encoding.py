"""From text to rows of token ids, many at a time: documents, causal pairs, encoder-decoder pairs.

Source and target are encoded apart, so the ids a model is trained on are the ids it meets when it
generates.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from transformers import PreTrainedTokenizerBase

from parabench.contracts import UserError
from parabench.data.filters import TextPair
from parabench.prompts.rendering import leading_specials
from parabench.prompts.table import prompt_offsets
from parabench.prompts.templates import Template, TemplatePart, virtual_ranges
from parabench.training.batches import RowEncoder
from parabench.training.losses import TrainingRow


def document_encoder(tokenizer: PreTrainedTokenizerBase) -> RowEncoder[str]:
    """Every token of a document and EOS are targets; BOS alone (EOS, for a tokenizer without BOS)
    is given.

    The name of a special token in the text is that token, so that documents can be packed:
    ``"one</s>two"``.
    """
    end = tokenizer.eos_token_id
    start = end if tokenizer.bos_token_id is None else tokenizer.bos_token_id

    def encode(texts: Sequence[str]) -> list[TrainingRow]:
        return [
            TrainingRow([start], [*ids, end])
            for ids in tokenizer(list(texts), add_special_tokens=False).input_ids
        ]

    return encode


TaskPair = tuple[str, TextPair]
"""A pair behind the name of its task."""


def causal_encoder(
    tokenizer: PreTrainedTokenizerBase, template: Template, start: int | None = None
) -> RowEncoder[TextPair]:
    """Given: the template with the source in it, less the virtual tokens that lead. Target: the
    answer and EOS.

    With ``start`` those that lead stay, and all are rows from ``start`` on of a matrix that other
    prompts share. Equal, for records that fit, to ``prompts.rendering.render`` one record at a
    time.
    """
    if not template.answer_only_loss:
        raise UserError(
            "train on a template",
            "a loss on more than the answer",
            mend="set answer_only_loss = true",
        )
    parts = template.prompt_parts if start is not None else _parts(template)
    runs = [list(run) for _, run in groupby(parts, lambda part: part.kind.replace("field", "text"))]
    rows, specials, end = (
        virtual_ranges(template),
        leading_specials(tokenizer),
        tokenizer.eos_token_id,
    )

    def encode(pairs: Sequence[TextPair]) -> list[TrainingRow]:
        given: list[list[int]] = [[] for _ in pairs]
        waiting = specials
        for run in runs:
            if run[0].kind == "marker":
                virtual = [-1 - (start or 0) - row for part in run for row in rows[part.value]]
                given = [ids + virtual for ids in given]
                continue
            texts = [[end] * len(run) for _ in pairs]
            if run[0].kind != "end":
                texts = _ids(tokenizer, [_compose(run, template, pair) for pair in pairs])
            given, waiting = (
                [[*ids, *waiting, *text] for ids, text in zip(given, texts, strict=True)],
                [],
            )
        answers = _ids(tokenizer, [template.answer_prefix + target for _, target in pairs])
        return [
            TrainingRow(ids + waiting, [*answer, end])
            for ids, answer in zip(given, answers, strict=True)
        ]

    return encode


def task_encoder(
    tokenizer: PreTrainedTokenizerBase, templates: Sequence[Template]
) -> RowEncoder[TaskPair]:
    """Pairs of several tasks, in any order, with rows of the matrix that stacks the tasks' prompts.

    Equal, for records that fit, to ``prompts.table.render_tasks``.
    """
    starts = prompt_offsets(templates)
    encoders = {
        one.taskname: causal_encoder(tokenizer, one, starts[one.taskname]) for one in templates
    }

    def encode(items: Sequence[TaskPair]) -> list[TrainingRow]:
        present = {task for task, _ in items}
        done = {
            task: iter(encoders[task]([pair for name, pair in items if name == task]))
            for task in present
        }
        return [next(done[task]) for task, _ in items]

    return encode


def leading_virtual_tokens(template: Template) -> int:
    """How many rows of the prompt stand before everything else of a row, and so are computed once a
    batch.
    """
    first = template.parts[0]
    return template.virtual_token_splits[0] if first == ("marker", "0") else 0


def seq2seq_encoder(tokenizer: PreTrainedTokenizerBase) -> RowEncoder[TextPair]:
    """Both sides as the tokenizer writes them; for BART ``<s> … </s>``, all of it target on the
    decoder's side.
    """

    def encode(pairs: Sequence[TextPair]) -> list[TrainingRow]:
        sources = tokenizer([source for source, _ in pairs], split_special_tokens=True).input_ids
        targets = tokenizer([target for _, target in pairs], split_special_tokens=True).input_ids
        return [
            TrainingRow(source, target) for source, target in zip(sources, targets, strict=True)
        ]

    return encode


def _parts(template: Template) -> tuple[TemplatePart, ...]:
    return template.prompt_parts[1:] if leading_virtual_tokens(template) else template.prompt_parts


def _compose(run: list[TemplatePart], template: Template, pair: TextPair) -> str:
    """The run's text: its one field that is not the answer is the source."""
    return "".join(pair[0] if part.kind == "field" else part.value for part in run)


def _ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    return tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True).input_ids
