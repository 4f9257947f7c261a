"""Task templates: text with ``{field}`` slots and ``<|VIRTUAL_PROMPT_i|>`` markers, as in NeMo
v1.10.

Unlike NeMo, a template is cut into parts once and the values are put between them, so text inside a
value is never expanded; and a record is tokenised as separate runs, so positions are known and
never searched for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import ClassVar, Literal, NamedTuple

from parabench.contracts import UserError
from parabench.prompts.validation import STRICT_KEYS, validate_dataclass

MARKER = re.compile(r"<\|VIRTUAL_PROMPT_(\d+)\|>")
SLOT = re.compile(r"\{([^{}]+)\}")
EOS_MARKER = "<|EOS|>"
PIECES = re.compile(r"(<\|VIRTUAL_PROMPT_\d+\|>|<\|EOS\|>|\{[^{}]+\})")
BRACKET = re.compile(r"\[(\w+)\]")


class TemplatePart(NamedTuple):
    """A piece of a template: literal text, a field's name, a marker's index as text, or the
    end-of-text token.
    """

    kind: Literal["text", "field", "marker", "end"]
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
    """

    __pydantic_config__: ClassVar = STRICT_KEYS

    taskname: str
    prompt_template: str
    total_virtual_tokens: int
    virtual_token_splits: tuple[int, ...]
    truncate_field: str | None = None
    answer_field: str | None = None
    answer_only_loss: bool = False
    stop: tuple[str, ...] = ()
    max_new_tokens: int | None = None

    def __post_init__(self) -> None:
        for found, mend in _faults(self):
            raise UserError(f"use the template of task {self.taskname!r}", found, mend=mend)

    @cached_property
    def parts(self) -> tuple[TemplatePart, ...]:
        """The template cut at its markers and slots; empty text left out."""
        return tuple(_part(piece) for piece in PIECES.split(self.prompt_template) if piece)

    @cached_property
    def prompt_parts(self) -> tuple[TemplatePart, ...]:
        """The parts before the answer, without the spaces that go with it."""
        if self.answer_field is None:
            return self.parts
        prompt = self.prompt_template.removesuffix(f"{{{self.answer_field}}}").rstrip(" ")
        return tuple(_part(piece) for piece in PIECES.split(prompt) if piece)

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The names of the slots, in order, each once."""
        return tuple(dict.fromkeys(part.value for part in self.parts if part.kind == "field"))

    @cached_property
    def answer_prefix(self) -> str:
        """The spaces before the answer's slot, tokenised with the answer so that its first word
        keeps its own token.
        """
        before = (
            self.prompt_template.removesuffix(f"{{{self.answer_field}}}")
            if self.answer_field
            else ""
        )
        return before[len(before.rstrip(" ")) :]


def template_slots(text: str) -> list[str]:
    """The names in the slots of a template's text, in order, as often as they stand there."""
    return SLOT.findall(text)


def parse_template(settings: Mapping[str, object]) -> Template:
    """A template from a parsed JSON or TOML table; UserError names unknown, missing and mistyped
    keys.
    """
    return validate_dataclass(
        Template, settings, f"read the template of task {settings.get('taskname')!r}"
    )


def paraphrase_template(length: int) -> Template:
    """The paraphrase task with one soft prompt in front: virtual tokens, the source, a newline, the
    answer.
    """
    splits = (length,) if length else ()
    marker = "<|VIRTUAL_PROMPT_0|>" if length else ""
    return Template(
        "paraphrase", f"{marker}{{source}}\n{{target}}", length, splits, "source", "target", True
    )


def templates_by_name(templates: tuple[Template, ...]) -> Mapping[str, Template]:
    """Templates by task name; UserError where two share one."""
    names = [template.taskname for template in templates]
    for name in names:
        if names.count(name) > 1:
            raise UserError(
                f"use {len(names)} task templates", f"{name!r} is defined {names.count(name)} times"
            )
    return dict(zip(names, templates, strict=True))


def _part(piece: str) -> TemplatePart:
    if match := MARKER.fullmatch(piece):
        return TemplatePart("marker", match[1])
    if piece == EOS_MARKER:
        return TemplatePart("end", piece)
    return (
        TemplatePart("field", match[1])
        if (match := SLOT.fullmatch(piece))
        else TemplatePart("text", piece)
    )


def _faults(template: Template) -> Iterator[tuple[str, str]]:
    """What is wrong with a template and how to mend it, the first first: NeMo's rules 5, 6 and 8,
    and its gaps.
    """
    splits, answer, cut = (
        template.virtual_token_splits,
        template.answer_field,
        template.truncate_field,
    )
    if not template.taskname or min((template.total_virtual_tokens, *splits)) < 0:
        yield (
            "an empty task name or a negative number of virtual tokens",
            "name it; use numbers of 0 or more",
        )
    if sum(splits) != template.total_virtual_tokens:
        yield (
            f"splits {list(splits)} sum to {sum(splits)}, not {template.total_virtual_tokens}",
            "make the sums agree",
        )
    markers = [part.value for part in template.parts if part.kind == "marker"]
    if sorted(markers) != sorted(str(index) for index in range(len(splits))):
        wanted = ", ".join(str(index) for index in range(len(splits))) or "none"
        yield (
            f"markers {', '.join(markers) or 'none'}; {len(splits)} splits need {wanted}, each once",
            "number them so",
        )
    if "<|VIRTUAL_PROMPT" in "".join(part.value for part in template.parts if part.kind == "text"):
        yield "a marker that is not <|VIRTUAL_PROMPT_i|>", "write <|VIRTUAL_PROMPT_0|>"
    brackets = [
        name
        for name in BRACKET.findall(template.prompt_template)
        if name in (cut, answer) or not template.fields
    ]
    if brackets:
        yield f"the slot [{brackets[0]}] in square brackets", f"write {{{brackets[0]}}}"
    if cut is not None and cut not in template.fields:
        yield (
            f"truncate_field {cut!r} is no slot; slots: {', '.join(template.fields) or 'none'}",
            "name a slot, or none",
        )
    if answer is not None and not template.prompt_template.endswith(f"{{{answer}}}"):
        yield f"the template does not end with {{{answer}}}", "put the answer last"
    if answer is not None and template.prompt_template.count(f"{{{answer}}}") > 1:
        yield f"the answer {{{answer}}} stands in the prompt too", "keep the last one"
    if answer is None and template.answer_only_loss:
        yield "answer_only_loss without an answer_field", "set answer_field"
    if not all(template.stop):
        yield "an empty string among the stop strings", "leave it out; EOS always ends an answer"
    if template.max_new_tokens is not None and template.max_new_tokens < 1:
        yield f"max_new_tokens {template.max_new_tokens}", "use a number of 1 or more"
    if answer is not None and cut == answer:
        yield f"truncate_field is the answer {answer!r}", "truncate another field"


def virtual_ranges(template: Template) -> dict[str, range]:
    """Which rows of the prompt each marker stands for; rows run on across markers in the order of
    their indices.
    """
    ends = list(accumulate(template.virtual_token_splits, initial=0))
    return {str(i): range(ends[i], ends[i + 1]) for i in range(len(template.virtual_token_splits))}
