"""Low-rank adapters (Hu et al. 2021) in huggingface/peft's format: read, checked, merged, written.

A folder is what PEFT writes, ``adapter_config.json`` and ``adapter_model.safetensors``, and our own
``parabench.json`` beside them: template, base model, training, and the checksums of all three. It
is written last, so a save that was interrupted is refused.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from parabench.contracts import Runtime, UserError
from parabench.models.loading import load_causal
from parabench.prompts.adapters import ADAPTER_FACTS_FILE, check_base
from parabench.prompts.facts import BaseIdentity
from parabench.prompts.files import (
    damaged_adapter,
    pack_tensors,
    read_adapter_file,
    read_json_object,
    to_json_bytes,
    unpack_tensors,
    verify_checksums,
    with_checksums,
)
from parabench.prompts.lora_config import LoraConfig, parse_lora_config
from parabench.prompts.peft_format import PEFT_CONFIG_FILE, PEFT_TENSOR_FILE
from parabench.prompts.templates import Template, paraphrase_template
from parabench.prompts.validation import STRICT_KEYS, validate_dataclass
from parabench.store.files import write_atomically

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from parabench.models.local import Checkpoint

_FORMAT = "parabench LoRA 1"
_PREFIX = "base_model.model."
"""What PEFT writes before the name of every module of the base."""

_PARTS = ("lora_A", "lora_B")
"""The two factors of an update: A maps the input to the rank, B the rank to the output."""


@dataclass(frozen=True)
class LoraFacts:
    """What is known of a low-rank adapter besides its numbers; PEFT ignores all of it.

    The fields are those of ``AdapterFacts``, which soft prompts have.
    """

    __pydantic_config__: ClassVar = STRICT_KEYS

    template: Template
    base: BaseIdentity
    seed: int | None = None
    data: str = ""
    loss: tuple[tuple[int, float], ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    origin: str = ""
    format: str = _FORMAT


@dataclass(frozen=True, eq=False)
class Lora:
    """A verified low-rank adapter.

    ``factors``: of each adapted module A, ``[r, in]``, and B, ``[out, r]``. ``digest`` is the
    SHA-256 over the configuration and the tensor file: both decide the merged weights.
    """

    config: LoraConfig
    factors: Mapping[str, tuple[Tensor, Tensor]]
    facts: LoraFacts
    digest: str


def is_lora(folder: Path) -> bool:
    """Whether a folder holds a low-rank adapter of PEFT's, by its configuration."""
    if not (folder / PEFT_CONFIG_FILE).is_file():
        return False
    return read_json_object(folder, PEFT_CONFIG_FILE).get("peft_type") == "LORA"


def load_lora(folder: Path, base: Checkpoint | None = None) -> Lora:
    """Read and verify the adapter in ``folder``; with ``base``, refuse one of another model.

    Raises UserError for missing, damaged or inconsistent files, and for settings of PEFT's that
    are not supported.
    """
    found = read_json_object(folder, ADAPTER_FACTS_FILE)
    named_format = found.get("format")
    if named_format != _FORMAT:
        raise damaged_adapter(folder, f"{ADAPTER_FACTS_FILE} is of format {named_format}")
    config, tensors = _read_peft_files(folder)
    settings = verify_checksums(folder, ADAPTER_FACTS_FILE, found, config=config, weights=tensors)
    facts = validate_dataclass(LoraFacts, settings, f"read {ADAPTER_FACTS_FILE} of {folder}")
    if base is not None:
        check_base(folder, facts.base, base)
    return _made(folder, config, tensors, facts)


def import_lora(
    source: Path, target: Path, base: Checkpoint, template: Template | None = None
) -> Lora:
    """Make an adapter for ``base`` in the folder ``target`` of one that PEFT wrote.

    ``template`` is that in which it was trained; None is the source's own, else the source
    sentence and a newline. What this project exported keeps its facts where they lie beside it.

    Raises UserError where the source cannot be read, or was made for another model.
    """
    config, tensors = _read_peft_files(source)
    if (source / ADAPTER_FACTS_FILE).is_file():
        known = load_lora(source, base).facts
        facts = replace(known, template=template or known.template)
    else:
        settings = read_json_object(source, PEFT_CONFIG_FILE)
        version = settings.get("peft_version")
        name = settings.get("base_model_name_or_path")
        origin = f"PEFT {version or ''} LORA for {name}"
        identity = BaseIdentity.of(base)
        facts = LoraFacts(template or paraphrase_template(0), identity, origin=origin)
    # Checked whole before anything is written.
    made = _made(source, config, tensors, facts)
    _write(target, config, tensors, facts)
    return made


def save_lora(
    folder: Path, settings: Mapping[str, Any], tensors: Mapping[str, Tensor], facts: LoraFacts
) -> Lora:
    """Write a trained adapter into ``folder`` and return it.

    ``settings`` are PEFT's, as its ``LoraConfig.to_dict`` gives them; ``tensors`` are named as in
    its file.
    """
    config = to_json_bytes(settings)
    packed = pack_tensors(tensors)
    made = _made(folder, config, packed, facts)
    _write(folder, config, packed, facts)
    return made


def export_lora(folder: Path, target: Path) -> Path:
    """Write the adapter in ``folder`` to ``target`` as PEFT reads it; returns ``target``."""
    load_lora(folder)
    config, tensors = _read_peft_files(folder)
    write_atomically(target / PEFT_TENSOR_FILE, tensors)
    write_atomically(target / PEFT_CONFIG_FILE, config)
    return target


@torch.no_grad()
def merge_lora(model: nn.Module, lora: Lora) -> None:
    """Add the adapter's updates to the weights of ``model``: ``W + scaling * B A``.

    The sums are made as PEFT's ``merge_and_unload`` makes them, so that they are equal to the last
    bit. Raises UserError where a module is missing, of another size, or no linear layer of its own.
    """
    modules = dict(model.named_modules())
    for name, (low, high) in lora.factors.items():
        module = modules.get(name)
        weight = _linear_weight(model, name, module, lora)
        # PEFT keeps the factors in float32 before a base in bfloat16, too
        update = high.to(weight.device, torch.float32) @ low.to(weight.device, torch.float32)
        if not isinstance(module, nn.Linear):
            # GPT-2's Conv1D keeps its weight as [in, out]
            update = update.T
        if update.shape != weight.shape:
            found = f"{name} is {tuple(weight.shape)}, its update {tuple(update.shape)}"
            raise _misfit(lora, found)
        # of a base in bfloat16 the sum is rounded, and not the update before it
        weight += update * lora.config.scaling(name)
        if not weight.isfinite().all():
            raise _misfit(lora, f"the merged weights of {name} are not finite numbers")


def load_merged(
    checkpoint: Checkpoint, lora: Lora, runtime: Runtime
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a decoder-only model with ``lora`` merged into its weights, and its tokenizer.

    Raises UserError where either cannot be read, or the two do not go together.
    """
    model, tokenizer = load_causal(checkpoint, runtime)
    merge_lora(model, lora)
    return model, tokenizer


def _linear_weight(model: nn.Module, name: str, module: nn.Module | None, lora: Lora) -> Tensor:
    from transformers.pytorch_utils import Conv1D

    if module is None:
        raise _misfit(lora, f"this model has no {name}")
    if not isinstance(module, nn.Linear | Conv1D):
        raise _misfit(lora, f"{name} is a {type(module).__name__}, no linear layer")
    weight: Any = module.weight
    embeddings: Any = getattr(model, "get_input_embeddings", lambda: None)()
    if embeddings is not None and embeddings.weight is weight:
        found = f"{name} shares its weights with the embeddings, which the update would change"
        raise _misfit(lora, found)
    own: Tensor = weight.data
    return own


def _misfit(lora: Lora, found: str) -> UserError:
    asked = "merge this adapter into this model"
    return UserError(asked, found, mend=f"use the base {lora.facts.base.name}")


def _made(folder: Path, config: bytes, tensors: bytes, facts: LoraFacts) -> Lora:
    """The adapter of these files' contents, checked against one another."""
    settings = parse_lora_config(folder, config)
    unpacked = unpack_tensors(folder / PEFT_TENSOR_FILE, tensors)
    factors = _factors(folder, unpacked)
    for name, (low, high) in factors.items():
        _check_factors(folder, name, low, high, settings.rank_of(name))
    digest = hashlib.sha256(config + tensors).hexdigest()
    return Lora(settings, factors, facts, digest)


def _check_factors(folder: Path, name: str, low: Tensor, high: Tensor, rank: int) -> None:
    """Refuse factors of another rank than the settings say, or with numbers that are none."""
    low_rank, _ = low.shape  # [r, in]
    _, high_rank = high.shape  # [out, r]
    if not low_rank == high_rank == rank:
        found = f"{name} has the ranks {low_rank} and {high_rank}, the settings say {rank}"
        raise damaged_adapter(folder, found)
    # One number that is not finite makes the sum of all absolute ones not finite.
    size = low.float().abs().sum() + high.float().abs().sum()
    if not math.isfinite(float(size)):
        raise damaged_adapter(folder, f"numbers of {name} are not finite")


def _factors(folder: Path, tensors: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """The two factors of each module, by the module's name in the base."""
    found: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        # base_model.model.<module of the base>.<lora_A or lora_B>.weight
        path = key.removeprefix(_PREFIX).removesuffix(".weight")
        module, _, part = path.rpartition(".")
        is_named = key.startswith(_PREFIX) and key.endswith(".weight") and part in _PARTS
        is_matrix = tensor.ndim == 2 and tensor.is_floating_point()
        if not is_named or not module or not is_matrix:
            mend = "merge it with PEFT's merge_and_unload and save the whole model"
            asked = f"use the adapter {folder}"
            raise UserError(asked, f"{key}, which is no factor of a linear layer", mend=mend)
        found.setdefault(module, {})[part] = tensor
    halves = [name for name, parts in found.items() if len(parts) < len(_PARTS)]
    if not found:
        raise damaged_adapter(folder, "no factor")
    if halves:
        raise damaged_adapter(folder, f"only one factor of {halves[0]}")
    factors = {}
    # Sorted, so that the order of the file does not decide the order of merging.
    for name, parts in sorted(found.items()):
        factors[name] = (parts["lora_A"], parts["lora_B"])
    return factors


def _read_peft_files(folder: Path) -> tuple[bytes, bytes]:
    """The configuration and the tensor file; a pickle is never read."""
    config = read_adapter_file(folder, PEFT_CONFIG_FILE)
    has_tensors = (folder / PEFT_TENSOR_FILE).is_file()
    has_pickle = (folder / "adapter_model.bin").is_file()
    if has_pickle and not has_tensors:
        found = "only adapter_model.bin, a format that can run code"
        mend = "save it again with PEFT's save_pretrained, which writes safetensors"
        raise UserError(f"use the adapter {folder}", found, mend=mend)
    return config, read_adapter_file(folder, PEFT_TENSOR_FILE)


def _write(folder: Path, config: bytes, tensors: bytes, facts: LoraFacts) -> None:
    # The facts hold the checksums of the others: written last, they end the save.
    sealed = with_checksums(asdict(facts), config=config, weights=tensors)
    write_atomically(folder / PEFT_TENSOR_FILE, tensors)
    write_atomically(folder / PEFT_CONFIG_FILE, config)
    write_atomically(folder / ADAPTER_FACTS_FILE, to_json_bytes(sealed))
