"""The embedded world's tokenizer: a byte-level BPE learned from its language, with the conventions
of OPT and BART.

Ids 0 ``<s>``, 1 ``<pad>``, 2 ``</s>``, 3 ``<unk>``. OPT begins a text with ``</s>`` (its BOS and
EOS are one token); BART writes ``<s> text </s>``.
"""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>")


def train_bpe(texts: Iterable[str], size: int) -> Tokenizer:
    """A byte-level BPE of ``size`` tokens, the same for the same texts."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    return backend


def for_opt(backend: Tokenizer) -> PreTrainedTokenizerFast:
    """OPT's: ``</s>`` before the text, nothing after it, padding on the left."""
    return _wrap(backend, "</s> $A", bos_token="</s>", padding_side="left")


def for_bart(backend: Tokenizer) -> PreTrainedTokenizerFast:
    """BART's: ``<s>`` before the text and ``</s>`` after it."""
    return _wrap(backend, "<s> $A </s>", bos_token="<s>", cls_token="<s>", sep_token="</s>")


def _wrap(backend: Tokenizer, template: str, **tokens: str) -> PreTrainedTokenizerFast:
    copy = Tokenizer.from_str(backend.to_str())
    numbered = [(token, number) for number, token in enumerate(SPECIAL_TOKENS)]
    copy.post_processor = processors.TemplateProcessing(single=template, special_tokens=numbered)
    return PreTrainedTokenizerFast(
        tokenizer_object=copy,
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        model_max_length=512,
        clean_up_tokenization_spaces=False,
        **tokens,
    )
