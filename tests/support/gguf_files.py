"""Small Llamas as GGUF files, written by gguf-py as llama.cpp's converter writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFReader, GGUFWriter, dequantize, quants

from tests.support import tiny

WIDTH, HEADS, KEY_HEADS = 256, 4, 2
"""A row of 256 weights is one block of the widest quantisation."""

Types = GGMLQuantizationType
PLAIN = (Types.F32, Types.F16, Types.BF16)
QUANTISED = tuple(
    kind
    for kind in (
        Types.Q4_0, Types.Q4_1, Types.Q5_0, Types.Q5_1, Types.Q8_0, Types.Q2_K, Types.Q3_K,
        Types.Q4_K, Types.Q5_K, Types.Q6_K, Types.IQ4_NL, Types.IQ4_XS, Types.IQ2_XXS,
        Types.IQ3_S, Types.TQ1_0, Types.TQ2_0, Types.MXFP4,
    )
)  # fmt: skip

_CONTROL, _NORMAL = 3, 1


def llama(
    file: Path,
    types: Sequence[Types] = (Types.F32,),
    layers: int = 1,
    fields: Mapping[str, Any] | None = None,
    extra: Mapping[str, np.ndarray] | None = None,
    without: Sequence[str] = (),
    pre: str = "default",
    bos: bool = False,
) -> Path:
    """A Llama with random weights; its matrices take the ``types`` in turn.

    ``fields`` are more of the header, ``extra`` more tensors; those named in ``without`` are left
    out.
    """
    writer = GGUFWriter(file, "llama")
    writer.add_name("tiny")
    writer.add_type("model")
    writer.add_block_count(layers)
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(tiny.VOCABULARY)
    for name, value in (fields or {}).items():
        adders = {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}
        adders[type(value)](name, value)
    _add_tokenizer(writer, pre, bos)
    shapes = _shapes(layers)
    random = np.random.default_rng(0)
    matrices = 0
    for name, shape in shapes.items():
        values = random.normal(0.0, 0.05, shape).astype(np.float32)
        if len(shape) == 1:
            writer.add_tensor(name, 1 + values)
        elif name not in without:
            _add(writer, name, values, types[matrices % len(types)], random)
            matrices += 1
    for name, values in (extra or {}).items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _shapes(layers: int) -> dict[str, tuple[int, ...]]:
    keys = WIDTH * KEY_HEADS // HEADS
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (tiny.VOCABULARY, WIDTH)}
    for layer in range(layers):
        block = {
            "attn_norm": (WIDTH,),
            "attn_q": (WIDTH, WIDTH),
            "attn_k": (keys, WIDTH),
            "attn_v": (keys, WIDTH),
            "attn_output": (WIDTH, WIDTH),
            "ffn_norm": (WIDTH,),
            "ffn_gate": (WIDTH, WIDTH),
            "ffn_up": (WIDTH, WIDTH),
            "ffn_down": (WIDTH, WIDTH),
        }
        shapes |= {f"blk.{layer}.{name}.weight": shape for name, shape in block.items()}
    return shapes | {"output_norm.weight": (WIDTH,)}


def _add(
    writer: GGUFWriter, name: str, values: np.ndarray, kind: Types, random: np.random.Generator
) -> None:
    """Add one matrix in a type; where gguf-py cannot quantise to it, blocks of random bits."""
    if kind in (Types.F32, Types.F16):
        writer.add_tensor(name, values.astype(np.float32 if kind == Types.F32 else np.float16))
        return
    try:
        stored = quants.quantize(values, kind)
    except NotImplementedError:
        stored = _random_blocks(values.shape, kind, random)
    writer.add_tensor(name, stored, raw_dtype=kind)


def _random_blocks(shape: tuple[int, ...], kind: Types, random: np.random.Generator) -> np.ndarray:
    """Blocks of random bits that mean finite weights: scales are half floats among the bits."""
    weights, size = GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (shape[0] * shape[1] // weights, size), dtype=np.uint8)
    while True:
        with np.errstate(all="ignore"):
            values = dequantize(blocks, kind)
        wrong = ~(np.abs(values) < 1e3).all(axis=1)
        if not wrong.any():
            return blocks.reshape(shape[0], -1)
        blocks[wrong] = random.integers(0, 256, (int(wrong.sum()), size), dtype=np.uint8)


def _add_tokenizer(writer: GGUFWriter, pre: str, bos: bool) -> None:
    """The byte-level BPE of the other tiny models, as llama.cpp stores one."""
    model = json.loads(tiny.tokenizer().backend_tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([_CONTROL if token in tiny.SPECIALS else _NORMAL for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in model["merges"]])
    writer.add_bos_token_id(0)
    writer.add_pad_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(3)
    writer.add_add_bos_token(bos)


def weights(file: Path, heads: int = HEADS, key_heads: int = KEY_HEADS) -> dict[str, np.ndarray]:
    """The weights of a Llama's file by transformers' names: gguf-py's dequantisation, and
    llama.cpp's order of the rows of queries and keys undone.

    llama.cpp, convert_hf_to_gguf.py, ``LlamaModel.permute``: within a head the two halves of its
    rows, which transformers rotates against each other, are interleaved.
    """
    names = {
        "token_embd": "model.embed_tokens",
        "output_norm": "model.norm",
        "attn_norm": "input_layernorm",
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "ffn_norm": "post_attention_layernorm",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
    }
    found = {}
    for tensor in GGUFReader(file).tensors:
        parts = tensor.name.removesuffix(".weight").split(".")
        values = dequantize(tensor.data, tensor.tensor_type)
        if parts[-1] in ("attn_q", "attn_k"):
            count = heads if parts[-1] == "attn_q" else key_heads
            half = values.shape[0] // count // 2
            pairs = values.reshape(count, half, 2, -1)
            values = pairs.transpose(0, 2, 1, 3).reshape(values.shape)
        within = f"model.layers.{parts[1]}." if parts[0] == "blk" else ""
        found[f"{within}{names[parts[-1]]}.weight"] = values
    return found
