"""What chat systems share: their items of a signature, and checks of hand-written templates.

Both need the tokenizer but no model, so that a run is checked before any model is loaded.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from parabench.models.checkpoints import tokenizer_folder
from parabench.models.local import Checkpoint
from parabench.models.pretrained import load_tokenizer

if TYPE_CHECKING:
    from parabench.prompts.templates import Template

_MAY_NAME_A_TOKEN = frozenset("<[|")
"""Of these characters one is in the name of every special token of models in use."""


def chat_items(template: Template, checkpoint: Checkpoint) -> tuple[tuple[str, str], ...]:
    """The chat template by its digest, and the system message; nothing where it is no chat.

    Raises UserError where the tokenizer of ``checkpoint`` has no chat template, and where that
    cannot frame the messages of ``template``.
    """
    if not template.chat:
        return ()
    from parabench.prompts.chat import chat_parts, chat_template_text

    tokenizer = _tokenizer(checkpoint)
    text = chat_template_text(tokenizer, checkpoint.reference)
    chat_parts(template, tokenizer)
    digest = hashlib.sha256(text.encode()).hexdigest()
    items = (("chat", digest[:12]),)
    if template.system:
        return (*items, ("system", template.system))
    return items


def check_literal_text(template: Template, checkpoint: Checkpoint, mend: str = "") -> None:
    """Refuse a hand-written ``template`` that names a special token of the tokenizer.

    ``mend`` is what mends it, where that is not a chat. Raises UserError: the name would be split
    like any text, and the model would not be steered.
    """
    from parabench.prompts.chat_tokens import check_plain_text

    # values of slots are other people's texts, in which such a name is text and nothing else
    literal = [part.value for part in template.parts if part.kind == "text"]
    for text in (*literal, template.system):
        # a tokenizer takes a second to load, which most templates do not need
        if _MAY_NAME_A_TOKEN & set(text):
            asked = f"use the template {template.prompt_template[:60]!r}"
            check_plain_text(text, _tokenizer(checkpoint), asked, template.chat, mend)


def _tokenizer(checkpoint: Checkpoint) -> Any:
    return load_tokenizer(tokenizer_folder(checkpoint), checkpoint.reference)
