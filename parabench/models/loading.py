"""Loading checkpoints for inference: nothing is loaded that has not been identified first.

torch and transformers are imported by the functions that need them, so that importing this module
costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from parabench.contracts import Runtime, UserError
from parabench.models.checkpoints import checkpoint_folder, locate
from parabench.models.local import Checkpoint, write_lock

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = [
    "Checkpoint",
    "load_causal",
    "load_classifier",
    "load_encoder",
    "load_seq2seq",
    "locate",
    "resolve_device",
    "write_lock",
]

DTYPES = ("float32", "bfloat16", "float16")


def resolve_device(device: str) -> str:
    """Turn ``auto``, ``cpu``, ``cuda`` or ``cuda:1`` into a device that exists here; UserError
    where it does not.
    """
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    present = ("auto", "cpu", *(f"cuda:{index}" for index in range(count)))
    if device == "auto":
        return "cuda:0" if count else "cpu"
    resolved = "cuda:0" if device == "cuda" else device
    if resolved not in present:
        raise UserError(
            f"run on the device {device!r}", f"{count} CUDA devices", present, "use --device auto"
        )
    return resolved


def warm_up_mkl() -> None:
    """Make the first call of a vector function by one thread alone.

    MKL chooses their code at that call. Where two threads make it at once, the first result of a
    process differed in its last bits in 1 of 100 processes (torch 2.13, exp of 144 x 384 numbers).
    """
    import torch

    torch.ones(1).exp_()


def load_causal(
    checkpoint: Checkpoint, runtime: Runtime
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a decoder-only model in evaluation mode, and its tokenizer padding on the left.

    Raises UserError where the checkpoint cannot be read, and where an OPT tokenizer does not begin
    with ``</s>``.
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


def load_seq2seq(
    checkpoint: Checkpoint, runtime: Runtime
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load an encoder-decoder model in evaluation mode, and its tokenizer padding on the right."""
    from transformers import AutoModelForSeq2SeqLM

    return _load(AutoModelForSeq2SeqLM, checkpoint, runtime, "right")


def load_encoder(
    checkpoint: Checkpoint, runtime: Runtime
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load the encoder of any model, without what stands on top of it, in evaluation mode, and its
    tokenizer.
    """
    from transformers import AutoModel

    model, tokenizer = _load(AutoModel, checkpoint, runtime, "right", unused="pooler")
    return getattr(model, "encoder", model) if model.config.is_encoder_decoder else model, tokenizer


def load_classifier(
    checkpoint: Checkpoint, runtime: Runtime
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
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
    folder = checkpoint_folder(checkpoint)
    common: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
    with _quiet_loading(), _readable(checkpoint):
        tokenizer = AutoTokenizer.from_pretrained(folder, padding_side=padding_side, **common)
        model, report = loader.from_pretrained(
            folder,
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
    warm_up_mkl()
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
            mend="check that the checkpoint is complete and in safetensors format",
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
