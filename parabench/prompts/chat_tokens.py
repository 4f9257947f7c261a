"""Control tokens, and texts encoded so that none of them comes from a user's words.

Control tokens are what steers a model: the ends of texts and turns, roles, tools, thoughts. A text
that holds the name of one is a text all the same.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from parabench.contracts import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from parabench.prompts.templates import Template

_log = logging.getLogger(__name__)

_KNOWN_ATTRIBUTE = "parabench_chat"
"""Attribute of a tokenizer: what was once found out about its chat template and its tokens."""

_MARKUP = re.compile(r"\s*(<.+>|\[[A-Z_/]+\])\s*")
"""Names of added tokens that steer a model, though they are not declared special."""


def control_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """The ids of the tokens that steer a model, by name: none of them may come from a message.

    All special tokens, and the added ones that are written as markup, such as Qwen's ``<think>``.
    """
    found = {}
    for number, token in tokenizer.added_tokens_decoder.items():
        if token.special or _MARKUP.fullmatch(token.content):
            found[token.content] = number
    return found


def check_plain_text(
    text: str, tokenizer: PreTrainedTokenizerBase, asked: str, chat: bool = False, mend: str = ""
) -> None:
    """Refuse a hand-written ``text`` that names a special token: as text it would be split.

    Raises UserError, begun with ``asked``, that names the token. ``chat`` tells that the text is
    the content of a message, which the chat template already frames; ``mend`` replaces the advice.
    """
    special = set(tokenizer.all_special_tokens)
    for token in tokenizer.added_tokens_decoder.values():
        if token.special:
            special.add(token.content)
    named = [name for name in special if name in text]
    if not named:
        return
    # the longest: a shorter name may be a part of it
    longest = max(named, key=len)
    pieces = tokenizer.tokenize(longest, split_special_tokens=True)
    found = f"{longest} in it, the name of a special token; here it would be the text {pieces}"
    if not mend and chat:
        mend = "leave it out: the chat template writes it"
    elif not mend:
        mend = "set chat = true"
        if longest == tokenizer.eos_token:
            mend += ", or write <|EOS|> for the end of a text"
    raise UserError(asked, found, mend=mend)


def warn_of_token_names(template: Template, tokenizer: PreTrainedTokenizerBase) -> None:
    """Say in the log where a task's ``template`` names a special token, which is split like text.

    It is not refused, as a training that was begun so goes on so.
    """
    for part in template.parts:
        if part.kind != "text":
            continue
        asked = f"the template of task {template.taskname!r}"
        try:
            check_plain_text(part.value, tokenizer, asked, template.chat)
        except UserError as error:
            _log.warning("%s: %s; to mend it, %s", asked, error.found, error.mend)


def remembered(tokenizer: Any) -> dict[Any, Any]:
    """What was once found out about a ``tokenizer``: a mapping to look into and to add to."""
    if not hasattr(tokenizer, _KNOWN_ATTRIBUTE):
        setattr(tokenizer, _KNOWN_ATTRIBUTE, {})
    known: dict[Any, Any] = getattr(tokenizer, _KNOWN_ATTRIBUTE)
    return known


def encode_text(
    tokenizer: PreTrainedTokenizerBase, text: str, tokens: Sequence[tuple[int, str]] = ()
) -> tuple[list[int], list[tuple[int, int]]]:
    """Ids and character offsets of a ``text`` whose control tokens are those of ``tokens`` alone.

    ``tokens``: where each begins and its name, in order; without any, a special token's name is
    text. With some, the text is encoded whole, as
    transformers does it, so that whatever a tokenizer does at the beginning of a text or around
    its special tokens is done. Where a name in a message was read as a control token, what stands
    between the template's own tokens is encoded again, as plain text.
    """
    if not tokens:
        return _encode_plain(tokenizer, text)
    control = _ids_to_keep_out(tokenizer)
    own = set()
    for start, name in tokens:
        spaces = len(name) - len(name.lstrip())
        own.add(start + spaces)
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids = encoded.input_ids
    offsets = encoded.offset_mapping
    for token, (low, high) in zip(ids, offsets, strict=True):
        if token in control and _name_begin(text, low, high) not in own:
            return _encode_apart(tokenizer, text, tokens)
    return ids, offsets


def _name_begin(text: str, low: int, high: int) -> int:
    """Where the name begins of a control token that was read at ``text[low:high]``.

    A control token may take the spaces around its name with it.
    """
    name = text[low:high].lstrip()
    return high - len(name)


def _encode_apart(
    tokenizer: PreTrainedTokenizerBase, text: str, tokens: Sequence[tuple[int, str]]
) -> tuple[list[int], list[tuple[int, int]]]:
    """The control ``tokens`` by their ids, and what stands between them as plain text."""
    named = control_tokens(tokenizer)
    ids: list[int] = []
    offsets: list[tuple[int, int]] = []
    place = 0
    # The end of the text closes the last stretch of plain text like a token without a name.
    for start, name in [*tokens, (len(text), "")]:
        for token, (low, high) in _plain_tokens(tokenizer, text[place:start]):
            ids.append(token)
            # Offsets of a stretch are counted from its own beginning.
            offsets.append((place + low, place + high))
        place = start + len(name)
        if name:
            ids.append(named[name])
            offsets.append((start, place))
    return ids, offsets


def _plain_tokens(
    tokenizer: PreTrainedTokenizerBase, text: str
) -> Iterator[tuple[int, tuple[int, int]]]:
    """The tokens of a text and their offsets, none of them a control token.

    A name that is read as one all the same is cut behind its first character.
    """
    control = _ids_to_keep_out(tokenizer)
    waiting = [(0, text)]
    while waiting:
        start, piece = waiting.pop()
        ids, offsets = _encode_plain(tokenizer, piece)
        tokens = list(zip(ids, offsets, strict=True))
        cuts = [0]
        for token, (low, high) in tokens:
            begin = _name_begin(piece, low, high)
            # a cut lies inside the piece, so pieces become shorter and this ends
            if token in control and begin + 1 < high:
                cuts.append(begin + 1)
        if len(cuts) == 1:
            for token, (low, high) in tokens:
                yield token, (start + low, start + high)
            continue
        cuts.append(len(piece))
        shorter = [(start + low, piece[low:high]) for low, high in pairwise(cuts)]
        # the next piece is taken from the end
        waiting.extend(reversed(shorter))


def _encode_plain(
    tokenizer: PreTrainedTokenizerBase, text: str
) -> tuple[list[int], list[tuple[int, int]]]:
    encoded = tokenizer(
        text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True
    )
    return encoded.input_ids, encoded.offset_mapping


def _ids_to_keep_out(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """The ids of control tokens, but of the unknown token, which any text may hold."""
    known = remembered(tokenizer)
    key = ("control", len(tokenizer))
    if key not in known:
        ids = frozenset(control_tokens(tokenizer).values())
        known[key] = ids - {tokenizer.unk_token_id}
    found: frozenset[int] = known[key]
    return found
