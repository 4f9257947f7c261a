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
from parabench.prompts.facts import ADAPTER_FORMAT, AdapterFacts, BaseIdentity
from parabench.prompts.files import (
    check_matrix,
    damaged_adapter,
    pack_tensors,
    read_adapter_file,
    read_json_object,
    to_json_bytes,
    unpack_tensors,
    verify_checksums,
    with_checksums,
)
from parabench.prompts.peft_format import (
    PEFT_CONFIG_FILE,
    PEFT_TENSOR_FILE,
    PEFT_TENSOR_KEY,
    peft_config,
    read_peft_config,
    read_peft_prompt,
)
from parabench.prompts.soft import vocabulary_rows
from parabench.prompts.validation import validate_dataclass
from parabench.store.files import write_atomically

if TYPE_CHECKING:
    from parabench.models.local import Checkpoint

ADAPTER_FACTS_FILE, ADAPTER_STATE_FILE = "parabench.json", "parabench_state.safetensors"
FORMAT_WITHOUT_CHECKSUMS = 1
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


def save_adapter(
    folder: Path,
    prompt: Float[Tensor, "P H"],
    facts: AdapterFacts,
    state: Mapping[str, Tensor] | None = None,
) -> Adapter:
    """Write an adapter into ``folder``, each file whole or not at all, and return it.

    ``facts`` get the checksum of the tensor file; ``state`` are further tensors for resuming.
    Raises UserError where ``prompt`` is not of the size that template and base say.
    """
    # Stored in float32 whatever the model's dtype is, so that nothing is lost on the way.
    prompt = prompt.detach().to("cpu", torch.float32).contiguous()
    _check_prompt(folder, prompt, facts)
    tensor = pack_tensors({PEFT_TENSOR_KEY: prompt})
    digest = hashlib.sha256(tensor).hexdigest()
    facts = replace(facts, sha256=digest, format=ADAPTER_FORMAT)
    packed_state = pack_tensors(state or {})
    sealed = with_checksums(asdict(facts), state=packed_state)
    # The facts hold the checksums of the others: written last, they end the save.
    write_atomically(folder / ADAPTER_STATE_FILE, packed_state)
    write_atomically(folder / PEFT_TENSOR_FILE, tensor)
    write_atomically(folder / PEFT_CONFIG_FILE, to_json_bytes(peft_config(facts)))
    write_atomically(folder / ADAPTER_FACTS_FILE, to_json_bytes(sealed))
    return Adapter(prompt, facts, digest, state or {})


def load_adapter(folder: Path, base: Checkpoint | None = None) -> Adapter:
    """Read and verify the adapter in ``folder``; with ``base``, refuse one made for another model.

    Raises UserError for missing, damaged or inconsistent files: checksum, key, shape, width,
    numbers that are not finite.
    """
    facts = read_adapter_facts(folder)
    config = read_peft_config(folder)
    prompt, digest = read_peft_prompt(folder)
    if digest != facts.sha256:
        # The tensor of another save than the facts: a save was interrupted, or a file replaced.
        is_of = f"{PEFT_TENSOR_FILE} has SHA-256 {digest[:12]}"
        raise damaged_adapter(folder, f"{is_of}, the facts say {facts.sha256[:12]}")
    _check_prompt(folder, prompt, facts)
    rows = config.get("num_virtual_tokens")
    width = config.get("token_dim")
    if (rows, width) != tuple(prompt.shape):
        raise damaged_adapter(folder, f"{PEFT_CONFIG_FILE} says {rows} x {width}")
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
    compared = (
        ("width", made.width, width),
        ("vocabulary", made.vocabulary, vocabulary),
    )
    for what, theirs, ours in compared:
        if theirs != ours:
            asked = "put this prompt in front of this model"
            found = f"its base {made.name} has {what} {theirs}, this model has {ours}"
            raise UserError(asked, found, mend=f"use {made.name}")


def check_base(folder: Path, made_for: BaseIdentity, given: Checkpoint) -> None:
    """Refuse, with UserError, another model than the one a prompt was made for.

    ``folder`` names the prompt in the error. Where no digest was recorded in ``made_for``, any
    model passes.
    """
    if made_for.digest is None or made_for.digest == given.digest:
        return
    # Twelve digits of a SHA-256 tell two models apart, and can be compared by eye.
    theirs = made_for.digest[:12]
    ours = str(given.digest)[:12]
    found = f"made for {made_for.name} {theirs}, given {given.reference} {ours}"
    if made_for.revision != given.revision:
        found += f" (revision {made_for.revision}, given {given.revision})"
    asked = f"use the adapter {folder} with {given.reference}"
    raise UserError(asked, found, mend=f"use the base {made_for.name}")


def read_adapter_facts(folder: Path) -> AdapterFacts:
    """Our own facts beside an adapter.

    Raises UserError where they are missing, of another format, or have unknown or mistyped keys.
    """
    found = read_json_object(folder, ADAPTER_FACTS_FILE)
    version = found.get("format")
    if version not in (FORMAT_WITHOUT_CHECKSUMS, ADAPTER_FORMAT):
        known = f"this version reads {ADAPTER_FORMAT}"
        raise damaged_adapter(folder, f"{ADAPTER_FACTS_FILE} is of format {version}; {known}")
    if version == ADAPTER_FORMAT:
        # Compared by ``_check_seal`` with all the files that they are of.
        found.pop("checksums", None)
    asked = f"read {ADAPTER_FACTS_FILE} of the adapter {folder}"
    return validate_dataclass(AdapterFacts, found, asked, "train or import it again")


def _check_seal(folder: Path) -> None:
    """Refuse facts or a state other than those that were saved."""
    found = read_json_object(folder, ADAPTER_FACTS_FILE)
    if found["format"] == FORMAT_WITHOUT_CHECKSUMS:
        return
    # A state that was deleted has another checksum than any that was saved.
    path = folder / ADAPTER_STATE_FILE
    state = read_adapter_file(folder, ADAPTER_STATE_FILE) if path.exists() else b""
    verify_checksums(folder, ADAPTER_FACTS_FILE, found, state=state)


def _read_state(folder: Path) -> dict[str, Tensor]:
    path = folder / ADAPTER_STATE_FILE
    if not path.exists():
        return {}
    return unpack_tensors(path, read_adapter_file(folder, ADAPTER_STATE_FILE))


def _check_prompt(folder: Path, prompt: Tensor, facts: AdapterFacts) -> None:
    check_matrix(folder, prompt)
    found = tuple(prompt.shape)
    wanted = (facts.template.total_virtual_tokens, facts.base.width)
    if found != wanted:
        expected = f"template and base model want {wanted}"
        raise damaged_adapter(folder, f"the prompt is {found}, {expected}")
