"""``adapter_config.json`` of PEFT's LoRA, read by us: what is obeyed, and what is refused.

A setting that changes the merged weights and is not known here would be silently wrong, so every
one that is set and unknown is refused by its name.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from parabench.contracts import UserError
from parabench.prompts.files import damaged_adapter

_WITHOUT_EFFECT = frozenset(
    {
        "auto_mapping",
        "base_model_name_or_path",
        "corda_config",
        "ensure_weight_tying",
        "eva_config",
        "exclude_modules",
        "fan_in_fan_out",
        "inference_mode",
        "layers_pattern",
        "layers_to_transform",
        "loftq_config",
        "lora_dropout",
        "lora_ga_config",
        "megatron_core",
        "peft_version",
        "qalora_group_size",
        "revision",
        "runtime_config",
        "target_modules",
    }
)
"""Settings of training and bookkeeping: which modules are adapted, the tensors themselves say."""

_OBEYED = frozenset(
    {
        "alpha_pattern",
        "bias",
        "init_lora_weights",
        "lora_alpha",
        "peft_type",
        "r",
        "rank_pattern",
        "task_type",
        "use_rslora",
    }
)

_WORDS: Mapping[str, str] = {
    "use_dora": "DoRA, which rescales the merged weights (Liu et al. 2024)",
    "modules_to_save": "whole modules beside the low-rank updates",
    "trainable_token_indices": "trained rows of the embeddings",
    "target_parameters": "updates of parameters that are no linear layers",
    "layer_replication": "layers that the base has not",
    "lora_bias": "biases of the low-rank factors",
    "alora_invocation_tokens": "an adapter that is active behind certain tokens only",
    "use_qalora": "QA-LoRA, whose updates are of groups of inputs",
}
"""What the settings mean that are refused most likely."""

_INITIALISERS = (True, False, "gaussian", "orthogonal", "eva")
"""Those that leave the base as it is; PiSSA, OLoRA, CorDA and LoftQ change its weights."""

_PATTERN = re.compile(r"[\w.^$\\\-\[\]]+")
"""Patterns of module names without repetition: one of a stranger could take forever to match."""


@dataclass(frozen=True)
class LoraConfig:
    """What decides the merged weights.

    ``rank``: the inner size of every update, and ``alpha`` its numerator; ``rank_pattern`` and
    ``alpha_pattern`` give some modules others. ``rslora`` divides by the root of the rank
    (Kalajdzievski 2023) where LoRA divides by the rank.
    """

    rank: int
    alpha: float
    rslora: bool = False
    rank_pattern: Mapping[str, int] = field(default_factory=dict)
    alpha_pattern: Mapping[str, float] = field(default_factory=dict)

    def rank_of(self, module: str) -> int:
        """The rank of one module's update."""
        return int(_matching(self.rank_pattern, module, self.rank))

    def scaling(self, module: str) -> float:
        """The factor of one module's update."""
        alpha = _matching(self.alpha_pattern, module, self.alpha)
        rank = self.rank_of(module)
        if self.rslora:
            return alpha / math.sqrt(rank)
        return alpha / rank


def _matching(patterns: Mapping[str, float], module: str, otherwise: float) -> float:
    """The value of the first pattern that is the end of a module's name, as PEFT matches them."""
    for pattern, value in patterns.items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return otherwise


def parse_lora_config(folder: Path, content: bytes) -> LoraConfig:
    """The settings in a configuration file's ``content``; ``folder`` names it in errors.

    Raises UserError where it is damaged, of another kind of adapter, or asks for what is not
    supported, which is named.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise damaged_adapter(folder, f"adapter_config.json is not JSON ({error})") from None
    if not isinstance(found, dict):
        raise damaged_adapter(folder, "adapter_config.json is not a JSON object")
    if found.get("peft_type") != "LORA":
        kind = f"peft_type {found.get('peft_type')}"
        raise UserError(f"read the adapter {folder}", kind, ("LORA",))
    if found.get("task_type") not in ("CAUSAL_LM", None):
        kind = f"task_type {found.get('task_type')}"
        raise UserError(f"read the adapter {folder}", kind, ("CAUSAL_LM",))
    # Before the numbers: an adapter of another method may well have none of these.
    _refuse_unsupported(folder, found)
    rank: Any = found.get("r")
    alpha: Any = found.get("lora_alpha")
    ranks = _pattern(folder, found, "rank_pattern")
    alphas = _pattern(folder, found, "alpha_pattern")
    # JSON's true is an int to Python, and no rank.
    for name, value in (("r", rank), *ranks.items()):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise damaged_adapter(folder, f"the rank {value!r} of {name}")
    for name, value in (("lora_alpha", alpha), *alphas.items()):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            raise damaged_adapter(folder, f"the alpha {value!r} of {name}")
    rslora = found.get("use_rslora") is True
    return LoraConfig(int(rank), float(alpha), rslora, ranks, alphas)


def _refuse_unsupported(folder: Path, found: Mapping[str, Any]) -> None:
    asked = f"merge the adapter {folder}"
    mend = "merge it with PEFT's merge_and_unload and save the whole model"
    if found.get("bias", "none") != "none":
        raise UserError(asked, f"trained biases of the base (bias = {found['bias']!r})", mend=mend)
    start = found.get("init_lora_weights", True)
    if start not in _INITIALISERS:
        words = f"init_lora_weights = {start!r}, which changes the base's own weights"
        raise UserError(asked, words, mend=mend)
    for name, value in found.items():
        # what is not set is written as null, false, or empty
        if name not in _OBEYED | _WITHOUT_EFFECT and value not in (None, False, [], {}, ""):
            words = _WORDS.get(name, "a setting that this version does not know")
            raise UserError(asked, f"{name} = {value!r}: {words}", mend=mend)


def _pattern(folder: Path, found: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The settings of single modules, by patterns of their names."""
    patterns = found.get(name) or {}
    if not isinstance(patterns, dict):
        raise damaged_adapter(folder, f"{name} is not a JSON object")
    for pattern in patterns:
        if not _PATTERN.fullmatch(pattern):
            asked = f"merge the adapter {folder}"
            mend = "write the modules' names in full"
            raise UserError(asked, f"the pattern {pattern!r} in {name}", mend=mend)
        try:
            re.compile(pattern)
        except re.error as error:
            raise damaged_adapter(folder, f"the pattern {pattern!r}: {error}") from None
    return dict(patterns)
