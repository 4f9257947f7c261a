"""Readers of soft prompts that other tools wrote; nothing in a file is executed."""

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
from parabench.store.files import check_regular, read_bytes

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
            metadata = file.metadata() or {}
    except SafetensorError:
        return None  # told as damage by the reader of foreign files
    recorded = metadata.get("parabench")
    if recorded is None:
        return None
    content = json.loads(recorded)
    facts = validate_dataclass(AdapterFacts, content, f"import {source}")
    tensors = unpack_tensors(source, read_bytes(source))
    rows = tensors.pop(peft_format.PEFT_TENSOR_KEY)
    prompt = check_matrix(source, rows)
    # The tensors that are left are the state: the initial prompt, and the encoder's.
    return Adapter(prompt, facts, facts.sha256, tensors)


def read_foreign_prompt(source: Path, task: str) -> ForeignPrompt:
    """The prompt in a file or folder of another tool; ``task`` names one of a NeMo table's several.

    Raises UserError where ``source`` is missing, of no known kind, damaged, or holds something
    else.
    """
    check_regular(source)
    known = ("PEFT folder", ".nemo", ".ckpt", ".safetensors")
    if source.is_dir():
        return _read_peft(source)
    if not source.is_file():
        raise UserError(f"import {source}", "no such file or folder", known)
    if source.suffix == ".nemo":
        return _read_task(source, task)
    if source.suffix == ".ckpt":
        return _read_origin(source)
    if source.suffix == ".safetensors":
        return _read_plain(source)
    raise UserError(f"import {source}", f"a {source.suffix or 'nameless'} file", known)


def _read_peft(source: Path) -> ForeignPrompt:
    config = peft_format.read_peft_config(source)
    # where both lie there PEFT takes the newer format, and the pickle may be of an older training
    is_old = not (source / peft_format.PEFT_TENSOR_FILE).is_file()
    if is_old and (source / PEFT_PICKLE_FILE).is_file():  # PEFT before 0.7
        content = read_adapter_file(source, PEFT_PICKLE_FILE)
        tensors = read_tensors(PEFT_PICKLE_FILE, content)
    else:
        content = read_adapter_file(source, peft_format.PEFT_TENSOR_FILE)
        tensors = unpack_tensors(source / peft_format.PEFT_TENSOR_FILE, content)
    prompt = _only_tensor(source, tensors, peft_format.PEFT_TENSOR_KEY)
    embeddings = _embeddings_beside(source, tensors)
    rows = len(prompt)
    rows_said = config.get("num_virtual_tokens")
    if rows_said != rows:
        found = f"{peft_format.PEFT_CONFIG_FILE} says {rows_said} rows, there are {rows}"
        raise damaged_adapter(source, found)
    base = {
        "name": config.get("base_model_name_or_path"),
        "width": config.get("token_dim"),
        "layers": config.get("num_layers"),
        "heads": config.get("num_attention_heads"),
    }
    revision = config.get("revision")
    # Only a commit pins a model; a branch's name means another one tomorrow.
    if re.fullmatch("[0-9a-f]{40}", str(revision)):
        base["revision"] = revision
    version = config.get("peft_version") or ""
    origin = f"PEFT {version} {config['peft_type']} for {base['name']}"
    if embeddings:
        origin += f", without {' and '.join(embeddings)} of a resized vocabulary"
    encoder = peft_format.encoder_facts(config)
    return ForeignPrompt(prompt, origin, None, encoder, base)


def _embeddings_beside(source: Path, tensors: Mapping[str, Tensor]) -> list[str]:
    """Names of the base's embeddings, which PEFT stores with a prompt if it resized a vocabulary.

    They belong to the base and are not the prompt's. Raises UserError for any other tensor.
    """
    found = []
    for name, tensor in tensors.items():
        if name.rpartition(".")[2] == peft_format.PEFT_TENSOR_KEY:
            continue
        if not name.endswith(_EMBEDDING_NAMES) or tensor.ndim != 2:
            held = ", ".join(sorted(tensors))
            problem = f"it holds {held}, not {peft_format.PEFT_TENSOR_KEY} alone"
            raise damaged_adapter(source, problem)
        found.append(name.split(".")[-2])
    return sorted(found)


_EMBEDDING_NAMES = tuple(
    f"{name}.weight"
    for name in ("embed_tokens", "lm_head", "wte", "word_embeddings", "embed_in", "embed_out")
)
"""Ends of the names that models give their input and output embeddings."""


def _read_origin(source: Path) -> ForeignPrompt:
    """Paraphrase-OPT's checkpoint (``SpecificLayersCheckpoint``).

    Its data put ``</s>`` between source and target.
    """
    content = read_bytes(source)
    tensors = read_tensors(source.name, content)
    prompt = _only_tensor(source, tensors, ORIGIN_KEY)
    length = len(prompt)
    text = "<|VIRTUAL_PROMPT_0|>{source}<|EOS|>{target}"
    template = Template("paraphrase", text, length, (length,), "source", "target", True)
    origin = f"Paraphrase-OPT {_pinned(source, content)}"
    base: dict[str, object] = {}
    # Some of its checkpoints hold the vocabulary's embeddings too, which tell the base's size.
    for name, tensor in tensors.items():
        if name.endswith("soft_embedding.wte.weight"):
            base["vocabulary"] = len(tensor)
            break
    return ForeignPrompt(prompt, origin, template, base=base)


def _read_plain(source: Path) -> ForeignPrompt:
    content = read_bytes(source)
    tensors = unpack_tensors(source, content)
    prompt = _only_tensor(source, tensors, peft_format.PEFT_TENSOR_KEY)
    return ForeignPrompt(prompt, _pinned(source, content))


def _read_task(source: Path, task: str) -> ForeignPrompt:
    templates, prompts = nemo.read_nemo(source)
    # Of a single task the name need not be given.
    if not task and len(templates) == 1:
        wanted = templates[0]
    else:
        named = [template for template in templates if template.taskname == task]
        if not named:
            asked = f"import the task {task!r} of {source}"
            raise UserError(asked, f"{len(templates)} tasks", sorted(prompts), "name one")
        wanted = named[0]
    origin = f"NeMo {_pinned(source, read_bytes(source))}"
    return ForeignPrompt(prompts[wanted.taskname], origin, wanted)


def _pinned(source: Path, content: bytes) -> str:
    return f"{source.name} sha256:{sha256(content).hexdigest()}"


def _only_tensor(source: Path, tensors: Mapping[str, Tensor], key: str) -> Float[Tensor, "P H"]:
    """The one tensor of this name, which may have the names of modules before it."""
    suffix = f".{key}"
    names = [name for name in tensors if name == key or name.endswith(suffix)]
    if len(names) != 1:
        present = ", ".join(sorted(tensors)) or "none"
        raise damaged_adapter(source, f"{len(names)} tensors {key} among {present}")
    (name,) = names
    return check_matrix(source, tensors[name])
