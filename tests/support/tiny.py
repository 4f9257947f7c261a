"""Tiny models of each architecture with random weights, saved as real checkpoints; deterministic,
no downloads.

Each builder writes into ``folder`` and returns it. Weights are drawn wide, so that greedy text
varies and depends on every position attended to.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    BartConfig,
    GPT2Config,
    LlamaConfig,
    OPTConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
)
from transformers.utils import logging

SPECIALS = ["<s>", "<pad>", "</s>", "<unk>"]
VOCABULARY = 384
SENTENCES = (
    "The committee approved the new budget after a long discussion.",
    "A long discussion preceded the approval of the budget.",
    "Every morning the old man walks his dog along the river.",
    "Nobody knew why the train had stopped between two stations.",
    "The children gave their teacher a bunch of yellow flowers.",
    "It was the rain that ruined the picnic, not the ants.",
    "She bought seven books on the third of May, 1998.",
    "Although he was tired, the driver went on until midnight.",
)


def opt(folder: Path, **changes: Any) -> Path:
    """OPT's conventions: every text begins with ``</s>`` (id 2), pad id 1."""
    config = OPTConfig(
        **_sizes(),
        ffn_dim=64,
        word_embed_proj_dim=32,
        max_position_embeddings=128,
        bos_token_id=2,
        eos_token_id=2,
        pad_token_id=1,
        dropout=0.0,
    )
    return _save(folder, AutoModelForCausalLM, config, changes, "</s> $A")


def opt350(folder: Path, **changes: Any) -> Path:
    """OPT-350m's two oddities: embeddings narrower than the body, and normalisation after each
    block.
    """
    return opt(folder, **{"word_embed_proj_dim": 16, "do_layer_norm_before": False, **changes})


def gpt2(folder: Path, **changes: Any) -> Path:
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=128,
        bos_token_id=2,
        eos_token_id=2,
    )
    return _save(folder, AutoModelForCausalLM, config, changes, "$A")


def llama(folder: Path, **changes: Any) -> Path:
    config = LlamaConfig(
        **_sizes(),
        num_key_value_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
        bos_token_id=0,
        eos_token_id=2,
    )
    return _save(folder, AutoModelForCausalLM, config, changes, "<s> $A")


def qwen2(folder: Path, **changes: Any) -> Path:
    config = Qwen2Config(
        **_sizes(),
        num_key_value_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
        bos_token_id=2,
        eos_token_id=2,
    )
    return _save(folder, AutoModelForCausalLM, config, changes, "$A")


def bart(folder: Path, **changes: Any) -> Path:
    """BART's conventions: ``<s> text </s>``, decoder begun with ``</s>``; its saved defaults are
    bart-large-cnn's.
    """
    config = BartConfig(
        vocab_size=VOCABULARY,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=128,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
        dropout=0.0,
    )
    _save(folder, AutoModelForSeq2SeqLM, config, changes, "<s> $A </s>")
    leaking = {
        "min_length": 56,
        "max_length": 142,
        "num_beams": 4,
        "no_repeat_ngram_size": 3,
        "length_penalty": 2.0,
    }
    ids = {
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 2,
        "forced_bos_token_id": 0,
    }
    (folder / "generation_config.json").write_text(
        json.dumps({**leaking, **ids, "early_stopping": True})
    )
    return folder


CAUSAL = {"opt": opt, "opt350": opt350, "gpt2": gpt2, "llama": llama, "qwen2": qwen2}


def tokenizer(template: str = "$A") -> PreTrainedTokenizerFast:
    """A byte-level BPE of 384 tokens whose special ids are OPT's and BART's: 0 ``<s>``, 1
    ``<pad>``, 2 ``</s>``.
    """
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIALS,
        initial_alphabet=alphabet,
        show_progress=False,
    )
    backend.train_from_iterator(SENTENCES * 2, trainer)
    backend.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[(token, index) for index, token in enumerate(SPECIALS)]
    )
    begin = "</s>" if template.startswith("</s>") else "<s>"
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=begin,
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
    )


def _sizes() -> dict[str, Any]:
    return {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }


def _save(
    folder: Path, loader: Any, config: PreTrainedConfig, changes: dict[str, Any], template: str
) -> Path:
    for name, value in changes.items():
        setattr(config, name, value)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = loader.from_config(config)
        for name, weight in model.named_parameters():
            if weight.dim() > 1:
                torch.nn.init.normal_(weight, std=1.0 if "embed" in name or "wte" in name else 0.3)
    model.tie_weights()
    logging.disable_progress_bar()
    model.save_pretrained(folder)
    tokenizer(template).save_pretrained(folder)
    return folder
