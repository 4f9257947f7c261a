"""On real weights: conversion is exact, texts are transformers' and PEFT's, scores are those of
the outside authorities.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from parabench.scorers import bertscore, fluency
from safetensors.numpy import load_file

from parabench.contracts import BuildContext, Decoding, Example, Runtime
from parabench.inference.decoding import decode_causal
from parabench.inference.prompt_ids import PromptIds
from parabench.models.checkpoints import checkpoint_folder, checkpoint_source
from parabench.models.local import Checkpoint
from parabench.prompts import adapters
from parabench.prompts.soft import vocabulary_rows
from parabench.prompts.templates import paraphrase_template
from tests.support import gguf_files

pytestmark = pytest.mark.real

SENTENCES = (
    "Nobody knew why the train had stopped between two stations.",
    "She bought seven books on the third of May, 1998.",
    "The rain ruined the picnic.",
    "Although he was tired, the driver went on until midnight, and then slept in his car.",
)
END = 2
"""``<|im_end|>``: SmolLM2's end of text and padding."""
DECODING = Decoding(max_new_tokens=24)
PROMPT_TOKENS = 20


def zeroshot_ids(tokenizer: Any) -> list[tuple[int, ...]]:
    return [
        tuple(tokenizer(f"Sentence: {sentence}\nParaphrase:").input_ids) for sentence in SENTENCES
    ]


def by_us(model: Any, rows: list[PromptIds]) -> list[tuple[int, ...]]:
    batches = decode_causal(model, rows, DECODING, Runtime(), {END}, END)
    return [done.ids for done in sorted(done for batch in batches for done in batch)]


def generated(model: Any, rows: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """What generate writes, the rows padded on the left where there are several."""
    longest = max(map(len, rows))
    padding = [longest - len(row) for row in rows]
    ids = torch.tensor([[END] * pads + [*row] for pads, row in zip(padding, rows, strict=True)])
    mask = torch.tensor([[0] * pads + [1] * (longest - pads) for pads in padding])
    made = model.generate(
        input_ids=ids, attention_mask=mask, max_new_tokens=24, min_new_tokens=1, do_sample=False,
        eos_token_id=END, pad_token_id=END,
    )  # fmt: skip
    written = [row[longest:].tolist() for row in made]
    return [tuple(row[: row.index(END)] if END in row else row) for row in written]


def test_conversion_is_exact(smollm2: Checkpoint) -> None:
    """Bit for bit what gguf-py dequantises, in llama's order of the rows of queries and keys."""
    converted = load_file(checkpoint_folder(smollm2) / "model.safetensors")
    expected = gguf_files.weights(checkpoint_source(smollm2), heads=9, key_heads=3)
    assert converted.keys() == expected.keys()
    for name, values in expected.items():
        assert np.array_equal(converted[name], values), name


def test_greedy_texts_are_those_of_generate(loaded: Any) -> None:
    model, tokenizer = loaded
    rows = zeroshot_ids(tokenizer)
    ours = by_us(model, [PromptIds(ids) for ids in rows])
    assert ours == [generated(model, [row])[0] for row in rows]
    assert ours == generated(model, rows)
    assert len(set(ours)) == len(ours)


def test_a_soft_prompt_writes_what_peft_writes(
    loaded: Any, smollm2: Checkpoint, tmp_path: Path, recwarn: Any
) -> None:
    """Row by row. PEFT drops position ids of rows padded on the left (it warns so), which on a
    model with rotary positions moves their text away from its prompt: in a batch, only a row
    without padding is to be compared.
    """
    peft = pytest.importorskip("peft", reason="the peft extra is not installed")
    model, tokenizer = loaded
    words = tokenizer("Rewrite the sentence below in other words, keeping its meaning.").input_ids
    rows = torch.tensor([*words, *words])[:PROMPT_TOKENS]
    noise = torch.randn(PROMPT_TOKENS, 576, generator=torch.Generator().manual_seed(0))
    prompt = vocabulary_rows(model)[rows] + 0.02 * noise
    base = adapters.BaseIdentity.of(smollm2)
    facts = adapters.AdapterFacts(paraphrase_template(PROMPT_TOKENS), base)
    adapters.save_adapter(tmp_path, prompt, facts)
    texts = zeroshot_ids(tokenizer)
    virtual = tuple(range(-1, -1 - PROMPT_TOKENS, -1))
    ours = by_us(model, [PromptIds((*virtual, *text), prompt) for text in texts])
    theirs = peft.PeftModel.from_pretrained(model, tmp_path).eval()
    assert ours == [generated(theirs, [text])[0] for text in texts]
    assert ours != by_us(model, [PromptIds(text) for text in texts])
    longest = max(range(len(texts)), key=lambda place: len(texts[place]))
    assert generated(theirs, texts)[longest] == ours[longest]


def test_bertscore_is_that_of_bert_score(minilm: Checkpoint) -> None:
    """Zhang et al. 2020, by bert-score 0.3.13, on layer 6 of MiniLM."""
    from bert_score import score

    folder = str(checkpoint_folder(minilm))
    texts = [*SENTENCES[1:], SENTENCES[0]]
    texts[2] = "Nobody could say why the train stood still between stations."
    examples = [Example(str(at), text, (text,)) for at, text in enumerate(SENTENCES)]
    context = BuildContext(options={"model": folder, "layers": 6}, sources=SENTENCES)
    scorer = bertscore.build("", context)
    for example, text in zip(examples, texts, strict=True):
        ours = scorer.combine(scorer.measure([example], [text]))
        parts = score([text], [list(example.references)], model_type=folder, num_layers=6)
        precision, recall, fmeasure = (part.item() for part in parts)
        np.testing.assert_allclose(ours, [fmeasure, precision, recall], rtol=0, atol=2e-6)


def test_fluency_is_a_plain_log_softmax(loaded: Any, smollm2: Checkpoint) -> None:
    """Begun with the document separator, the end scored: one forward of transformers a text."""
    model, tokenizer = loaded
    name = f"{smollm2.path}#sha256={smollm2.digest}"
    options = {"model": name, "begin": "<|endoftext|>"}
    scorer = fluency.build("", BuildContext(options=options))
    examples = [Example(str(at), text, (text,)) for at, text in enumerate(SENTENCES)]
    begin = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    for example in examples:
        ids = [begin, *tokenizer(example.source).input_ids, END]
        with torch.no_grad():
            chances = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(dim=1)
        steps = torch.arange(len(ids) - 1)
        plain = -chances[steps, ids[1:]].mean().item()
        ours = scorer.combine(scorer.measure([example], [example.source]))
        assert float(ours[0]) == pytest.approx(plain, abs=5e-5)
