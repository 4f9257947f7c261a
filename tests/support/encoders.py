"""Tiny random encoders with RoBERTa's conventions, saved as real checkpoints."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import processors
from transformers import (
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaForSequenceClassification,
    RobertaTokenizer,
)

from tests.support import tiny


def roberta(folder: Path, labels: dict[int, str] | None = None) -> Path:
    """Three layers and 38 usable positions; a language-model head, or a classifier of text pairs
    with these labels.
    """
    config = RobertaConfig(
        vocab_size=tiny.VOCABULARY,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=40,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )
    if labels:
        config.id2label, config.label2id = (
            labels,
            {label: number for number, label in labels.items()},
        )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = (RobertaForSequenceClassification if labels else RobertaForMaskedLM)(config)
        for weight in model.parameters():
            if weight.dim() > 1:
                torch.nn.init.normal_(weight, std=0.3)
    model.save_pretrained(folder)
    plain = tiny.tokenizer("<s> $A </s>").backend_tokenizer
    plain.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    RobertaTokenizer(tokenizer_object=plain).save_pretrained(folder)
    return folder
