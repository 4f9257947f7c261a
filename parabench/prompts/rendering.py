"""Rendering: from a template and a record to token ids, where id ``-1-k`` is row k of the
prompt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from parabench.contracts import UserError
from parabench.prompts.chat import TRIM_BEGIN, TRIM_END, answer_end, prompt_parts
from parabench.prompts.chat_tokens import encode_text
from parabench.prompts.templates import Template, TemplatePart, virtual_ranges

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100
"""The label of a position that no loss counts, as in torch and transformers."""


class Span(NamedTuple):
    """The token positions ``[start, end)`` that hold a field's text, whole or in part."""

    field: str
    start: int
    end: int


@dataclass(frozen=True)
class Rendered:
    """One record as token ids; virtual row k is ``-1-k``.

    ``answer_start`` is the position of the answer's first token (the length, where there is no
    answer yet) and ``loss_start`` the first position that may enter the loss. ``cut`` counts
    characters taken from ``truncate_field``.
    """

    ids: tuple[int, ...]
    answer_start: int
    loss_start: int
    spans: tuple[Span, ...] = ()
    cut: int = 0


class TooLongError(UserError):
    """A record that does not fit, even with its ``truncate_field`` empty; callers count it with its
    id.
    """


def labels(rendered: Rendered) -> list[int]:
    """The label of each position: its id, or -100 for prompt, BOS and virtual rows.

    Labels are not shifted: models do that themselves.
    """
    found = []
    for position, token in enumerate(rendered.ids):
        counts = position >= rendered.loss_start and token >= 0
        found.append(token if counts else IGNORED)
    return found


def render(
    template: Template,
    record: Mapping[str, str],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    training: bool = False,
) -> Rendered:
    """Render ``record`` in ``template`` as at most ``max_length`` ids of ``tokenizer``.

    With ``training`` the answer and EOS follow; without, the same ids end before the answer. The
    tokenizer's own BOS comes before the first text, after the virtual tokens that lead (the order
    of huggingface/peft). The answer is tokenised by itself, so no merge crosses its start and the
    prompt's ids are the same with and without it. Too long a record is shortened in its
    ``truncate_field``. Raises TooLongError where that does not suffice, and UserError for a missing
    field, a template without room for text, and a tokenizer without offsets.
    """
    _check(template, record, tokenizer, max_length, training)
    field = template.truncate_field
    fields = dict(record)
    rendered = _render(template, fields, tokenizer, training)
    # Fewer characters may take more tokens than hoped, so it is rendered until it fits.
    while len(rendered.ids) > max_length:
        excess = len(rendered.ids) - max_length
        shorter = _shorten(template, fields, tokenizer, excess)
        if field is None or shorter is None:
            asked = f"render a record of task {template.taskname!r}"
            found = f"{len(rendered.ids)} tokens, more than {max_length}"
            raise TooLongError(asked, found, mend="set truncate_field, or drop it")
        fields[field] = shorter
        rendered = _render(template, fields, tokenizer, training)
    if field is None:
        return rendered
    return replace(rendered, cut=len(record[field]) - len(fields[field]))


def _check(
    template: Template,
    record: Mapping[str, str],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    training: bool,
) -> None:
    asked = f"render a record of task {template.taskname!r}"
    # Only what the model is to write may be absent, and only when it is to write it.
    needed = [name for name in template.fields if training or name != template.answer_field]
    missing = [name for name in needed if name not in record]
    if missing:
        found = f"no field {missing[0]!r}; the record has {', '.join(record) or 'none'}"
        raise UserError(asked, found, template.fields)
    if template.total_virtual_tokens >= max_length:
        found = f"{template.total_virtual_tokens} virtual tokens leave no room in {max_length}"
        raise UserError(asked, found)
    if not tokenizer.is_fast:
        mend = "use a checkpoint with a tokenizer.json"
        raise UserError(asked, "a tokenizer without offsets", mend=mend)


def _render(
    template: Template,
    record: Mapping[str, str],
    tokenizer: PreTrainedTokenizerBase,
    training: bool,
) -> Rendered:
    """All ids, however many: virtual rows and text runs in turn, then the answer and EOS in
    training.
    """
    ids: list[int] = []
    spans: list[Span] = []
    ranges = virtual_ranges(template)
    first_text: int | None = None
    runs = list(_runs(prompt_parts(template, tokenizer)))
    # The empty run at the end gives BOS its place where a template has no text at all.
    runs.append([])
    for run in runs:
        begins_text = not run or run[0].kind != "marker"
        if first_text is None and begins_text:
            # a chat template writes BOS itself, where it wants one
            if not template.chat:
                ids += leading_specials(tokenizer)
            first_text = len(ids)
        run_ids, run_spans = _encode(run, record, tokenizer, ranges)
        # Spans are counted from the run's start; here from the row's.
        run_start = len(ids)
        for name, start, end in run_spans:
            spans.append(Span(name, run_start + start, run_start + end))
        ids += run_ids
    answer_start = len(ids)
    if training:
        if template.answer_field:
            answer = template.answer_prefix + record[template.answer_field]
            answer_ids, _ = encode_text(tokenizer, answer)
            ids += answer_ids
            spans.append(Span(template.answer_field, answer_start, len(ids)))
        ids.append(answer_end(template, tokenizer))
    loss_start = answer_start if template.answer_only_loss else first_text
    return Rendered(tuple(ids), answer_start, loss_start or 0, tuple(spans))


def leading_specials(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The special ids this tokenizer puts before a text: ``</s>`` for OPT, none for GPT-2."""
    encoded = tokenizer("a", return_special_tokens_mask=True)
    found = []
    for token, special in zip(encoded.input_ids, encoded.special_tokens_mask, strict=True):
        if not special:
            break
        found.append(token)
    return found


def _runs(parts: tuple[TemplatePart, ...]) -> Iterator[list[TemplatePart]]:
    """Markers alone; texts and fields that touch together, so that their merges are natural."""
    for is_text, group in groupby(parts, lambda part: part.kind not in ("marker", "end")):
        if is_text:
            yield list(group)
        else:
            for part in group:
                yield [part]


class _Text(NamedTuple):
    """A run's text, where its fields stand in it, and the control tokens of a chat template.

    ``spans`` are in characters; of ``tokens`` each is where a token's name begins, and the name.
    """

    text: str
    spans: list[Span]
    tokens: list[tuple[int, str]]


def _compose(run: list[TemplatePart], record: Mapping[str, str]) -> _Text:
    """The run's text with the values of ``record`` in it."""
    text = ""
    spans: list[Span] = []
    tokens: list[tuple[int, str]] = []
    trimmed: int | None = None  # where a message begins of which no white space has been kept
    begin = 0
    for part in run:
        if part == TRIM_BEGIN:
            trimmed = begin = len(text)
            continue
        if part == TRIM_END:
            text = text[:begin] + text[begin:].rstrip()
            spans = _clip(spans, len(text))
            trimmed = None
            begin = 0
            continue
        start = len(text)
        piece = record[part.value] if part.kind == "field" else part.value
        if trimmed == start:
            piece = piece.lstrip()
        text += piece
        if part.kind == "token":
            tokens.append((start, piece))
        elif part.kind == "field":
            spans.append(Span(part.value, start, len(text)))
    return _Text(text, spans, tokens)


def _clip(spans: list[Span], length: int) -> list[Span]:
    """The spans within the first ``length`` characters."""
    return [Span(name, min(low, length), min(high, length)) for name, low, high in spans]


def _encode(
    run: list[TemplatePart],
    record: Mapping[str, str],
    tokenizer: PreTrainedTokenizerBase,
    ranges: Mapping[str, range],
) -> tuple[list[int], list[Span]]:
    """The ids of one run, and the tokens that hold its fields, counted from the run's start."""
    kind = run[0].kind if run else "text"
    if kind == "marker":
        return [-1 - row for row in ranges[run[0].value]], []
    if kind == "end":
        return [tokenizer.eos_token_id], []
    composed = _compose(run, record)
    ids, offsets = encode_text(tokenizer, composed.text, composed.tokens)
    return ids, [_covering(offsets, span) for span in composed.spans]


def _covering(offsets: list[tuple[int, int]], span: Span) -> Span:
    """The tokens that overlap a span of characters.

    A span that no token overlaps, such as an empty one, covers none, at its place.
    """
    inside = []
    for index, (low, high) in enumerate(offsets):
        # Two half-open intervals overlap where each begins before the other ends.
        if low < span.end and high > span.start:
            inside.append(index)
    if inside:
        return Span(span.field, inside[0], inside[-1] + 1)
    before = [high for _, high in offsets if high <= span.start]
    place = len(before)
    return Span(span.field, place, place)


def _shorten(
    template: Template, record: Mapping[str, str], tokenizer: PreTrainedTokenizerBase, excess: int
) -> str | None:
    """The truncated field without its last ``excess`` tokens, shared among its occurrences.

    None where the field is empty already, or there is none.
    """
    field = template.truncate_field
    if field is None or not record[field]:
        return None
    value = record[field]
    slot = TemplatePart("field", field)
    parts = prompt_parts(template, tokenizer)
    runs = [run for run in _runs(parts) if slot in run]
    text, spans, tokens = _compose(runs[-1], record)
    last = [span for span in spans if span.field == field][-1]
    _, offsets = encode_text(tokenizer, text, tokens)
    covered = _covering(offsets, last)
    length = covered.end - covered.start  # in tokens
    if length == 0:  # a tokenizer that drops these characters
        return value[:-1]
    # Rounded up, so that all occurrences together lose at least the excess.
    dropped = -(-excess // parts.count(slot))
    first_dropped = covered.start + max(length - dropped, 0)
    # Cut where the first dropped token begins, and at least one character shorter than before.
    begin, _ = offsets[first_dropped]
    kept = min(begin - last.start, len(value) - 1)
    return value[: max(kept, 0)]
