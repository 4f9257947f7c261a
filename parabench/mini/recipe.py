"""How the embedded models are made: every stage seeded, in order, each written where the suite
``mini`` looks for it.

All models are random at first. The base OPT reads documents in which paraphrase is one thing among
others; the same weights are then fine-tuned whole, or left frozen behind soft prompts. The BARTs
are trained apart. Weights are stored in float16, as OPT's were released, and every later stage
starts from what was stored.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from parabench.contracts import Runtime
from parabench.data import sketches
from parabench.data.filters import sentence_key
from parabench.data.test_sets import read_test_set
from parabench.mini import documents, language, tokenizer
from parabench.mini.training_texts import (
    Stream,
    document_sentences,
    packed_documents,
    restorations,
)
from parabench.models.checkpoints import locate
from parabench.models.loading import load_causal, warm_up_mkl
from parabench.models.local import write_lock
from parabench.prompts.convert import library_versions
from parabench.training.batches import Batching
from parabench.training.config import TrainingConfig
from parabench.training.export import export_result
from parabench.training.loop import StepLog
from parabench.training.recipes import (
    StepCallback,
    finetune_causal,
    finetune_seq2seq,
    pretrain,
    train_in_memory,
)
from parabench.training.resumable import TrainingOutcome
from parabench.training.setup import load_setup, parse_kind

HOME = Path(__file__).parent
MODELS, ADAPTERS = HOME / "models", HOME / "adapters"
VOCABULARY = 3072
EXAMPLES = 150
ROWS = 256
"""Of a batch, at most."""
SKETCH = 4096
"""Keys that are kept of what a stage has read."""


@dataclass(frozen=True)
class Stage:
    """One step of the recipe: its name, how many updates it takes, and how."""

    name: str
    steps: int
    make: Callable[[Stage, StepCallback], None]


def training_stages() -> tuple[Stage, ...]:
    """Everything ``make mini`` makes, in the order in which it depends on each other."""
    return (
        Stage("tokenizer", 0, make_tokenizer),
        Stage("test set", 0, make_test_set),
        Stage("opt", 1700, make_base),
        Stage("opt-finetuned", 500, make_finetuned),
        *(Stage(f"softprompt-{length}", 300, make_prompt) for length in (20, 59, 111, 143, 163)),
        *(Stage(name, 150, make_prompt) for name in ("ptuning-20", "ptuning-mlp-20")),
        Stage("bart-paraphrase", 1500, make_paraphraser),
        Stage("bart-likelihood", 1200, make_likelihood),
    )


def _config(stage: Stage, rate: float, tokens: int, weight_decay: float = 0.01) -> TrainingConfig:
    """AdamW, warm-up and cosine decay; ``tokens`` padded positions a batch."""
    batching = Batching(rows=ROWS, tokens=tokens, window=2048, longest=400)
    return TrainingConfig(
        steps=stage.steps,
        learning_rate=rate,
        weight_decay=weight_decay,
        betas=(0.9, 0.98),
        schedule="cosine",
        warmup=max(stage.steps // 20, 1),
        batching=batching,
    )


def make_tokenizer(stage: Stage, watch: StepCallback) -> None:
    """One byte-level BPE for all models, learned from documents and paraphrases of the training
    split.
    """
    # Another seed than the models are trained on; the language is the same.
    texts = [*islice(documents.pretraining_documents(seed=1), 12_000)]
    texts += [
        side for pair in islice(language.paraphrase_pairs("train", seed=1), 12_000) for side in pair
    ]
    backend = tokenizer.train_bpe(texts, VOCABULARY)
    MODELS.mkdir(parents=True, exist_ok=True)
    backend.save(str(MODELS / "bpe.json"))


def make_test_set(stage: Stage, watch: StepCallback) -> None:
    """The suite's examples: sources of the test split with five thorough rewrites each."""
    rows = language.example_triples("test", EXAMPLES, seed=2022, references=5)
    lines = [
        json.dumps({"id": name, "source": text, "references": list(others)})
        for name, text, others in rows
    ]
    (HOME / "test.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def backend() -> Tokenizer:
    """The BPE of the first stage."""
    return Tokenizer.from_file(str(MODELS / "bpe.json"))


def make_base(stage: Stage, watch: StepCallback) -> None:
    """A small OPT, pre-trained on documents."""
    warm_up_mkl()
    torch.manual_seed(0)
    shape = OPTConfig(
        vocab_size=VOCABULARY,
        hidden_size=192,
        word_embed_proj_dim=192,
        ffn_dim=768,
        num_hidden_layers=5,
        num_attention_heads=6,
        max_position_embeddings=512,
        dropout=0.0,
        bos_token_id=2,
        eos_token_id=2,
        pad_token_id=1,
    )
    model = OPTForCausalLM(shape)
    words = tokenizer.for_opt(backend())
    pretrain(
        model, words, Stream(lambda: packed_documents(seed=0)), _config(stage, 2e-3, 4096), watch
    )
    store_model(model, words, "opt")
    _remember(MODELS / "opt", map(document_sentences, packed_documents(seed=0)), 24 * stage.steps)


def make_finetuned(stage: Stage, watch: StepCallback) -> None:
    """All weights of the base, fine-tuned on paraphrase pairs."""
    model, words = load_embedded_base()
    model.requires_grad_(True)
    pairs = Stream(lambda: language.paraphrase_pairs("train", seed=3))
    finetune_causal(model, words, pairs, _config(stage, 1e-3, 4096), watch=watch)
    store_model(model, words, "opt-finetuned")
    _remember(MODELS / "opt-finetuned", pairs, ROWS * stage.steps, MODELS / "opt")


def make_prompt(stage: Stage, watch: StepCallback) -> None:
    """A soft prompt in front of the frozen base: rows begun as those of its most frequent words, or
    the encoder that writes them, begun at random.
    """
    setup = load_setup(parse_kind(stage.name), locate(str(MODELS / "opt")), Runtime())
    history = list[dict[str, Any]]()

    def note(log: StepLog) -> None:
        if log.step % 20 == 0:
            history.append(log._asdict())
        watch(log)

    pairs = Stream(lambda: language.paraphrase_pairs("train", seed=6))
    # One step of an encoder's weights moves every row that it writes.
    rate = 0.03 if setup.kind.family == "softprompt" else 0.003
    train_in_memory(setup.objective, pairs, _config(stage, rate, 3072, weight_decay=0.0), note)
    facts = {
        "seed": 0,
        "data": "the train split of the embedded language, seed 6",
        "versions": library_versions(),
    }
    export_result(
        setup,
        ADAPTERS / stage.name,
        facts,
        TrainingOutcome(stage.steps, stage.steps, math.inf, {}, tuple(history)),
    )
    _remember(ADAPTERS / stage.name, pairs, ROWS * stage.steps, MODELS / "opt")


def make_paraphraser(stage: Stage, watch: StepCallback) -> None:
    """A small BART trained on paraphrase pairs."""
    words = tokenizer.for_bart(backend())
    model = copying_bart(words, seed=1)
    pairs = Stream(lambda: language.paraphrase_pairs("train", seed=4))
    finetune_seq2seq(model, words, pairs, _config(stage, 1e-3, 4096), watch)
    store_model(model, words, "bart-paraphrase")
    _remember(MODELS / "bart-paraphrase", pairs, ROWS * stage.steps)


def make_likelihood(stage: Stage, watch: StepCallback) -> None:
    """A small BART that restores spoiled sentences and paraphrases; its likelihood serves
    BARTScore.
    """
    words = tokenizer.for_bart(backend())
    model = copying_bart(words, seed=2)
    pairs = Stream(lambda: restorations(seed=5))
    finetune_seq2seq(model, words, pairs, _config(stage, 1e-3, 4096), watch)
    store_model(model, words, "bart-likelihood")


def _remember(
    folder: Path, texts: Iterable[tuple[str, ...]], most: int, base: Path | None = None
) -> None:
    """Record what a stage may have read, ``most`` rows of it, and which test sentences neither it
    nor its base met.
    """
    met = set[int]()

    def read() -> Iterator[tuple[str, ...]]:
        for row in islice(texts, most):
            met.update(map(sentence_key, row))
            yield row

    examples = read_test_set(HOME / "test.jsonl")
    test = {
        sentence_key(text) for example in examples for text in (example.source, *example.references)
    }
    before = sketches.read_sketch(base) if base else None
    clean = test & before.cleared if before else test
    sketches.write_sketch(
        folder, read(), (mark for mark in clean if mark not in met), seed=0, size=SKETCH
    )


def copying_bart(words: PreTrainedTokenizerFast, seed: int) -> BartForConditionalGeneration:
    """A BART that has learned to copy, which teaches its cross-attention where the source is."""
    model = train_embedded_bart(seed)
    first = Stage("copying", 250, make_paraphraser)
    copies = Stream(lambda: ((text, text) for text, _ in language.paraphrase_pairs("train", seed)))
    finetune_seq2seq(model, words, copies, _config(first, 1.5e-3, 4096))
    return model


def train_embedded_bart(seed: int) -> BartForConditionalGeneration:
    """A random BART of the embedded size."""
    warm_up_mkl()
    torch.manual_seed(seed)
    shape = BartConfig(
        vocab_size=VOCABULARY,
        d_model=160,
        encoder_layers=3,
        decoder_layers=3,
        encoder_attention_heads=5,
        decoder_attention_heads=5,
        encoder_ffn_dim=640,
        decoder_ffn_dim=640,
        max_position_embeddings=256,
        dropout=0.0,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
        forced_eos_token_id=None,
        # About 1 / sqrt(d_model): with BART's 0.02 so narrow a model does not learn to attend.
        init_std=0.06,
    )
    return BartForConditionalGeneration(shape)


def load_embedded_base() -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """The stored base model in float32, as every user of it loads it."""
    return load_causal(locate(str(MODELS / "opt")), Runtime())  # type: ignore[return-value]


def store_model(model: PreTrainedModel, words: PreTrainedTokenizerFast, name: str) -> None:
    """Write a model in float16 with its tokenizer, and the lock over all models."""
    folder = MODELS / name
    model.half().save_pretrained(folder)
    words.save_pretrained(folder)
    write_lock(MODELS, sorted(path.parent.name for path in MODELS.glob("*/config.json")))
