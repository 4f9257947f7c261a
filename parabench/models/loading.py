"""Loading checkpoints for inference: nothing is loaded that has not been identified first.

torch and transformers are imported by the functions that need them, so that importing this module
costs nothing.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parabench.contracts import Runtime, UserError
from parabench.models.checkpoints import checkpoint_folder, locate
from parabench.models.local import Checkpoint, write_lock
from parabench.models.pretrained import check_weights, load_pretrained, load_tokenizer
from parabench.models.torch_build import may_have_gpu

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

_log = logging.getLogger(__name__)


def resolve_device(device: str) -> str:
    """Turn ``auto``, ``cpu``, ``cuda`` or ``cuda:1`` into a device of this machine.

    Raises UserError where there is no such ``device``.
    """
    # Many commands run no model, and torch takes long to import. Where it is there, it is asked.
    if device in ("auto", "cpu") and "torch" not in sys.modules and not may_have_gpu():
        return "cpu"
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    present = ("auto", "cpu", *(f"cuda:{index}" for index in range(count)))
    if device == "auto":
        return "cuda:0" if count else "cpu"
    resolved = "cuda:0" if device == "cuda" else device
    if resolved not in present:
        raise UserError(
            f"run on the device {device!r}",
            f"{count} CUDA devices",
            present,
            "use --device auto",
        )
    return resolved


def warm_up_mkl() -> None:
    """Make the first call of an MKL vector function from one thread alone.

    MKL chooses their code at that call. Where two threads made it at once, the first result of a
    process differed in its last bits in 1 of 100 processes (torch 2.13, exp of 144 x 384 numbers).
    """
    import torch

    torch.ones(1).exp_()


def load_causal(
    checkpoint: Checkpoint, runtime: Runtime
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a decoder-only model for inference, and its tokenizer, which pads on the left.

    Raises UserError where the checkpoint cannot be read, and where an OPT tokenizer does not begin
    a text with ``</s>``.
    """
    from transformers import AutoModelForCausalLM

    model, tokenizer = _load(
        AutoModelForCausalLM,
        checkpoint,
        runtime,
        "left",
    )
    first = tokenizer("a").input_ids[0]
    if model.config.model_type == "opt" and first != model.config.bos_token_id:
        bos = model.config.bos_token_id
        raise UserError(
            f"load the tokenizer of {checkpoint.reference}",
            f"it begins a text with id {first}; OPT was trained with </s> (id {bos}) first",
            mend='set "add_bos_token": true in its tokenizer_config.json',
        )
    return model, tokenizer


def load_seq2seq(
    checkpoint: Checkpoint, runtime: Runtime
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load an encoder-decoder model for inference, and its tokenizer, which pads on the right.

    Raises UserError where the checkpoint cannot be read.
    """
    from transformers import AutoModelForSeq2SeqLM

    return _load(
        AutoModelForSeq2SeqLM,
        checkpoint,
        runtime,
        "right",
    )


def load_encoder(
    checkpoint: Checkpoint, runtime: Runtime
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load the encoder of any model for inference, without any head, and its tokenizer.

    Raises UserError where the checkpoint cannot be read.
    """
    from transformers import AutoModel

    # a pooler is not used, and many encoders are saved without one
    model, tokenizer = _load(
        AutoModel,
        checkpoint,
        runtime,
        "right",
        unused="pooler",
    )
    if model.config.is_encoder_decoder:
        model = getattr(model, "encoder", model)
    return model, tokenizer


def load_classifier(
    checkpoint: Checkpoint, runtime: Runtime
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a classifier of texts or text pairs for inference, and its tokenizer.

    Raises UserError where the checkpoint cannot be read.
    """
    from transformers import AutoModelForSequenceClassification

    return _load(
        AutoModelForSequenceClassification,
        checkpoint,
        runtime,
        "right",
    )


def _load(
    loader: Any,
    checkpoint: Checkpoint,
    runtime: Runtime,
    padding_side: str,
    unused: str = "\0",
) -> tuple[Any, Any]:
    """The model and the tokenizer; weights may be missing whose name holds ``unused``."""
    import torch

    folder = checkpoint_folder(checkpoint)
    tokenizer = load_tokenizer(folder, checkpoint.reference, padding_side=padding_side)
    dtype = getattr(torch, runtime.dtype)
    model, report = _load_with_attention(
        loader,
        folder,
        checkpoint.reference,
        dtype,
    )
    missing = sorted(str(key) for key in report["missing_keys"] if unused not in str(key))
    if missing or report["mismatched_keys"]:
        # transformers fills such weights with random numbers and only warns
        raise UserError(
            f"load the model {checkpoint.reference}",
            f"weights missing from its files: {', '.join(missing[:4])}",
            mend="download or export the checkpoint again",
        )
    check_weights(model, checkpoint.reference)
    warm_up_mkl()
    return model.eval().requires_grad_(False).to(resolve_device(runtime.device)), tokenizer


def _load_with_attention(
    loader: Any,
    folder: Path,
    reference: str,
    dtype: Any,
) -> tuple[Any, dict[str, Any]]:
    """The model and transformers' loading report: by PyTorch's attention, else by the eager one.

    A third of the architectures have the eager one alone; that is said in the log, for it is slow.
    """
    settings: dict[str, Any] = {
        "dtype": dtype,
        "use_safetensors": True,
        "output_loading_info": True,
    }
    try:
        return load_pretrained(
            loader,
            folder,
            reference,
            attn_implementation="sdpa",
            **settings,
        )
    except UserError as error:
        if "scaled_dot_product_attention" not in str(error):
            raise
    _log.warning("%s has no attention but the eager one, which is slow", reference)
    return load_pretrained(
        loader,
        folder,
        reference,
        attn_implementation="eager",
        **settings,
    )
