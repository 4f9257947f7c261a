"""From a template and a record to token ids, in which id ``-1-k`` stands for row k of the soft
prompt.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby, takewhile
from typing import TYPE_CHECKING, NamedTuple

from parabench.contracts import UserError
from parabench.prompts.templates import Template, TemplatePart, virtual_ranges

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100


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
    """What each position is trained to be: its id (models shift by one), or -100 for prompt, BOS
    and virtual rows.
    """
    pairs = enumerate(rendered.ids)
    return [
        token if position >= rendered.loss_start and token >= 0 else IGNORED
        for position, token in pairs
    ]


def render(
    template: Template,
    record: Mapping[str, str],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    training: bool = False,
) -> Rendered:
    """The record as ids, shortened in ``truncate_field`` to ``max_length`` ids; TooLongError if
    that does not suffice.

    In training the answer and EOS follow; at inference the same ids end before the answer. The
    tokenizer's own BOS stands before the first text, after the virtual tokens that lead (the order
    of huggingface/peft). The answer is tokenised by itself, so no merge crosses its start and the
    prompt's ids are the same with and without it.
    """
    _check(template, record, tokenizer, max_length, training)
    whole, record = record, dict(record)
    while (rendered := _render(template, record, tokenizer, training)).ids[max_length:]:
        shorter = _shorten(template, record, tokenizer, len(rendered.ids) - max_length)
        if shorter is None:
            found = f"{len(rendered.ids)} tokens, more than {max_length}"
            raise TooLongError(
                f"render a record of task {template.taskname!r}",
                found,
                mend="set truncate_field, or drop it",
            )
        record[template.truncate_field or ""] = shorter
    field = template.truncate_field
    return replace(rendered, cut=len(whole[field]) - len(record[field]) if field else 0)


def render_all(
    template: Template,
    records: Iterable[tuple[str, Mapping[str, str]]],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    training: bool = False,
) -> tuple[dict[str, Rendered], list[str]]:
    """All (id, record) pairs that fit, by id and in order, and the ids of those that do not."""
    rendered: dict[str, Rendered] = {}
    rejected: list[str] = []
    for name, record in records:
        try:
            rendered[name] = render(template, record, tokenizer, max_length, training)
        except TooLongError:
            rejected.append(name)
    return rendered, rejected


def _check(
    template: Template,
    record: Mapping[str, str],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    training: bool,
) -> None:
    asked = f"render a record of task {template.taskname!r}"
    answer = (template.answer_field,) if template.answer_field and not training else ()
    missing = [field for field in template.fields if field not in record and field not in answer]
    if missing:
        raise UserError(
            asked,
            f"no field {missing[0]!r}; the record has {', '.join(record) or 'none'}",
            template.fields,
        )
    if template.total_virtual_tokens >= max_length:
        raise UserError(
            asked, f"{template.total_virtual_tokens} virtual tokens leave no room in {max_length}"
        )
    if not tokenizer.is_fast:
        raise UserError(
            asked, "a tokenizer without offsets", mend="use a checkpoint with a tokenizer.json"
        )


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
    rows, first_text = virtual_ranges(template), -1
    for run in [*_runs(template.prompt_parts), []]:
        if first_text < 0 and (not run or run[0].kind != "marker"):
            ids += leading_specials(tokenizer)
            first_text = len(ids)
        more, places = _encode(run, record, tokenizer, rows)
        spans += [Span(name, start + len(ids), end + len(ids)) for name, start, end in places]
        ids += more
    start = len(ids)
    if training and template.answer_field:
        ids += _tokens(tokenizer, template.answer_prefix + record[template.answer_field])[0]
        spans.append(Span(template.answer_field, start, len(ids)))
    if training:
        ids.append(tokenizer.eos_token_id)
    return Rendered(
        tuple(ids), start, start if template.answer_only_loss else first_text, tuple(spans)
    )


def leading_specials(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The special ids this tokenizer puts before a text: ``</s>`` for OPT, none for GPT-2."""
    encoded = tokenizer("a", return_special_tokens_mask=True)
    marked = takewhile(
        lambda pair: pair[1], zip(encoded.input_ids, encoded.special_tokens_mask, strict=True)
    )
    return [token for token, _ in marked]


def _runs(parts: tuple[TemplatePart, ...]) -> Iterator[list[TemplatePart]]:
    """Markers alone; texts and fields that follow each other together, so that their merges are the
    natural ones.
    """
    for written, group in groupby(parts, lambda part: part.kind in ("text", "field")):
        run = list(group)
        yield from [run] if written else [[part] for part in run]


def _compose(run: list[TemplatePart], record: Mapping[str, str]) -> tuple[str, list[Span]]:
    """The run's text and where its fields stand in it, in characters."""
    text, spans = "", []
    for part in run:
        piece = record[part.value] if part.kind == "field" else part.value
        spans += (
            [Span(part.value, len(text), len(text) + len(piece))] if part.kind == "field" else []
        )
        text += piece
    return text, spans


def _tokens(
    tokenizer: PreTrainedTokenizerBase, text: str
) -> tuple[list[int], list[tuple[int, int]]]:
    """Ids and character offsets; a special token's name inside the text is text, not that token."""
    encoded = tokenizer(
        text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True
    )
    return encoded.input_ids, encoded.offset_mapping


def _encode(
    run: list[TemplatePart],
    record: Mapping[str, str],
    tokenizer: PreTrainedTokenizerBase,
    rows: Mapping[str, range],
) -> tuple[list[int], list[Span]]:
    """The ids of one run, and the tokens that hold its fields, counted from the run's start."""
    if run and run[0].kind == "marker":
        return [-1 - row for row in rows[run[0].value]], []
    if run and run[0].kind == "end":
        return [tokenizer.eos_token_id], []
    text, spans = _compose(run, record)
    ids, offsets = _tokens(tokenizer, text)
    return ids, [_covering(offsets, span) for span in spans]


def _covering(offsets: list[tuple[int, int]], span: Span) -> Span:
    """The tokens that overlap a span of characters; an empty span covers none, at the place where
    it stands.
    """
    inside = [
        index for index, (low, high) in enumerate(offsets) if low < span.end and high > span.start
    ]
    if not inside:
        inside_from = sum(high <= span.start for _, high in offsets)
        return Span(span.field, inside_from, inside_from)
    return Span(span.field, inside[0], inside[-1] + 1)


def _shorten(
    template: Template, record: Mapping[str, str], tokenizer: PreTrainedTokenizerBase, excess: int
) -> str | None:
    """The truncated field without its last ``excess`` tokens (shared among its occurrences); None
    if none is left.
    """
    field = template.truncate_field
    runs = [
        run for run in _runs(template.prompt_parts) if any(part == ("field", field) for part in run)
    ]
    if field is None or not record[field]:
        return None
    text, spans = _compose(runs[-1], record)
    characters = [span for span in spans if span.field == field][-1]
    offsets = _tokens(tokenizer, text)[1]
    span = _covering(offsets, characters)
    if span.start == span.end:  # a tokenizer that drops these characters
        return record[field][:-1]
    times = sum(part == ("field", field) for part in template.prompt_parts)
    keep = max(span.end - span.start + (-excess // times), 0)
    return record[field][
        : max(min(offsets[span.start + keep][0] - characters.start, len(record[field]) - 1), 0)
    ]
