"""A soft prompt on disk: PEFT's two files, and our own facts about the prompt in a third beside them.

``adapter_config.json`` and ``adapter_model.safetensors`` are what huggingface/peft reads; ``parabench.json`` holds the
template, the base model's identity and the training's; ``parabench_state.safetensors``, where there is one, holds the
initial prompt and the encoder's whole state. The facts are written last and hold the tensor's checksum, so a save that
was interrupted is refused and never loaded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import Tensor, nn

from parabench.contracts import UserError
from parabench.disk import write_atomically
from parabench.prompts.plain import STRICT_KEYS, build
from parabench.prompts.soft import vocabulary_rows
from parabench.prompts.templates import Template

if TYPE_CHECKING:
    from parabench.inference.models import Checkpoint

CONFIG, TENSOR, FACTS, STATE = (
    "adapter_config.json",
    "adapter_model.safetensors",
    "parabench.json",
    "parabench_state.safetensors",
)
KEY = "prompt_embeddings"
FORMAT = 1


@dataclass(frozen=True)
class Base:
    """The model a prompt was trained in front of: ``vocabulary`` rows of ``width`` numbers, pinned by ``digest``.

    ``layers`` and ``heads`` are there because PEFT wants them. ``digest`` is None where nobody recorded it.
    """

    __pydantic_config__: ClassVar = STRICT_KEYS

    name: str
    width: int
    vocabulary: int
    layers: int
    heads: int
    revision: str | None = None
    digest: str | None = None

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Base:
        """The identity of a located checkpoint, from its configuration alone."""
        from transformers import AutoConfig

        config: Any = AutoConfig.from_pretrained(checkpoint.path, revision=checkpoint.revision)
        width = getattr(config, "word_embed_proj_dim", config.hidden_size)
        layers, heads = config.num_hidden_layers, config.num_attention_heads
        return cls(
            checkpoint.reference, width, config.vocab_size, layers, heads, checkpoint.revision, checkpoint.digest
        )


@dataclass(frozen=True)
class AdapterFacts:
    """What is known about a prompt besides its numbers; PEFT ignores all of it.

    ``encoder`` holds the settings of p-tuning's encoder (kind, hidden, layers, dropout; empty for prompt tuning),
    ``loss`` the (step, nats per token) pairs seen, ``data`` the training data's fingerprint, ``origin`` where an
    imported prompt came from. ``sha256`` is of the tensor file and is filled in by ``save``.
    """

    __pydantic_config__: ClassVar = STRICT_KEYS

    template: Template
    base: Base
    encoder: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    initialiser: str = ""
    seed: int | None = None
    data: str = ""
    loss: tuple[tuple[int, float], ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    origin: str = ""
    sha256: str = ""
    format: int = FORMAT


@dataclass(frozen=True, eq=False)
class Adapter:
    """A verified prompt ``[P, H]`` in float32 with its facts; ``digest`` is the SHA-256 of its tensor file.

    ``state`` holds what only resuming and reading need: ``initial`` and the encoder's tensors as ``encoder.<name>``.
    """

    prompt: Float[Tensor, "P H"]
    facts: AdapterFacts
    digest: str
    state: Mapping[str, Tensor] = field(default_factory=dict)


def save(
    folder: Path, prompt: Float[Tensor, "P H"], facts: AdapterFacts, state: Mapping[str, Tensor] | None = None
) -> Adapter:
    """Write the adapter, each file whole or not at all; UserError where prompt, template and base disagree."""
    prompt = prompt.detach().to("cpu", torch.float32).contiguous()
    _check_prompt(folder, prompt, facts)
    tensor = safetensors.save({KEY: prompt}, {"format": "pt"})
    facts = replace(facts, sha256=hashlib.sha256(tensor).hexdigest())
    tensors = {name: value.detach().cpu().contiguous() for name, value in (state or {}).items()}
    write_atomically(folder / STATE, safetensors.save(tensors, {"format": "pt"}))
    write_atomically(folder / TENSOR, tensor)
    write_atomically(folder / CONFIG, to_json(peft_config(facts)))
    write_atomically(folder / FACTS, to_json(asdict(facts)))
    return Adapter(prompt, facts, facts.sha256, tensors)


def load(folder: Path, base: Checkpoint | None = None) -> Adapter:
    """Read and verify an adapter; with ``base``, refuse one made for another model.

    UserError for missing, damaged or inconsistent files: checksum, key, shape, width, numbers that are not finite.
    """
    facts = read_facts(folder)
    config = read_config(folder)
    prompt, digest = read_prompt(folder)
    if digest != facts.sha256:
        found = f"{TENSOR} has SHA-256 {digest[:12]}, the facts say {facts.sha256[:12]}"
        raise damaged(folder, found)
    _check_prompt(folder, prompt, facts)
    if (config.get("num_virtual_tokens"), config.get("token_dim")) != tuple(prompt.shape):
        raise damaged(folder, f"{CONFIG} says {config.get('num_virtual_tokens')} x {config.get('token_dim')}")
    if base is not None:
        check_base(folder, facts.base, base)
    return Adapter(prompt, facts, digest, _read_state(folder))


def check_fit(adapter: Adapter, model: nn.Module) -> None:
    """Refuse, with UserError, a loaded model whose embeddings have another width or vocabulary than the prompt's."""
    vocabulary, width = vocabulary_rows(model).shape
    made = adapter.facts.base
    for what, theirs, ours in (("width", made.width, width), ("vocabulary", made.vocabulary, vocabulary)):
        if theirs != ours:
            found = f"its base {made.name} has {what} {theirs}, this model has {ours}"
            raise UserError("put this prompt in front of this model", found, mend=f"use {made.name}")


def check_base(folder: Path, made_for: Base, given: Checkpoint) -> None:
    """Refuse, with UserError, another model than the one a prompt was made for, as far as that was recorded."""
    if made_for.digest is None or made_for.digest == given.digest:
        return
    found = f"made for {made_for.name} {made_for.digest[:12]}, given {given.reference} {given.digest[:12]}"
    if made_for.revision != given.revision:
        found += f" (revision {made_for.revision}, given {given.revision})"
    raise UserError(f"use the adapter {folder} with {given.reference}", found, mend=f"use the base {made_for.name}")


def peft_config(facts: AdapterFacts) -> dict[str, Any]:
    """The ``adapter_config.json`` of huggingface/peft 0.21; RANDOM, so that loading needs no tokenizer.

    Prompts of the encoders that PEFT lacks (tpmlp, MLPs that are not of three layers) are prompt tuning to it.
    """
    base, encoder = facts.base, facts.encoder
    common = {
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base.name,
        "revision": base.revision,
        "num_virtual_tokens": facts.template.total_virtual_tokens,
        "token_dim": base.width,
        "num_layers": base.layers,
        "num_attention_heads": base.heads,
        "num_transformer_submodules": 1,
        "inference_mode": True,
    }
    if encoder.get("kind") != "lstm" and (encoder.get("kind"), encoder.get("layers")) != ("mlp", 3):
        return {"peft_type": "PROMPT_TUNING", "prompt_tuning_init": "RANDOM", **common}
    return {
        "peft_type": "P_TUNING",
        "encoder_reparameterization_type": str(encoder["kind"]).upper(),
        "encoder_hidden_size": encoder["hidden"],
        "encoder_num_layers": encoder["layers"] if encoder["kind"] == "lstm" else 2,
        "encoder_dropout": encoder["dropout"],
        **common,
    }


def read_facts(folder: Path) -> AdapterFacts:
    """Our own facts beside an adapter."""
    found = read_json(folder, FACTS)
    if found.get("format") != FORMAT:
        raise damaged(folder, f"{FACTS} is of format {found.get('format')}; this version reads {FORMAT}")
    return build(AdapterFacts, found, f"read {FACTS} of the adapter {folder}", "train or import it again")


def read_config(folder: Path) -> dict[str, Any]:
    """PEFT's configuration; UserError for another kind of adapter than a soft prompt for a causal model."""
    config = read_json(folder, CONFIG)
    kinds = ("PROMPT_TUNING", "P_TUNING")
    if config.get("peft_type") not in kinds:
        raise UserError(f"read the adapter {folder}", f"peft_type {config.get('peft_type')}", kinds)
    return config


def read_prompt(folder: Path) -> tuple[Float[Tensor, "P H"], str]:
    """The prompt and its file's SHA-256; UserError unless the file holds one finite floating-point matrix."""
    content = read_file(folder, TENSOR)
    tensors = parse_tensors(folder / TENSOR, content)
    if list(tensors) != [KEY]:
        raise damaged(folder, f"{TENSOR} holds {', '.join(sorted(tensors)) or 'nothing'}, not {KEY} alone")
    return check_matrix(folder, tensors[KEY]), hashlib.sha256(content).hexdigest()


def check_matrix(where: Path, prompt: Tensor) -> Float[Tensor, "P H"]:
    """A prompt as float32; UserError unless it is a finite floating-point matrix."""
    if prompt.ndim != 2 or not prompt.is_floating_point():
        raise damaged(where, f"the prompt is {prompt.dtype} of shape {tuple(prompt.shape)}, not a matrix of floats")
    if not torch.isfinite(prompt).all():
        raise damaged(where, f"{int((~torch.isfinite(prompt)).sum())} of the prompt's numbers are not finite")
    return prompt.float()


def parse_tensors(path: Path, content: bytes) -> dict[str, Tensor]:
    """The tensors of a safetensors file's bytes."""
    try:
        return safetensors.load(content)
    except (SafetensorError, ValueError) as error:
        raise damaged(path, f"{path.name} is not a whole safetensors file ({error})") from None


def to_json(content: Mapping[str, Any]) -> bytes:
    """Stable, readable JSON."""
    return (json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """A JSON object from a file of an adapter."""
    try:
        content = json.loads(read_file(folder, name))
    except ValueError as error:
        raise damaged(folder, f"{name} is not JSON ({error})") from None
    if not isinstance(content, dict):
        raise damaged(folder, f"{name} is not a JSON object")
    return content


def read_file(folder: Path, name: str) -> bytes:
    """A file of an adapter; UserError says what else is there."""
    try:
        return (folder / name).read_bytes()
    except OSError:
        found = ", ".join(sorted(path.name for path in folder.iterdir())) if folder.is_dir() else "no such folder"
        mend = f"parabench adapters import {folder}" if name == FACTS else ""
        raise UserError(f"read {name} of the adapter {folder}", found, mend=mend) from None


def damaged(where: Path, found: str) -> UserError:
    """The error for files that cannot be what was saved."""
    return UserError(f"read the adapter {where}", found, mend="restore the folder, or train or import it again")


def _read_state(folder: Path) -> dict[str, Tensor]:
    return parse_tensors(folder / STATE, (folder / STATE).read_bytes()) if (folder / STATE).exists() else {}


def _check_prompt(folder: Path, prompt: Tensor, facts: AdapterFacts) -> None:
    check_matrix(folder, prompt)
    wanted = (facts.template.total_virtual_tokens, facts.base.width)
    if tuple(prompt.shape) != wanted:
        raise damaged(folder, f"the prompt is {tuple(prompt.shape)}, template and base model want {wanted}")
