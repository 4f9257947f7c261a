"""Finding, pinning and loading checkpoints: nothing is loaded that has not been identified first.

``locate`` needs no torch, so a run can be planned and checked before any model library is imported.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parabench.contracts import Runtime, UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

LOCK_NAME = "models.lock"
DTYPES = ("float32", "bfloat16", "float16")

_HUB_ID = re.compile(r"(?P<name>[\w-][\w.-]*/[\w.-]+?)(?:@(?P<revision>[\w./-]+))?")
_IDENTITY = (
    "config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
)


@dataclass(frozen=True)
class Checkpoint:
    """A model found and identified: as asked for, where it is, and the digest that pins it.

    ``path`` is a folder or a hub id, ``revision`` a hub commit (None for folders). ``digest`` is the commit, or for a
    folder the SHA-256 over its sorted (file name, file SHA-256) pairs of weights, configuration and tokenizer.
    """

    reference: str
    path: str
    revision: str | None
    digest: str


def locate(reference: str, lock: Path | None = None) -> Checkpoint:
    """Identify the checkpoint that ``reference`` names: a folder, or a hub id ``org/name`` with optional ``@revision``.

    A folder's files are checked against ``lock``, or against ``models.lock`` beside the folder where there is one.
    Raises UserError where files are missing, changed, or in pickle format, and where the hub cannot be reached.
    """
    folder = Path(reference)
    if folder.is_dir():
        return _locate_folder(reference, folder, lock)
    match = _HUB_ID.fullmatch(reference)
    if match is None:
        raise UserError(
            f"find the model {reference!r}",
            "no such folder",
            ("a folder with config.json and *.safetensors", "a hub id such as facebook/opt-1.3b"),
            "check the path, or rebuild the embedded models with: make mini",
        )
    commit = _resolve_commit(reference, match["name"], match["revision"])
    return Checkpoint(reference, match["name"], commit, commit)


def write_lock(folder: Path, members: Sequence[str]) -> Path:
    """Write ``folder/models.lock``: the SHA-256 of every identifying file of the subfolders ``members``."""
    digests = {f"{member}/{name}": digest for member in members for name, digest in _digests(folder / member).items()}
    lock = folder / LOCK_NAME
    lock.write_text(json.dumps({"files": digests}, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return lock


def resolve_device(device: str) -> str:
    """Turn ``auto``, ``cpu``, ``cuda`` or ``cuda:1`` into a device that exists here; UserError where it does not."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    present = ("auto", "cpu", *(f"cuda:{index}" for index in range(count)))
    if device == "auto":
        return "cuda:0" if count else "cpu"
    resolved = "cuda:0" if device == "cuda" else device
    if resolved not in present:
        raise UserError(f"run on the device {device!r}", f"{count} CUDA devices", present, "use --device auto")
    return resolved


def load_causal(checkpoint: Checkpoint, runtime: Runtime) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a decoder-only model in evaluation mode, and its tokenizer padding on the left.

    Raises UserError where the checkpoint cannot be read, and where an OPT tokenizer does not begin with ``</s>``.
    """
    from transformers import AutoModelForCausalLM

    model, tokenizer = _load(AutoModelForCausalLM, checkpoint, runtime, "left")
    first = tokenizer("a").input_ids[0]
    if model.config.model_type == "opt" and first != model.config.bos_token_id:
        raise UserError(
            f"load the tokenizer of {checkpoint.reference}",
            f"it begins a text with id {first}; OPT was trained with </s> (id {model.config.bos_token_id}) first",
            mend='set "add_bos_token": true in its tokenizer_config.json',
        )
    return model, tokenizer


def load_seq2seq(checkpoint: Checkpoint, runtime: Runtime) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load an encoder-decoder model in evaluation mode, and its tokenizer padding on the right."""
    from transformers import AutoModelForSeq2SeqLM

    return _load(AutoModelForSeq2SeqLM, checkpoint, runtime, "right")


def load_encoder(checkpoint: Checkpoint, runtime: Runtime) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load the encoder of any model, without what stands on top of it, in evaluation mode, and its tokenizer."""
    from transformers import AutoModel

    model, tokenizer = _load(AutoModel, checkpoint, runtime, "right", unused="pooler")
    return getattr(model, "encoder", model) if model.config.is_encoder_decoder else model, tokenizer


def load_classifier(checkpoint: Checkpoint, runtime: Runtime) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a classifier of texts or pairs of texts in evaluation mode, and its tokenizer."""
    from transformers import AutoModelForSequenceClassification

    return _load(AutoModelForSequenceClassification, checkpoint, runtime, "right")


def _load(
    loader: Any, checkpoint: Checkpoint, runtime: Runtime, padding_side: str, unused: str = "\0"
) -> tuple[Any, Any]:
    import torch
    from transformers import AutoTokenizer

    if runtime.dtype not in DTYPES:
        raise UserError(f"compute in {runtime.dtype!r}", choices=DTYPES, mend="use --dtype float32")
    local = Path(checkpoint.path).is_dir()
    common: dict[str, Any] = {
        "revision": checkpoint.revision,
        "trust_remote_code": False,
        "local_files_only": local,
    }
    with _quiet_loading(), _readable(checkpoint):
        tokenizer = AutoTokenizer.from_pretrained(checkpoint.path, padding_side=padding_side, **common)
        model, report = loader.from_pretrained(
            checkpoint.path,
            dtype=getattr(torch, runtime.dtype),
            use_safetensors=True,
            attn_implementation="sdpa",
            output_loading_info=True,
            **common,
        )
    missing = sorted(str(key) for key in report["missing_keys"] if unused not in str(key))
    if missing or report["mismatched_keys"]:
        # transformers fills such weights with random numbers and only warns.
        raise UserError(
            f"load the model {checkpoint.reference}",
            f"weights missing from its files: {', '.join(missing[:4])}",
            mend="download or export the checkpoint again",
        )
    return model.eval().requires_grad_(False).to(resolve_device(runtime.device)), tokenizer


@contextmanager
def _readable(checkpoint: Checkpoint) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(
            f"load the model {checkpoint.reference}",
            f"{type(error).__name__}: {str(error).strip().splitlines()[0]}",
            mend="check that the checkpoint is complete and in safetensors format, and that this computer can reach it",
        ) from error


@contextmanager
def _quiet_loading() -> Iterator[None]:
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _locate_folder(reference: str, folder: Path, lock: Path | None) -> Checkpoint:
    missing = [pattern for pattern in ("config.json", "*.safetensors") if not any(folder.glob(pattern))]
    if missing:
        pickled = sorted(path.name for path in folder.glob("*.bin"))
        raise UserError(
            f"use the model in {reference}",
            f"no {' and no '.join(missing)}"
            + (f", only {', '.join(pickled)}, a format that can run code" * bool(pickled)),
            mend="save it again with model.save_pretrained(folder), or rebuild the embedded models with: make mini",
        )
    _check_lock(reference, folder, lock)
    entries = "".join(f"{name}\0{digest}\n" for name, digest in sorted(_digests(folder).items()))
    return Checkpoint(reference, str(folder), None, hashlib.sha256(entries.encode()).hexdigest())


def _check_lock(reference: str, folder: Path, lock: Path | None) -> None:
    beside = folder.resolve().parent / LOCK_NAME
    path = lock or beside
    if lock is None and not beside.is_file():
        return
    expected = _locked_files(reference, folder, path)
    if lock is not None and not expected:
        raise UserError(f"check {reference} against {lock}", "the lock names no file of that folder")
    for name, digest in expected.items():
        file = folder / name
        found = _hash(file) if file.is_file() else "missing"
        if found != digest:
            raise UserError(
                f"use the model file {file}",
                "it is missing"
                if found == "missing"
                else f"its SHA-256 is {found[:12]}…, not the {digest[:12]}… of {path.name}",
                mend="restore it (git checkout, or git lfs pull), or rebuild the embedded models with: make mini",
            )


def _locked_files(reference: str, folder: Path, lock: Path) -> Mapping[str, str]:
    try:
        files = json.loads(lock.read_text(encoding="utf-8"))["files"]
        prefix = folder.resolve().relative_to(lock.resolve().parent).as_posix() + "/"
        return {name.removeprefix(prefix): digest for name, digest in files.items() if name.startswith(prefix)}
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise UserError(f"check {reference} against {lock}", f"{type(error).__name__}: {error}") from error


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: _hash(path) for pattern in _IDENTITY for path in folder.glob(pattern) if path.is_file()}


def _hash(path: Path) -> str:
    status = path.stat()
    return _hash_once(path.resolve(), status.st_size, status.st_mtime_ns)


@cache
def _hash_once(path: Path, size: int, modified: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _resolve_commit(reference: str, name: str, revision: str | None) -> str:
    from huggingface_hub import HfApi, try_to_load_from_cache

    cached = try_to_load_from_cache(name, "config.json", revision=revision)
    if isinstance(cached, str):
        return Path(cached).parent.name
    try:
        return str(HfApi().model_info(name, revision=revision).sha)
    except Exception as error:  # the hub client raises its own, httpx's and OSError's; each means "not to be had"
        raise UserError(
            f"find the model {reference!r}",
            f"no folder of that name, and not on the hub: {str(error).strip().splitlines()[0]}",
            ("a folder with config.json and *.safetensors", "a hub id that is cached or reachable"),
            f"on a computer with network: hf download {name}; or rebuild the embedded models with: make mini",
        ) from error
