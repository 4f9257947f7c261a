"""A soft prompt on disk: PEFT's two files, and our own facts about the prompt in a third beside
them.

``adapter_config.json`` and ``adapter_model.safetensors`` are what huggingface/peft reads;
``parabench.json`` holds the template, the base model's identity and the training's;
``parabench_state.safetensors``, where there is one, holds the initial prompt and the encoder's
whole state. The facts are written last and hold the checksums of themselves, of the tensor and of
the state, so a save that was interrupted, or changed later, is refused and never loaded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from parabench.contracts import UserError
from parabench.prompts.facts import FORMAT, AdapterFacts, Base
from parabench.prompts.files import (
    check_matrix,
    damaged,
    pack,
    read_file,
    read_json,
    seal,
    to_json,
    unpack,
    unsealed,
)
from parabench.prompts.peft_format import CONFIG, KEY, TENSOR, peft_config, read_config, read_prompt
from parabench.prompts.plain import build
from parabench.prompts.soft import vocabulary_rows
from parabench.store.files import write_atomically

if TYPE_CHECKING:
    from parabench.models.local import Checkpoint

FACTS, STATE = "parabench.json", "parabench_state.safetensors"
UNSEALED = 1
"""The format before facts and state had checksums; still read."""


@dataclass(frozen=True, eq=False)
class Adapter:
    """A verified prompt ``[P, H]`` in float32 with its facts; ``digest`` is the SHA-256 of its
    tensor file.

    ``state`` holds what only resuming and reading need: ``initial`` and the encoder's tensors as
    ``encoder.<name>``.
    """

    prompt: Float[Tensor, "P H"]
    facts: AdapterFacts
    digest: str
    state: Mapping[str, Tensor] = field(default_factory=dict)


def save(
    folder: Path,
    prompt: Float[Tensor, "P H"],
    facts: AdapterFacts,
    state: Mapping[str, Tensor] | None = None,
) -> Adapter:
    """Write the adapter, each file whole or not at all; UserError where prompt, template and base
    disagree.
    """
    prompt = prompt.detach().to("cpu", torch.float32).contiguous()
    _check_prompt(folder, prompt, facts)
    tensor = pack({KEY: prompt})
    facts = replace(facts, sha256=hashlib.sha256(tensor).hexdigest(), format=FORMAT)
    kept = pack(state or {})
    write_atomically(folder / STATE, kept)
    write_atomically(folder / TENSOR, tensor)
    write_atomically(folder / CONFIG, to_json(peft_config(facts)))
    write_atomically(folder / FACTS, to_json(seal(asdict(facts), state=kept)))
    return Adapter(prompt, facts, facts.sha256, state or {})


def load(folder: Path, base: Checkpoint | None = None) -> Adapter:
    """Read and verify an adapter; with ``base``, refuse one made for another model.

    UserError for missing, damaged or inconsistent files: checksum, key, shape, width, numbers that
    are not finite.
    """
    facts = read_facts(folder)
    config = read_config(folder)
    prompt, digest = read_prompt(folder)
    if digest != facts.sha256:
        found = f"{TENSOR} has SHA-256 {digest[:12]}, the facts say {facts.sha256[:12]}"
        raise damaged(folder, found)
    _check_prompt(folder, prompt, facts)
    if (config.get("num_virtual_tokens"), config.get("token_dim")) != tuple(prompt.shape):
        raise damaged(
            folder, f"{CONFIG} says {config.get('num_virtual_tokens')} x {config.get('token_dim')}"
        )
    if base is not None:
        check_base(folder, facts.base, base)
    state = _read_state(folder)
    _check_seal(folder)
    return Adapter(prompt, facts, digest, state)


def check_fit(adapter: Adapter, model: nn.Module) -> None:
    """Refuse, with UserError, a loaded model whose embeddings have another width or vocabulary than
    the prompt's.
    """
    vocabulary, width = vocabulary_rows(model).shape
    made = adapter.facts.base
    for what, theirs, ours in (
        ("width", made.width, width),
        ("vocabulary", made.vocabulary, vocabulary),
    ):
        if theirs != ours:
            found = f"its base {made.name} has {what} {theirs}, this model has {ours}"
            raise UserError(
                "put this prompt in front of this model", found, mend=f"use {made.name}"
            )


def check_base(folder: Path, made_for: Base, given: Checkpoint) -> None:
    """Refuse, with UserError, another model than the one a prompt was made for, as far as that was
    recorded.
    """
    if made_for.digest is None or made_for.digest == given.digest:
        return
    found = f"made for {made_for.name} {made_for.digest[:12]}, given {given.reference} {given.digest[:12]}"
    if made_for.revision != given.revision:
        found += f" (revision {made_for.revision}, given {given.revision})"
    raise UserError(
        f"use the adapter {folder} with {given.reference}",
        found,
        mend=f"use the base {made_for.name}",
    )


def read_facts(folder: Path) -> AdapterFacts:
    """Our own facts beside an adapter."""
    found = read_json(folder, FACTS)
    if found.get("format") not in (UNSEALED, FORMAT):
        raise damaged(
            folder, f"{FACTS} is of format {found.get('format')}; this version reads {FORMAT}"
        )
    if found["format"] == FORMAT:
        found.pop("checksums", None)
    return build(
        AdapterFacts, found, f"read {FACTS} of the adapter {folder}", "train or import it again"
    )


def _check_seal(folder: Path) -> None:
    """Refuse facts or a state other than those that were saved."""
    found = read_json(folder, FACTS)
    if found["format"] != UNSEALED:
        unsealed(
            folder,
            FACTS,
            found,
            state=read_file(folder, STATE) if (folder / STATE).exists() else b"",
        )


def _read_state(folder: Path) -> dict[str, Tensor]:
    return unpack(folder / STATE, read_file(folder, STATE)) if (folder / STATE).exists() else {}


def _check_prompt(folder: Path, prompt: Tensor, facts: AdapterFacts) -> None:
    check_matrix(folder, prompt)
    wanted = (facts.template.total_virtual_tokens, facts.base.width)
    if tuple(prompt.shape) != wanted:
        raise damaged(
            folder, f"the prompt is {tuple(prompt.shape)}, template and base model want {wanted}"
        )
