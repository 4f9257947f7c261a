"""Chat prompts: a template's text as turns, framed by the tokenizer's own chat template.

The chat template is rendered by transformers' ``apply_chat_template``, in its sandbox, with a
placeholder in place of each message. So no message can change what the template writes, and where
the messages stand is known and never searched for.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from parabench.contracts import UserError
from parabench.prompts.chat_tokens import control_tokens, remembered
from parabench.prompts.templates import Template, TemplatePart

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_DATE = datetime.date(2024, 7, 26)
"""The day that templates are told. One that reads the clock (Llama 3.1's) would give other prompts
tomorrow; this is the day that Llama's own template falls back to."""

_CLOCK_CALL = re.compile(r"""strftime_now\(\s*["']([^"']*)["']\s*\)""")

_EDGE = "\t\n\t"
"""White space around a placeholder, which shows whether a template trims messages."""

TRIM_BEGIN, TRIM_END = TemplatePart("turn", "begin"), TemplatePart("turn", "end")
"""The edges of a message whose white space the chat template takes away."""


def chat_template_text(tokenizer: PreTrainedTokenizerBase, reference: str) -> str:
    """The tokenizer's chat template; raises UserError where it has none.

    ``reference`` is the model as it was asked for.
    """
    try:
        return str(tokenizer.get_chat_template())
    except ValueError:  # none at all, or several without a default
        raise UserError(
            f"use chat = true with {reference}",
            "its tokenizer has no chat template",
            mend="leave chat out and write a template, or use a model that was tuned to chat",
        ) from None


def chat_parts(template: Template, tokenizer: PreTrainedTokenizerBase) -> tuple[TemplatePart, ...]:
    """The parts of a chat ``template``, up to where the model begins to write.

    Virtual tokens that lead the template lead the whole prompt. Beside the kinds of plain
    templates there are ``token``, a control token of the chat template by its name, and
    ``TRIM_BEGIN`` and ``TRIM_END`` at the edges of a message that is trimmed.

    Raises UserError where there is no chat template, or it cannot frame these messages.
    """
    made = remembered(tokenizer)
    key = (template, chat_template_text(tokenizer, tokenizer.name_or_path))
    if key not in made:
        lead, contents = _turns(template)
        messages = _messages(template, len(contents))
        if template.system:
            system_content = (TemplatePart("text", template.system),)
            contents.insert(0, system_content)
        framed = _frame(tokenizer, messages, contents, True)
        made[key] = (*lead, *framed)
    parts: tuple[TemplatePart, ...] = made[key]
    return parts


def end_of_turn(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The id that ends the model's own turn: the control token right behind an answer.

    None where the chat template writes no control token there.
    """
    messages = [_message("user", 0), _message("assistant", 1)]
    text = _render(tokenizer, messages, False)
    _, _, behind = text.rpartition(_placeholder(1))
    behind = behind.lstrip()
    ids = control_tokens(tokenizer)
    # the longest first: one name may begin with another
    for name in sorted(ids, key=len, reverse=True):
        if behind.startswith(name.strip()):
            return ids[name]
    return None


def _turns(
    template: Template,
) -> tuple[tuple[TemplatePart, ...], list[tuple[TemplatePart, ...]]]:
    """The virtual tokens that lead, and the parts of each message; the user's is the last."""
    parts = template.prompt_parts
    texts = [place for place, part in enumerate(parts) if part.kind != "marker"]
    lead = texts[0] if texts else len(parts)
    turns: list[list[TemplatePart]] = [[]]
    for part in parts[lead:]:
        if part.kind == "turn":
            turns.append([])
        else:
            turns[-1].append(part)
    return parts[:lead], [tuple(turn) for turn in turns]


def _messages(template: Template, turns: int) -> list[dict[str, str]]:
    """The messages with placeholders: the system's, then user and assistant by turns."""
    roles = ["system"] if template.system else []
    for turn in range(turns):
        is_users = turn % 2 == 0
        roles.append("user" if is_users else "assistant")
    return [_message(role, number) for number, role in enumerate(roles)]


def _message(role: str, number: int) -> dict[str, str]:
    return {"role": role, "content": f"{_EDGE}{_placeholder(number)}{_EDGE}"}


def _placeholder(number: int) -> str:
    # Letters and digits alone: a template has no reason to treat them as anything but text.
    return f"parabench0message0{number:05d}0"


def _frame(
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Mapping[str, str]],
    contents: Sequence[tuple[TemplatePart, ...]],
    generation_prompt: bool,
) -> tuple[TemplatePart, ...]:
    """What the chat template writes around the ``contents`` of ``messages``, and they in place."""
    rest = _render(tokenizer, messages, generation_prompt)
    named = control_tokens(tokenizer)
    parts: list[TemplatePart] = []
    for number, content in enumerate(contents):
        key = _placeholder(number)
        role = messages[number]["role"]
        # Messages are found in order; one written twice, as in a summary, has no one place.
        before, found, rest = rest.partition(key)
        if not found or key in rest:
            raise _unusable(tokenizer, f"it does not write the message of the {role} once")
        if before.endswith(_EDGE) and rest.startswith(_EDGE):
            before = before.removesuffix(_EDGE)
            rest = rest.removeprefix(_EDGE)
        # The blanks around the placeholder are gone: the template trims what it writes.
        elif before[-1:] != "\t" and rest[:1] != "\t":
            content = (TRIM_BEGIN, *content, TRIM_END)
        else:
            raise _unusable(tokenizer, f"it changes the message of the {role}")
        parts.extend(_literal(before, named))
        parts.extend(content)
    parts.extend(_literal(rest, named))
    return tuple(parts)


def _literal(text: str, named: Iterable[str]) -> Iterator[TemplatePart]:
    """Text of the chat template, cut at the names of control tokens."""
    # the longest first: one name may begin with another
    names = sorted(named, key=len, reverse=True)
    pattern = "|".join(re.escape(name) for name in names)
    pieces = re.split(f"({pattern})", text) if pattern else [text]
    for place, piece in enumerate(pieces):
        # the pattern has one group, so that every second piece is a name
        is_name = place % 2 == 1
        if piece:
            yield TemplatePart("token" if is_name else "text", piece)


def _render(
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Mapping[str, str]],
    generation_prompt: bool,
) -> str:
    """The chat template's text; raises UserError with its own words where it refuses."""
    from jinja2 import TemplateError

    template_text = chat_template_text(tokenizer, tokenizer.name_or_path)
    template_text = _without_clock(template_text)
    conversation = [dict(message) for message in messages]
    try:
        framed = tokenizer.apply_chat_template(
            conversation,
            chat_template=template_text,
            tokenize=False,
            add_generation_prompt=generation_prompt,
        )
        return str(framed)
    except (TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
        lines = str(error).strip().splitlines() or ["no reason given"]
        found = f"{type(error).__name__}: {lines[0]}"
    if any(message["role"] == "system" for message in messages):
        raise _unusable(tokenizer, found, "leave system out, and write its text into the template")
    raise _unusable(tokenizer, found)


def _without_clock(text: str) -> str:
    """A chat template whose ``strftime_now`` gives ``_DATE`` in the formats that it asks for."""
    if "strftime_now" not in text:
        return text
    formats = _CLOCK_CALL.findall(text) or ["%d %b %Y"]
    dates = {name: _DATE.strftime(name) for name in formats}
    # a macro hides the function of the same name that transformers hands over
    body = f"{{{{ {dates!r}[format] }}}}"
    macro = f"{{%- macro strftime_now(format) -%}}{body}{{%- endmacro -%}}"
    return macro + text


def _unusable(
    tokenizer: PreTrainedTokenizerBase,
    found: str,
    mend: str = "leave chat out and write a template",
) -> UserError:
    return UserError(f"use the chat template of {tokenizer.name_or_path}", found, mend=mend)


def prompt_parts(
    template: Template, tokenizer: PreTrainedTokenizerBase
) -> tuple[TemplatePart, ...]:
    """The parts before the answer of any ``template``, framed where it is a chat.

    Raises UserError where it cannot be framed.
    """
    if template.chat:
        return chat_parts(template, tokenizer)
    return template.prompt_parts


def answer_end(template: Template, tokenizer: PreTrainedTokenizerBase) -> int:
    """The id that ends an answer: EOS, or of a chat the end of the assistant's turn."""
    if template.chat:
        turn_end = end_of_turn(tokenizer)
        if turn_end is not None:
            return turn_end
    return int(tokenizer.eos_token_id)
