"""Task templates: text with ``{field}`` slots and ``<|VIRTUAL_PROMPT_i|>`` markers, as in NeMo.

Unlike NeMo, a template is cut into parts once and the values are put between them, so text inside a
value is never expanded; and a record is tokenised as separate runs, so positions are known and
never searched for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, NamedTuple

from pydantic import StrictBool, StrictInt

from parabench.contracts import UserError
from parabench.prompts.validation import STRICT_KEYS, validate_dataclass

MARKER = re.compile(r"<\|VIRTUAL_PROMPT_(\d+)\|>")
SLOT = re.compile(r"\{([^{}]+)\}")
EOS_MARKER = "<|EOS|>"
TURN_MARKER = "<|TURN|>"
PIECES = re.compile(r"(<\|VIRTUAL_PROMPT_\d+\|>|<\|EOS\|>|<\|TURN\|>|\{[^{}]+\})")
BRACKET = re.compile(r"\[(\w+)\]")


class TemplatePart(NamedTuple):
    """A piece of a template.

    Literal text, a field's name, a marker's index as text, the end-of-text token, where one
    message of a chat ends and the next begins, or a control token of a chat template by its name.
    """

    kind: Literal["text", "field", "marker", "end", "turn", "token"]
    value: str


@dataclass(frozen=True)
class Template:
    """How one task's records become token rows; construction checks it and raises UserError.

    ``virtual_token_splits[i]`` virtual tokens stand where ``<|VIRTUAL_PROMPT_i|>`` does, and the
    tokenizer's EOS where ``<|EOS|>`` does. ``truncate_field`` is shortened when a record is too
    long. ``answer_field`` stands last and is what the model learns to write; with
    ``answer_only_loss`` nothing else enters the loss. An answer ends at EOS or before the first of
    the strings in ``stop``, and has at most ``max_new_tokens`` tokens (None: what the caller
    decodes with). Source: NeMo v1.10
    ``megatron_gpt_prompt_learning_model.py``.

    With ``chat`` the text before the answer is the user's message, framed by the tokenizer's chat
    template behind the message ``system``, where there is one; ``<|TURN|>`` separates messages of
    user and assistant by turns, and the answer ends where the assistant's turn does.
    """

    __pydantic_config__: ClassVar = STRICT_KEYS

    taskname: str
    prompt_template: str
    total_virtual_tokens: StrictInt
    virtual_token_splits: tuple[StrictInt, ...]
    truncate_field: str | None = None
    answer_field: str | None = None
    answer_only_loss: StrictBool = False
    stop: tuple[str, ...] = ()
    max_new_tokens: StrictInt | None = None
    chat: StrictBool = False
    system: str = ""

    def __post_init__(self) -> None:
        # The first fault is told; the others may follow from it.
        for found, mend in _faults(self):
            raise UserError(f"use the template of task {self.taskname!r}", found, mend=mend)

    @cached_property
    def parts(self) -> tuple[TemplatePart, ...]:
        """The template cut at its markers and slots; empty text left out."""
        return _cut(self.prompt_template)

    @cached_property
    def prompt_parts(self) -> tuple[TemplatePart, ...]:
        """The parts before the answer, without the spaces that go with it."""
        if self.answer_field is None:
            return self.parts
        if self.chat:
            # the answer is a message of its own, whatever stands before it
            return _cut(self._before_answer.removesuffix(TURN_MARKER))
        return _cut(self._before_answer.rstrip(" "))

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The names of the slots, in order, each once."""
        names = [part.value for part in self.parts if part.kind == "field"]
        return tuple(dict.fromkeys(names))

    @cached_property
    def answer_prefix(self) -> str:
        """The spaces before the answer's slot.

        They are tokenised with the answer, so that its first word keeps its own token: in
        byte-level BPE a word with a space before it is another token than the word alone.
        """
        if self.answer_field is None or self.chat:
            return ""
        before = self._before_answer
        without_spaces = before.rstrip(" ")
        return before.removeprefix(without_spaces)

    @property
    def _before_answer(self) -> str:
        return self.prompt_template.removesuffix(f"{{{self.answer_field}}}")


def template_slots(text: str) -> list[str]:
    """The names in the slots of a template's text, in order, as often as they stand there."""
    return SLOT.findall(text)


def parse_template(settings: Mapping[str, object]) -> Template:
    """A template from a parsed table of JSON, TOML or YAML.

    Raises UserError, which names the key, for unknown, missing and mistyped keys in ``settings``
    and where a rule of ``Template`` is broken.
    """
    asked = f"read the template of task {settings.get('taskname')!r}"
    return validate_dataclass(Template, settings, asked)


def paraphrase_template(
    length: int, text: str = "", chat: bool = False, system: str = ""
) -> Template:
    """The paraphrase task with one soft prompt in front.

    ``length`` virtual tokens, then ``text`` with ``{source}`` in it, then the answer. Without a
    text it is the source and a newline, or with ``chat`` the source alone as the user's message,
    behind the message ``system``. Raises UserError for a text without the source.
    """
    # Without virtual tokens there is no marker either: a template has as many as splits.
    splits = (length,) if length else ()
    marker = "<|VIRTUAL_PROMPT_0|>" if length else ""
    asked = text or ("{source}" if chat else "{source}\n")
    whole = f"{marker}{asked}{{target}}"
    return Template(
        "paraphrase",
        whole,
        length,
        splits,
        "source",
        "target",
        answer_only_loss=True,
        chat=chat,
        system=system,
    )


def templates_by_name(templates: tuple[Template, ...]) -> Mapping[str, Template]:
    """Templates by task name; UserError where two share one."""
    names = [template.taskname for template in templates]
    for name in names:
        if names.count(name) > 1:
            asked = f"use {len(names)} task templates"
            raise UserError(asked, f"{name!r} is defined {names.count(name)} times")
    return dict(zip(names, templates, strict=True))


def virtual_ranges(template: Template) -> dict[str, range]:
    """Which rows of the prompt each marker stands for, by the marker's index as text.

    Rows run on across markers in the order of their indices, wherever the markers stand.
    """
    ranges = {}
    begin = 0
    for index, count in enumerate(template.virtual_token_splits):
        end = begin + count
        ranges[str(index)] = range(begin, end)
        begin = end
    return ranges


def _cut(text: str) -> tuple[TemplatePart, ...]:
    # The pattern has one group, so that what separates the pieces is kept among them.
    return tuple(_part(piece) for piece in PIECES.split(text) if piece)


def _part(piece: str) -> TemplatePart:
    if marker := MARKER.fullmatch(piece):
        return TemplatePart("marker", marker[1])
    if piece == EOS_MARKER:
        return TemplatePart("end", piece)
    if piece == TURN_MARKER:
        return TemplatePart("turn", piece)
    if slot := SLOT.fullmatch(piece):
        return TemplatePart("field", slot[1])
    return TemplatePart("text", piece)


def _faults(template: Template) -> Iterator[tuple[str, str]]:
    """What is wrong with a template and how to mend it, in the order in which it is reported.

    NeMo's rules 5, 6 and 8, and what it does not check.
    """
    yield from _number_faults(template)
    yield from _marker_faults(template)
    yield from _slot_faults(template)
    yield from _answer_faults(template)
    yield from _chat_faults(template)
    if not all(template.stop):
        yield "an empty string among the stop strings", "leave it out; EOS always ends an answer"
    if template.max_new_tokens is not None and template.max_new_tokens < 1:
        yield f"max_new_tokens {template.max_new_tokens}", "use a number of 1 or more"


def _chat_faults(template: Template) -> Iterator[tuple[str, str]]:
    if not template.chat:
        if template.system:
            yield "a system message, but no chat", "set chat = true"
        if TURN_MARKER in template.prompt_template:
            yield f"{TURN_MARKER}, but no chat", "set chat = true"
        return
    kinds = [part.kind for part in template.prompt_parts]
    if kinds.count("turn") % 2:
        found = f"{kinds.count('turn') + 1} messages, so that the last is the assistant's"
        yield found, "end with a message of the user"


def _number_faults(template: Template) -> Iterator[tuple[str, str]]:
    total = template.total_virtual_tokens
    splits = template.virtual_token_splits
    smallest = min([total, *splits])
    if not template.taskname or smallest < 0:
        found = "an empty task name or a negative number of virtual tokens"
        yield found, "name it; use numbers of 0 or more"
    summed = sum(splits)
    if summed != total:
        found = f"splits {list(splits)} sum to {summed}, not {total}"
        yield found, "make the sums agree"


def _marker_faults(template: Template) -> Iterator[tuple[str, str]]:
    """Markers that are not 0 to k-1 for k splits, each once; NeMo only counts them."""
    count = len(template.virtual_token_splits)
    wanted = [str(index) for index in range(count)]
    markers = [part.value for part in template.parts if part.kind == "marker"]
    if sorted(markers) != sorted(wanted):
        found = ", ".join(markers) or "none"
        needed = ", ".join(wanted) or "none"
        yield f"markers {found}; {count} splits need {needed}, each once", "number them so"
    # What looks like a marker and is none was kept as text.
    for part in template.parts:
        if part.kind == "text" and "<|VIRTUAL_PROMPT" in part.value:
            yield "a marker that is not <|VIRTUAL_PROMPT_i|>", "write <|VIRTUAL_PROMPT_0|>"
            break


def _slot_faults(template: Template) -> Iterator[tuple[str, str]]:
    slots = template.fields
    truncated = template.truncate_field
    # Square brackets are plain text, but for names that must be slots, or where there is no slot:
    # NeMo's own example writes [sentence1].
    must_be_slots = (truncated, template.answer_field)
    for name in BRACKET.findall(template.prompt_template):
        if name in must_be_slots or not slots:
            yield f"the slot [{name}] in square brackets", f"write {{{name}}}"
            break
    if truncated is not None and truncated not in slots:
        known = ", ".join(slots) or "none"
        yield f"truncate_field {truncated!r} is no slot; slots: {known}", "name a slot, or none"


def _answer_faults(template: Template) -> Iterator[tuple[str, str]]:
    answer = template.answer_field
    if answer is None:
        if template.answer_only_loss:
            yield "answer_only_loss without an answer_field", "set answer_field"
        return
    slot = f"{{{answer}}}"
    if not template.prompt_template.endswith(slot):
        yield f"the template does not end with {slot}", "put the answer last"
    if template.prompt_template.count(slot) > 1:
        yield f"the answer {slot} stands in the prompt too", "keep the last one"
    if template.truncate_field == answer:
        yield f"truncate_field is the answer {answer!r}", "truncate another field"
