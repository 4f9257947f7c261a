"""GGUF files, the format of llama.cpp, as models: dequantised once into the cache.

transformers reads configuration, tokenizer and weights (its ``gguf_file``); the weights are those
that the ``gguf`` package's own ``dequantize`` gives, to the bit, in float32. What transformers
would leave out in silence is refused here: parts of the file that no weight of the model is made
of, scaled rotary positions, halves of a split file.

In the cache ``gguf/<SHA-256 of the file>/<versions>/model`` is the folder that is loaded. Another
version of transformers or gguf makes another; the model's identity is the file's own SHA-256.
"""

from __future__ import annotations

import io
import logging
import os
from contextlib import redirect_stderr
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from parabench.contracts import UserError
from parabench.models.cache import cache_folder, check_disk_space, make_once
from parabench.models.local import locate_folder, write_lock
from parabench.models.pretrained import check_sizes, load_pretrained

_SUFFIX = ".gguf"
_MAGIC = b"GGUF"
_MODEL = "model"
_FLOAT32 = 4
"""Bytes of a weight."""

_SPLIT_AS_GPT2 = ("default", "gpt-2", "gpt2", "mpt", "olmo", "phi-2", "jais")
"""Pre-tokenizers of llama.cpp that split as GPT-2's, as transformers does for unknown names."""
_SPLIT_DIGITS = ("smollm", "starcoder", "refact", "command-r", "codeshell")
"""Those that split every digit from its neighbours, and then as GPT-2's."""

_log = logging.getLogger(__name__)


def is_gguf(path: Path) -> bool:
    """Whether a path is named as a GGUF file."""
    return path.suffix.lower() == _SUFFIX


def check_magic(reference: str, file: Path) -> None:
    """Refuse a file that does not begin as GGUF files do.

    Raises UserError, also where ``file`` cannot be read.
    """
    asked = f"use the model {reference}"
    try:
        with file.open("rb") as opened:
            start = opened.read(len(_MAGIC))
    except OSError as error:
        found = error.strerror or str(error)
        raise UserError(asked, found) from error
    if start != _MAGIC:
        raise UserError(
            asked,
            f"it begins with {start!r}, not with {_MAGIC!r}: no GGUF file, or damaged",
            mend="fetch it again",
        )


def converted_folder(digest: str) -> Path:
    """Where the folder made from the GGUF file of this SHA-256 is, or will be."""
    versions = f"transformers-{version('transformers')}-gguf-{version('gguf')}"
    return cache_folder() / "gguf" / digest / versions / _MODEL


def convert_gguf(
    file: Path,
    digest: str,
    reference: str,
) -> Path:
    """The folder that transformers loads in the place of a GGUF file; made once, then verified.

    ``digest`` is the file's SHA-256, ``reference`` the model as it was asked for. Raises UserError
    where the file is damaged or holds what cannot be converted to the last bit.
    """
    folder = converted_folder(digest)
    if not folder.parent.is_dir():
        _log.warning("%s is converted once to float32", reference)
        asked = f"convert {reference}"
        make_once(folder.parent, lambda made: _write(file, made, reference), asked)
    locate_folder(str(folder), folder)
    return folder


def parameter_count(file: Path, reference: str) -> int:
    """How many weights a GGUF file holds, by its header.

    Raises UserError where the header cannot be read.
    """
    return _parameter_count(file, file.stat().st_mtime_ns, reference)


@cache
def _parameter_count(file: Path, changed: int, reference: str) -> int:
    """Counted once a process for each state of the file: a header holds the whole vocabulary."""
    return _stored_weights(_read_header(file, reference))


def _write(
    file: Path,
    target: Path,
    reference: str,
) -> None:
    """Fill ``target/model`` and pin its files in ``target/models.lock``."""
    check_disk_space(_FLOAT32 * parameter_count(file, reference))
    # transformers reads what lies beside the file too (config.json, tokenizer.json): here nothing.
    alone = target / "source"
    alone.mkdir()
    os.symlink(file.resolve(), alone / "model.gguf")
    folder = target / _MODEL
    try:
        # Its progress bars are not ours to keep out of logs; what goes wrong is raised.
        with redirect_stderr(io.StringIO()):
            _convert(alone, folder, reference)
    except (UserError, OSError):
        raise
    except Exception as error:
        # The readers meet a damaged file with whatever it leads them into: IndexError,
        # struct.error, MemoryError, NotImplementedError ...
        lines = str(error).strip().splitlines() or ["no reason given"]
        found = f"{type(error).__name__}: {lines[0]}"
        raise UserError(f"convert {reference}", found, mend="use another GGUF file") from error
    (alone / "model.gguf").unlink()
    alone.rmdir()
    write_lock(target, [_MODEL])


def _convert(
    source: Path,
    folder: Path,
    reference: str,
) -> None:
    """Load with transformers, check that nothing was left out, and save as float32."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    settings = {"gguf_file": "model.gguf"}
    header = _read_header(source / "model.gguf", reference)
    _check_header(header, reference)
    config = load_pretrained(
        AutoConfig,
        source,
        reference,
        **settings,
    )
    # before a model of these sizes is built
    check_sizes(config.to_dict(), reference)
    tokenizer = load_pretrained(AutoTokenizer, source, reference, **settings)
    _set_pre_tokenizer(tokenizer, header, reference)
    loader = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    model, report = load_pretrained(
        loader,
        source,
        reference,
        dtype=torch.float32,
        output_loading_info=True,
        **settings,
    )
    _check_complete(model, header, report, reference)
    # transformers marks the model as quantised, and refuses to save such a one; its weights are
    # plain float32 by now.
    model.is_quantized, model.hf_quantizer = False, None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)


def _read_header(file: Path, reference: str) -> Any:
    """The fields and tensors of a GGUF file, mapped into memory; UserError where it is damaged."""
    from gguf import GGUFReader

    check_magic(reference, file)
    try:
        return GGUFReader(file)
    except Exception as error:  # the reader follows counts and offsets wherever they lead
        found = f"its header cannot be read ({type(error).__name__}: {error})"
        raise UserError(f"use the model {reference}", found, mend="fetch it again") from error


def _check_header(header: Any, reference: str) -> None:
    """Refuse what transformers would misread without a word."""
    fields = header.fields
    kind = _field(header, "general.type")
    if kind not in (None, "model"):
        raise _unusable(reference, f"it holds an object of type {kind!r}, not a model")
    if (parts := _field(header, "split.count")) not in (None, 0, 1):
        mend = "merge its parts with llama.cpp's gguf-split --merge"
        raise _unusable(reference, f"it is one of {parts} parts of a split file", mend)
    if header.byte_order == "S":
        raise _unusable(reference, "its byte order is not this machine's")
    architecture = _field(header, "general.architecture")
    # transformers reads none of these fields, and would turn queries and keys at other speeds
    scaling = f"{architecture}.rope.scaling."
    for name in fields:
        if name.startswith(scaling) and not _is_neutral(header, name):
            value = _field(header, name)
            found = f"{name} is {value}: positions are scaled, which is not read"
            raise _unusable(reference, found)


def _is_neutral(header: Any, name: str) -> bool:
    """Whether a field about scaled positions says that they are not scaled."""
    value = _field(header, name)
    if name.endswith(".type"):
        return value == "none"
    prefix = name.rpartition(".")[0]
    kind = _field(header, f"{prefix}.type")
    # The factor alone, without a type, scales linearly; all other numbers belong to a type.
    changes = name.endswith(".factor") and value not in (0.0, 1.0)
    return kind in (None, "none") and not changes


def _set_pre_tokenizer(
    tokenizer: Any,
    header: Any,
    reference: str,
) -> None:
    """Split texts before BPE as the model was trained to, where transformers does not.

    SmolLM's own tokenizer.json is this sequence. Where neither knows how, that is said.
    """
    from tokenizers import pre_tokenizers

    pre = _field(header, "tokenizer.ggml.pre")
    if _field(header, "tokenizer.ggml.model") != "gpt2":
        return
    if pre in _SPLIT_DIGITS:
        digits = pre_tokenizers.Digits(individual_digits=True)
        words = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, words])
    elif pre not in (None, *_SPLIT_AS_GPT2, *_splits_of_transformers()):
        _log.warning(
            "%s: its pre-tokenizer %r is not known here; texts are split as GPT-2's are",
            reference,
            pre,
        )


def _splits_of_transformers() -> tuple[str, ...]:
    """The pre-tokenizers that the installed transformers sets by itself, if any."""
    try:
        from transformers.integrations.gguf import gguf_tokenizer_mapping
    except ImportError:
        return ()
    return tuple(getattr(gguf_tokenizer_mapping, "GGUF_PRE_TOKENIZER_SPLITS", ()))


def _field(header: Any, name: str) -> Any:
    """The value of a header field; None where the file does not have it."""
    field = header.fields.get(name)
    return None if field is None else field.contents()


def _check_complete(
    model: Any,
    header: Any,
    report: dict[str, Any],
    reference: str,
) -> None:
    """Refuse a model that has weights from nowhere, or lacks some that the file has.

    transformers fills missing weights with random numbers, and skips tensors that it has no place
    for (such as ``rope_freqs.weight``, the positions' scaling of Llama 3.1).
    """
    missing = sorted(map(str, report["missing_keys"]))
    if missing or report["mismatched_keys"]:
        first = ", ".join(missing[:4])
        raise _unusable(reference, f"weights missing from it: {first}")
    stored = _stored_weights(header)
    # Tied weights, such as input and output embeddings, are one tensor under two names.
    tensors = model.state_dict().values()
    sizes = {tensor.data_ptr(): tensor.numel() for tensor in tensors}
    loaded = sum(sizes.values())
    if stored != loaded:
        names = [tensor.name for tensor in header.tensors if "blk." not in tensor.name]
        found = f"it holds {stored} weights, and the model made of it {loaded}"
        # what is left over lies outside of the layers: in those every architecture agrees
        raise _unusable(reference, f"{found}; outside of its layers it has {', '.join(names)}")


def _stored_weights(header: Any) -> int:
    """The weights of all tensors in a file."""
    counts = [int(tensor.n_elements) for tensor in header.tensors]
    return sum(counts)


def _unusable(
    reference: str,
    found: str,
    mend: str = "use another GGUF file",
) -> UserError:
    return UserError(f"convert {reference}", found, mend=mend)
