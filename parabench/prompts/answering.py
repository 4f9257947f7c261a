"""Answers to the records of several tasks in mixed batches, each row equal to the row alone.

Prompts of different lengths share a batch, as in NeMo's
``MegatronGPTPromptLearningModel.generate``; unlike there, every record has an answer or a reason,
under its id.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from parabench.contracts import Decoding, ProgressCallback, Runtime, UserError
from parabench.inference.decoding import decode_causal
from parabench.inference.end_of_text import EndOfText, declared_end_ids, padding_id
from parabench.inference.prompt_ids import PromptIds
from parabench.prompts.chat import answer_end
from parabench.prompts.records import TaskRecord
from parabench.prompts.rendering import TooLongError, render
from parabench.prompts.table import TaskTable, prompt_offsets, shift_virtual_ids
from parabench.prompts.templates import Template, templates_by_name

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ANSWERING = "answers"
"""What a line of progress tells of."""


@dataclass(frozen=True)
class TaskAnswer:
    """What the model wrote for one record.

    ``finished`` is False where the limit of new tokens cut the answer; ``cut`` counts characters
    that were taken from the record's ``truncate_field``. ``problem`` says why there is no answer.
    """

    id: str
    taskname: str
    text: str
    finished: bool = True
    cut: int = 0
    problem: str = ""


@dataclass(frozen=True)
class _Query:
    """A rendered record: its place among the records, its ids, its task's limits."""

    place: int
    record: TaskRecord
    ids: tuple[int, ...]
    cut: int
    template: Template
    limit: int


def answer_records(
    table: TaskTable,
    records: Sequence[TaskRecord],
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    decoding: Decoding,
    runtime: Runtime,
    advance: ProgressCallback | None = None,
) -> list[TaskAnswer]:
    """The answers of all records, in their order, from mixed batches.

    A task's own ``max_new_tokens`` and ``stop`` hold for its rows; ``decoding`` says the rest. An
    answer that a record already has is not shown to the model. ``advance`` hears how many records
    are answered. Raises UserError where ``decoding`` asks for several samples, a record is of no
    task of the table, or the virtual and the new tokens of a task leave no room for its record.
    """
    if decoding.samples > 1:
        asked = f"answer records with {decoding.samples} samples each"
        raise UserError(asked, "one answer a record is written", mend="decoding samples = 1")
    positions = int(model.config.max_position_embeddings)
    # By place among the records: rows finish in any order.
    answers: dict[int, TaskAnswer] = {}
    queries: list[_Query] = []
    for place, query in enumerate(_queries(table, records, tokenizer, positions, decoding)):
        if isinstance(query, TaskAnswer):
            answers[place] = query
        else:
            queries.append(query)
    for limit, group in _groups(queries, positions, decoding):
        within = replace(decoding, max_new_tokens=limit)
        for place, answer in _decode(table, group, model, tokenizer, within, runtime):
            answers[place] = answer
            if advance is not None:
                advance(ANSWERING, len(answers), len(records))
    return [answers[place] for place in range(len(records))]


def _queries(
    table: TaskTable,
    records: Iterable[TaskRecord],
    tokenizer: PreTrainedTokenizerBase,
    positions: int,
    decoding: Decoding,
) -> Iterator[_Query | TaskAnswer]:
    """Every record rendered, or, where it does not fit, an answer that says so."""
    tasks = templates_by_name(table.templates)
    offsets = prompt_offsets(table.templates)
    for place, record in enumerate(records):
        template = _template(tasks, record)
        limit = template.max_new_tokens or decoding.max_new_tokens
        _check_room(template, limit, positions)
        given = dict(record.fields)
        # The right answer is not shown to the model, where a record has it.
        if template.answer_field:
            given.pop(template.answer_field, None)
        try:
            rendered = render(template, given, tokenizer, positions - limit)
        except TooLongError as error:
            yield TaskAnswer(record.id, record.taskname, "", False, problem=error.found)
            continue
        # All tasks' prompts lie in one matrix, so that rows of any task may share a batch.
        ids = shift_virtual_ids(rendered, offsets[record.taskname]).ids
        yield _Query(place, record, ids, rendered.cut, template, limit)


def _check_room(template: Template, limit: int, positions: int) -> None:
    """Refuse a task of which no record at all would fit into the model's ``positions``."""
    if template.total_virtual_tokens + limit >= positions:
        asked = f"answer records of task {template.taskname!r}"
        found = (
            f"{template.total_virtual_tokens} virtual tokens and {limit} new ones; "
            f"the model reads {positions}"
        )
        raise UserError(asked, found, mend="set a smaller max_new_tokens")


def _template(tasks: Mapping[str, Template], record: TaskRecord) -> Template:
    if record.taskname not in tasks:
        asked = f"answer the record {record.id} of task {record.taskname!r}"
        raise UserError(asked, "no such task in the table", sorted(tasks))
    return tasks[record.taskname]


def _groups(
    queries: Sequence[_Query], positions: int, decoding: Decoding
) -> Iterator[tuple[int, list[_Query]]]:
    """Rows that may be decoded in one call, with the limit of new tokens of the call.

    A row that is decoded further than its own limit is cut afterwards: what it wrote until then
    does not depend on the limit. Beam search does depend on it, and a long prompt may have no room
    for another task's limit, so these are decoded under their own.
    """
    if not queries:
        return
    longest = max(query.limit for query in queries)
    together: dict[int, list[_Query]] = {}
    for query in queries:
        # Rows of different limits share a call where the model has positions for the longest.
        fits = len(query.ids) + longest <= positions
        limit = longest if fits and decoding.num_beams == 1 else query.limit
        together.setdefault(limit, []).append(query)
    yield from together.items()


def _decode(
    table: TaskTable,
    queries: Sequence[_Query],
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    decoding: Decoding,
    runtime: Runtime,
) -> Iterator[tuple[int, TaskAnswer]]:
    """The answers of one call, with the places of their records."""
    virtual = table.virtual
    rows = [PromptIds(query.ids, virtual) for query in queries]
    declared = declared_end_ids(model, tokenizer)
    ends: dict[str, EndOfText] = {}
    for template in {query.template.taskname: query.template for query in queries}.values():
        ids = declared | {answer_end(template, tokenizer)}
        ends[template.taskname] = EndOfText(tokenizer, ids, template.stop)
    # One call decodes rows of all tasks: the stop strings, which are each task's own, cut later.
    end_ids = {token for end in ends.values() for token in end.ids}
    pad = padding_id(tokenizer)
    for batch in decode_causal(model, rows, decoding, runtime, end_ids, pad):
        for done in batch:
            query = queries[done.position]
            # A call decodes all its rows up to the largest of their limits.
            ended = done.finished and len(done.ids) < query.limit
            record = query.record
            text, stopped = ends[record.taskname].cut(done.ids[: query.limit])
            answer = TaskAnswer(
                record.id,
                record.taskname,
                text.strip(),
                ended or stopped,
                query.cut,
            )
            yield query.place, answer
