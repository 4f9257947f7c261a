"""Reading prompts that other tools wrote, without running anything that is in them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor

from parabench.contracts import UserError
from parabench.models.pickles import read_tensors
from parabench.prompts import adapters, nemo, peft_format
from parabench.prompts.adapters import Adapter
from parabench.prompts.facts import AdapterFacts
from parabench.prompts.files import check_matrix, damaged_adapter, read_adapter_file, unpack_tensors
from parabench.prompts.templates import Template
from parabench.prompts.validation import validate_dataclass

ORIGIN_KEY = "soft_embedding.learned_embedding"
PEFT_PICKLE_FILE = "adapter_model.bin"


@dataclass(frozen=True, eq=False)
class ForeignPrompt:
    """A prompt of another tool, and what that tool recorded; empty where it recorded nothing."""

    prompt: Float[Tensor, "P H"]
    origin: str
    template: Template | None = None
    encoder: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    base: Mapping[str, object] = field(default_factory=dict)


def read_own_adapter(source: Path) -> Adapter | None:
    """What this project itself saved or exported, verified; None for the files of other tools."""
    if (source / adapters.ADAPTER_FACTS_FILE).is_file():
        return adapters.load_adapter(source)
    if source.suffix != ".safetensors" or not source.is_file():
        return None
    try:
        with safe_open(source, framework="pt") as file:
            recorded = (file.metadata() or {}).get("parabench")
    except SafetensorError:
        return None  # told as damage by the reader of foreign files
    if recorded is None:
        return None
    facts = validate_dataclass(AdapterFacts, json.loads(recorded), f"import {source}")
    tensors = unpack_tensors(source, source.read_bytes())
    prompt = check_matrix(source, tensors.pop(peft_format.PEFT_TENSOR_KEY))
    return Adapter(prompt, facts, facts.sha256, tensors)


def read_foreign_prompt(source: Path, task: str) -> ForeignPrompt:
    """The prompt in a file or folder of another tool; ``task`` names one of a NeMo table's
    several.
    """
    readers = {".ckpt": _read_origin, ".safetensors": _read_plain}
    if source.is_dir():
        return _read_peft(source)
    if not source.is_file():
        raise UserError(
            f"import {source}", "no such file or folder", ("PEFT folder", ".nemo", *readers)
        )
    if source.suffix == ".nemo":
        return _read_task(source, task)
    if source.suffix not in readers:
        raise UserError(
            f"import {source}",
            f"a {source.suffix or 'nameless'} file",
            ("PEFT folder", ".nemo", *readers),
        )
    return readers[source.suffix](source)


def _read_peft(source: Path) -> ForeignPrompt:
    config = peft_format.read_peft_config(source)
    prompt = (
        _read_old_peft(source)
        if (source / PEFT_PICKLE_FILE).is_file()
        else peft_format.read_peft_prompt(source)[0]
    )
    if config.get("num_virtual_tokens") != len(prompt):
        found = f"{peft_format.PEFT_CONFIG_FILE} says {config.get('num_virtual_tokens')} rows, there are {len(prompt)}"
        raise damaged_adapter(source, found)
    keys = {"name": "base_model_name_or_path", "width": "token_dim", "layers": "num_layers"}
    base = {
        ours: config.get(theirs)
        for ours, theirs in {**keys, "heads": "num_attention_heads"}.items()
    }
    if re.fullmatch("[0-9a-f]{40}", str(config.get("revision"))):
        base["revision"] = config["revision"]
    origin = f"PEFT {config.get('peft_version') or ''} {config['peft_type']} for {base['name']}"
    return ForeignPrompt(prompt, origin, None, peft_format.encoder_facts(config), base)


def _read_old_peft(source: Path) -> Float[Tensor, "P H"]:
    return _one(
        source,
        read_tensors(PEFT_PICKLE_FILE, read_adapter_file(source, PEFT_PICKLE_FILE)),
        peft_format.PEFT_TENSOR_KEY,
    )


def _read_origin(source: Path) -> ForeignPrompt:
    """Paraphrase-OPT's checkpoint (``SpecificLayersCheckpoint``); its data put ``</s>`` between
    source and target.
    """
    content = source.read_bytes()
    tensors = read_tensors(source.name, content)
    prompt = _one(source, tensors, ORIGIN_KEY)
    length, text = len(prompt), "<|VIRTUAL_PROMPT_0|>{source}<|EOS|>{target}"
    template = Template("paraphrase", text, length, (length,), "source", "target", True)
    rows = [
        tensor for name, tensor in tensors.items() if name.endswith("soft_embedding.wte.weight")
    ]
    base = {"vocabulary": len(rows[0])} if rows else {}
    return ForeignPrompt(prompt, f"Paraphrase-OPT {_pinned(source, content)}", template, base=base)


def _read_plain(source: Path) -> ForeignPrompt:
    content = source.read_bytes()
    return ForeignPrompt(
        _one(source, unpack_tensors(source, content), peft_format.PEFT_TENSOR_KEY),
        _pinned(source, content),
    )


def _read_task(source: Path, task: str) -> ForeignPrompt:
    templates, prompts = nemo.read_nemo(source)
    wanted = [
        template
        for template in templates
        if template.taskname == task or (len(templates) == 1 and not task)
    ]
    if not wanted:
        raise UserError(
            f"import the task {task!r} of {source}",
            f"{len(templates)} tasks",
            sorted(prompts),
            "name one",
        )
    return ForeignPrompt(
        prompts[wanted[0].taskname], f"NeMo {_pinned(source, source.read_bytes())}", wanted[0]
    )


def _pinned(source: Path, content: bytes) -> str:
    return f"{source.name} sha256:{sha256(content).hexdigest()}"


def _one(source: Path, tensors: Mapping[str, Tensor], key: str) -> Float[Tensor, "P H"]:
    found = [name for name in tensors if name == key or name.endswith(f".{key}")]
    if len(found) != 1:
        raise damaged_adapter(
            source, f"{len(found)} tensors {key} among {', '.join(sorted(tensors)) or 'none'}"
        )
    return check_matrix(source, tensors[found[0]])
