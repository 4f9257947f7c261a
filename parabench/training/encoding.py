"""Row encoders: from texts to rows of token ids, many at a time.

Source and target are encoded apart, so the ids a model is trained on are the ids it meets when it
generates.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import groupby

from transformers import PreTrainedTokenizerBase

from parabench.contracts import UserError
from parabench.data.filters import TextPair
from parabench.prompts.rendering import leading_specials, render
from parabench.prompts.table import prompt_offsets
from parabench.prompts.templates import Template, TemplatePart, virtual_ranges
from parabench.training.batches import RowEncoder
from parabench.training.losses import TrainingRow


def document_encoder(tokenizer: PreTrainedTokenizerBase) -> RowEncoder[str]:
    """Encoder of whole documents: every token and EOS are targets, given BOS alone.

    A tokenizer without BOS begins with EOS. The name of a special token in the text is that token,
    so that documents can be packed: ``"one</s>two"``.
    """
    end = tokenizer.eos_token_id
    start = end if tokenizer.bos_token_id is None else tokenizer.bos_token_id

    def encode(texts: Sequence[str]) -> list[TrainingRow]:
        encoded = tokenizer(list(texts), add_special_tokens=False)
        return [TrainingRow([start], [*ids, end]) for ids in encoded.input_ids]

    return encode


TaskPair = tuple[str, TextPair]
"""A task's name, and a pair of that task."""


def causal_encoder(
    tokenizer: PreTrainedTokenizerBase, template: Template, start: int | None = None
) -> RowEncoder[TextPair]:
    """Encoder of pairs for a decoder-only model.

    Given is ``template`` with the source in it, the target is the answer and EOS. Virtual tokens
    that lead the template are left out, as the loss computes them once a batch. With ``start`` they
    are kept, and the template's virtual tokens are rows from ``start`` on of a matrix that stacks
    several prompts. Equal, for records that fit, to ``prompts.rendering.render`` one record at a
    time. Raises UserError where the template asks for a loss on more than the answer, and where it
    has another number of slots for the source than one.
    """
    _check_one_slot(template)
    if not template.answer_only_loss:
        found = "a loss on more than the answer"
        raise UserError("train on a template", found, mend="set answer_only_loss = true")
    if template.chat:
        return _chat_encoder(tokenizer, template, start)
    parts = template.prompt_parts
    if start is None:
        parts = _parts_after_prompt(template)
    # Literal text and fields that touch are tokenised as one text, as they are when generating.
    runs = [list(run) for _, run in groupby(parts, _run_kind)]
    ranges = virtual_ranges(template)
    specials = leading_specials(tokenizer)
    end = tokenizer.eos_token_id

    def encode(pairs: Sequence[TextPair]) -> list[TrainingRow]:
        sources: list[list[int]] = [[] for _ in pairs]
        # BOS stands before the first text, behind virtual tokens that lead.
        waiting = specials
        for run in runs:
            kind = run[0].kind
            if kind == "marker":
                virtual = _virtual_ids(run, ranges, start or 0)
                for source in sources:
                    source += virtual
                continue
            if kind == "end":
                pieces = [[end] * len(run) for _ in pairs]
            else:
                texts = [_compose(run, pair) for pair in pairs]
                pieces = _tokenize(tokenizer, texts)
            for source, piece in zip(sources, pieces, strict=True):
                source += waiting
                source += piece
            waiting = []
        targets = [template.answer_prefix + target for _, target in pairs]
        answers = _tokenize(tokenizer, targets)
        encoded = []
        for source, answer in zip(sources, answers, strict=True):
            # A template without any text has its BOS here.
            encoded.append(TrainingRow([*source, *waiting], [*answer, end]))
        return encoded

    return encode


def _virtual_ids(run: list[TemplatePart], ranges: Mapping[str, range], start: int) -> list[int]:
    """The ids of a run of markers, for a prompt that begins at row ``start`` of the matrix."""
    ids: list[int] = []
    for marker in run:
        # Row k is the id -1-k.
        ids.extend(-1 - (start + row) for row in ranges[marker.value])
    return ids


def _chat_encoder(
    tokenizer: PreTrainedTokenizerBase, template: Template, start: int | None
) -> RowEncoder[TextPair]:
    """``causal_encoder`` for a chat: pairs are rendered one by one, as they are when answering."""
    (source,) = [name for name in template.fields if name != template.answer_field]
    lead = leading_virtual_tokens(template) if start is None else 0

    def encode(pairs: Sequence[TextPair]) -> list[TrainingRow]:
        rows = []
        for text, target in pairs:
            record = {source: text, str(template.answer_field): target}
            rendered = render(template, record, tokenizer, sys.maxsize, training=True)
            ids = list(rendered.ids)
            if start is not None:
                # ids below 0 are rows of a matrix that stacks several prompts
                ids = [token - start if token < 0 else token for token in ids]
            split = rendered.answer_start
            rows.append(TrainingRow(ids[lead:split], ids[split:]))
        return rows

    return encode


def task_encoder(
    tokenizer: PreTrainedTokenizerBase, templates: Sequence[Template]
) -> RowEncoder[TaskPair]:
    """Encoder of pairs of several tasks, in any order, for the matrix that stacks their prompts.

    ``templates`` are in the order of the prompts. Rows are equal, for records that fit, to what
    ``prompts.rendering.render`` makes of them one by one.
    """
    starts = prompt_offsets(templates)
    encoders = {}
    for template in templates:
        task = template.taskname
        encoders[task] = causal_encoder(tokenizer, template, starts[task])

    def encode(items: Sequence[TaskPair]) -> list[TrainingRow]:
        pairs: dict[str, list[TextPair]] = {}
        for task, pair in items:
            pairs.setdefault(task, []).append(pair)
        # Each task is tokenised in one call; its rows are then dealt out in the items' order.
        rows = {task: iter(encoders[task](mine)) for task, mine in pairs.items()}
        return [next(rows[task]) for task, _ in items]

    return encode


def leading_virtual_tokens(template: Template) -> int:
    """How many rows of the prompt lead each row, and so are computed once a batch."""
    first = template.parts[0]
    if first == ("marker", "0"):
        return template.virtual_token_splits[0]
    return 0


def seq2seq_encoder(tokenizer: PreTrainedTokenizerBase) -> RowEncoder[TextPair]:
    """Encoder of pairs for an encoder-decoder: both sides with the tokenizer's special tokens.

    For BART that is ``<s> … </s>``, all of it target on the decoder's side.
    """

    def encode(pairs: Sequence[TextPair]) -> list[TrainingRow]:
        sources = [source for source, _ in pairs]
        targets = [target for _, target in pairs]
        # A special token's name in a user's text is text.
        source_ids = tokenizer(sources, split_special_tokens=True).input_ids
        target_ids = tokenizer(targets, split_special_tokens=True).input_ids
        rows = zip(source_ids, target_ids, strict=True)
        return [TrainingRow(ids, answer) for ids, answer in rows]

    return encode


def _parts_after_prompt(template: Template) -> tuple[TemplatePart, ...]:
    """The parts of the prompt, without the virtual tokens that lead."""
    if leading_virtual_tokens(template):
        return template.prompt_parts[1:]
    return template.prompt_parts


def _run_kind(part: TemplatePart) -> str:
    return "text" if part.kind == "field" else part.kind


def _check_one_slot(template: Template) -> None:
    """Refuse a template that a pair cannot fill: nothing stands in two slots but by the record."""
    slots = [name for name in template.fields if name != template.answer_field]
    if len(slots) != 1:
        asked = f"train the task {template.taskname!r} on pairs"
        found = f"the template has the slots {', '.join(slots) or 'none'} for one source"
        mend = "train it on records: parabench tasks train TABLE --tasks FILE --records FILE"
        raise UserError(asked, found, mend=mend)


def _compose(run: list[TemplatePart], pair: TextPair) -> str:
    """The run's text; its one field that is not the answer is the source (``_check_one_slot``)."""
    source, _ = pair
    pieces = [source if part.kind == "field" else part.value for part in run]
    return "".join(pieces)


def _tokenize(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    # The name of a special token in a user's text is text, and never that token.
    return tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True).input_ids
