"""The four trainers learn, touch only what they should, and see target tokens only."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from parabench.contracts import UserError
from parabench.prompts import templates
from parabench.prompts.initialisers import sampled_vocabulary
from parabench.prompts.rendering import render
from parabench.training import encoding
from parabench.training.batches import Batching
from parabench.training.config import TrainingConfig
from parabench.training.loop import StepLog
from parabench.training.recipes import finetune_causal, finetune_seq2seq, pretrain
from tests.support import tiny
from tests.support.prompts import tune_prompt

PAIRS = [(a, b) for a in tiny.SENTENCES[:4] for b in tiny.SENTENCES[:4] if a < b]
QUICK = TrainingConfig(steps=12, learning_rate=1e-2, batching=Batching(rows=4, window=4))


def load(loader: type, folder: Path) -> tuple:
    return loader.from_pretrained(folder, dtype=torch.float32), AutoTokenizer.from_pretrained(
        folder
    )


def test_pretraining_and_fine_tuning_lower_the_loss(tmp_path: Path) -> None:
    model, tokenizer = load(AutoModelForCausalLM, tiny.opt(tmp_path / "opt"))
    logs: list[StepLog] = []
    pretrain(model, tokenizer, list(tiny.SENTENCES), QUICK, logs.append)
    finetune_causal(model, tokenizer, PAIRS, QUICK, watch=logs.append)
    model, tokenizer = load(AutoModelForSeq2SeqLM, tiny.bart(tmp_path / "bart"))
    finetune_seq2seq(model, tokenizer, PAIRS, QUICK, logs.append)
    assert [log.step for log in logs] == [*range(1, 13)] * 3
    for run in (logs[:12], logs[12:24], logs[24:]):
        assert min(log.loss for log in run[-3:]) < 0.8 * run[0].loss


def test_only_the_prompt_is_trained(tmp_path: Path) -> None:
    model, tokenizer = load(AutoModelForCausalLM, tiny.opt(tmp_path, dropout=0.5))
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    logs: list[StepLog] = []
    constant = dataclasses.replace(QUICK, learning_rate=0.1, schedule="constant")
    prompt = tune_prompt(
        model, tokenizer, PAIRS, 5, sampled_vocabulary(0), constant, watch=logs.append
    )
    start = sampled_vocabulary(0)(model.get_input_embeddings().weight, 5)
    assert prompt.embedding.shape == start.shape
    assert not torch.equal(prompt.embedding, start)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert min(log.loss for log in logs[-3:]) < logs[0].loss


@pytest.mark.parametrize("marked", ["<|VIRTUAL_PROMPT_0|>", ""])
def test_rows_are_the_templates_own_rendering(marked: str, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny.opt(tmp_path))
    text = f"{marked}Say {{source}} again<|VIRTUAL_PROMPT_{1 if marked else 0}|>: {{target}}"
    splits = (3, 2) if marked else (2,)
    template = templates.Template("task", text, sum(splits), splits, None, "target", True)
    rows = encoding.causal_encoder(tokenizer, template)(PAIRS)
    for row, (source, target) in zip(rows, PAIRS, strict=True):
        rendered = render(
            template, {"source": source, "target": target}, tokenizer, 128, training=True
        )
        lead = encoding.leading_virtual_tokens(template)
        assert lead == (3 if marked else 0)
        assert row.source == list(rendered.ids[lead : rendered.answer_start])
        assert row.target == list(rendered.ids[rendered.answer_start :])


def test_documents_pack_and_pairs_smuggle_no_special_tokens(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny.opt(tmp_path))
    one, two = (
        tokenizer(text, add_special_tokens=False).input_ids for text in ("A river.", "A dog.")
    )
    assert encoding.document_encoder(tokenizer)(["A river.</s>A dog."]) == [
        ([2], [*one, 2, *two, 2])
    ]
    smuggler = [("A</s>B", "C</s>D")]
    (row,) = encoding.causal_encoder(tokenizer, templates.paraphrase_template(0))(smuggler)
    assert 2 not in [*row.source[1:], *row.target[:-1]]
    (row,) = encoding.seq2seq_encoder(tiny.tokenizer("<s> $A </s>"))(smuggler)
    assert 2 not in [*row.source[1:-1], *row.target[1:-1]]


def test_a_loss_on_the_question_is_refused(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny.opt(tmp_path))
    asking = dataclasses.replace(templates.paraphrase_template(3), answer_only_loss=False)
    with pytest.raises(UserError, match="answer_only_loss"):
        encoding.causal_encoder(tokenizer, asking)


def test_rows_beyond_the_models_positions_are_counted(tmp_path: Path) -> None:
    model, tokenizer = load(AutoModelForCausalLM, tiny.opt(tmp_path))
    pairs = [*PAIRS, ("word " * 200, "long")]
    one_epoch = dataclasses.replace(QUICK, batching=Batching(rows=4, epochs=1))
    progress = finetune_causal(model, tokenizer, pairs, one_epoch)
    assert progress.skipped == {"longer than the limit": 1}
