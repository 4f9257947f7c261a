"""Losses and gradients against transformers' own ``labels=`` loss on the same rows, full logits and
all.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from parabench.contracts import UserError
from parabench.training import head_loss, losses
from parabench.training.losses import TrainingRow, causal_loss, prompt_loss, seq2seq_loss
from tests.support import architectures, tiny

ROWS = [
    TrainingRow([2, 40, 41, 42, 7], [50, 51, 52, 2]),
    TrainingRow([2, 9], [60, 2]),
    TrainingRow([2, 30, 31], [2]),
]


def causal(kind: str, folder: Path) -> torch.nn.Module:
    return AutoModelForCausalLM.from_pretrained(tiny.CAUSAL[kind](folder), dtype=torch.float32)


def labelled(rows: list[TrainingRow]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Right-padded ids, mask and labels as the transformers documentation has them."""
    longest = max(len(row.source) + len(row.target) for row in rows)
    pads = [longest - len(row.source) - len(row.target) for row in rows]
    ids = [[*row.source, *row.target, *[1] * pad] for row, pad in zip(rows, pads, strict=True)]
    mask = [[1] * (longest - pad) + [0] * pad for pad in pads]
    labels = [
        [*[-100] * len(row.source), *row.target, *[-100] * pad]
        for row, pad in zip(rows, pads, strict=True)
    ]
    return torch.tensor(ids), torch.tensor(mask), torch.tensor(labels)


def assert_equal_gradients(
    model: torch.nn.Module, ours: torch.Tensor, theirs: torch.Tensor
) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    parameters = [p for p in model.parameters() if p.requires_grad]
    mine = torch.autograd.grad(ours, parameters, allow_unused=True)
    for parameter, grad, expected in zip(
        parameters, mine, torch.autograd.grad(theirs, parameters, allow_unused=True), strict=True
    ):
        zero = torch.zeros_like(parameter)
        torch.testing.assert_close(
            zero if grad is None else grad,
            zero if expected is None else expected,
            rtol=1e-5,
            atol=1e-5,
        )


@pytest.mark.parametrize("kind", ["opt", "opt350", "gpt2", "llama", "qwen2"])
@pytest.mark.parametrize("chunk", [1, 1 << 24])
def test_causal_loss_and_gradients_equal_transformers(
    kind: str, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(head_loss._CHUNK_ELEMENTS, "cpu", chunk)
    model = causal(kind, tmp_path)
    ids, mask, labels = labelled(ROWS)
    assert_equal_gradients(
        model,
        causal_loss(model, ROWS),
        model(input_ids=ids, attention_mask=mask, labels=labels).loss,
    )


@pytest.mark.parametrize("kind", ["opt", "opt350", "gpt2", "llama", "qwen2"])
def test_prompt_loss_and_gradient_equal_a_plain_prefix(kind: str, tmp_path: Path) -> None:
    model = causal(kind, tmp_path).requires_grad_(False).eval()
    ids, mask, labels = labelled(ROWS)
    embed = model.get_input_embeddings()
    prompt = torch.nn.Parameter(
        torch.randn(7, embed.weight.shape[1], generator=torch.Generator().manual_seed(0))
    )
    theirs = model(
        inputs_embeds=torch.cat([prompt.expand(len(ROWS), -1, -1), embed(ids)], dim=1),
        attention_mask=torch.cat([torch.ones(len(ROWS), 7, dtype=torch.long), mask], dim=1),
        labels=torch.cat([torch.full((len(ROWS), 7), -100), labels], dim=1),
    ).loss
    assert_equal_gradients(
        torch.nn.ParameterList([prompt]), prompt_loss(model, prompt, ROWS), theirs
    )


@pytest.mark.parametrize("name", ["gemma2", "gpt_neox", "roberta", "stablelm"])
def test_prompt_loss_of_other_architectures_is_theirs(name: str) -> None:
    model = architectures.build(name)
    rows = [TrainingRow([3, 40, 7], [50, 51, 2]), TrainingRow([3], [60, 2])]
    ids, mask, labels = labelled(rows)
    embedded = model.get_input_embeddings()(ids)
    prompt = torch.nn.Parameter(torch.randn(7, 32, generator=torch.Generator().manual_seed(0)))
    theirs = model(
        inputs_embeds=torch.cat([prompt.expand(2, -1, -1), embedded], dim=1),
        attention_mask=torch.cat([torch.ones(2, 7, dtype=torch.long), mask], dim=1),
        labels=torch.cat([torch.full((2, 7), -100), labels], dim=1),
    ).loss
    assert_equal_gradients(
        torch.nn.ParameterList([prompt]), prompt_loss(model, prompt, rows), theirs
    )


@pytest.mark.parametrize("name", ["gemma2", "roberta"])
def test_fine_tuning_loss_counts_what_the_head_does(name: str) -> None:
    model = architectures.build(name).requires_grad_(True)
    rows = [TrainingRow([3, 40, 7], [50, 51, 2]), TrainingRow([3], [60, 2])]
    ids, mask, labels = labelled(rows)
    theirs = model(input_ids=ids, attention_mask=mask, labels=labels).loss
    torch.testing.assert_close(causal_loss(model, rows), theirs, rtol=1e-5, atol=1e-5)


def test_training_behind_ids_is_refused_in_words() -> None:
    model = architectures.build("deepseek_v4")
    prompt = torch.nn.Parameter(torch.randn(7, 32))
    with pytest.raises(UserError, match="behind a soft prompt"):
        prompt_loss(model, prompt, [TrainingRow([3, 40], [50, 2])])


@pytest.mark.parametrize("kind", ["opt", "opt350", "llama", "qwen2"])
def test_groups_and_chunks_leave_loss_and_gradient(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One group against a row a group and a target a chunk; where nothing is trained, the loss
    alone.
    """
    model = causal(kind, tmp_path).requires_grad_(False).eval()
    width = model.get_input_embeddings().weight.shape[1]
    prompt = torch.nn.Parameter(torch.randn(7, width, generator=torch.Generator().manual_seed(0)))
    whole = prompt_loss(model, prompt, ROWS)
    (gradient,) = torch.autograd.grad(whole, prompt)
    monkeypatch.setitem(losses.GROUP_TOKENS, "cpu", 1)
    monkeypatch.setitem(head_loss._CHUNK_ELEMENTS, "cpu", 1)
    assert [len(group) for group in losses._groups(ROWS, 1)] == [1, 1, 1]
    parts = prompt_loss(model, prompt, ROWS)
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(torch.autograd.grad(2 * parts, prompt)[0], 2 * gradient)
    with torch.no_grad():
        alone = prompt_loss(model, prompt, ROWS)
    torch.testing.assert_close(alone, whole.detach())
    assert not alone.requires_grad


def test_a_prompt_that_an_encoder_writes_passes_its_gradient_on(tmp_path: Path) -> None:
    model = causal("opt", tmp_path).requires_grad_(False).eval()
    free = torch.randn(7, 32, generator=torch.Generator().manual_seed(0))
    prompt, scale = torch.nn.Parameter(free.clone()), torch.nn.Parameter(torch.ones(()))
    prompt_loss(model, prompt, ROWS).backward()
    prompt_loss(model, free * scale, ROWS).backward()
    torch.testing.assert_close(scale.grad, (prompt.grad * free).sum())


def test_attention_of_another_kind_takes_the_plain_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = causal("opt", tmp_path).requires_grad_(False).eval()
    prompt = torch.nn.Parameter(torch.randn(7, 32, generator=torch.Generator().manual_seed(0)))
    shared = prompt_loss(model, prompt, ROWS)
    monkeypatch.setattr(losses, "runs_packed", lambda model: False)
    assert_equal_gradients(
        torch.nn.ParameterList([prompt]), prompt_loss(model, prompt, ROWS), shared
    )


def test_autocast_in_bf16_stays_near(tmp_path: Path) -> None:
    model = causal("opt", tmp_path).requires_grad_(False).eval()
    prompt = torch.nn.Parameter(torch.randn(7, 32, generator=torch.Generator().manual_seed(0)))
    exact = torch.autograd.grad(prompt_loss(model, prompt, ROWS), prompt)[0]
    with torch.autocast("cpu", torch.bfloat16):
        loss = prompt_loss(model, prompt, ROWS)
    (rough,) = torch.autograd.grad(loss, prompt)
    assert torch.nn.functional.cosine_similarity(rough.flatten(), exact.flatten(), dim=0) > 0.99


def test_virtual_tokens_inside_text_equal_embeddings_there(tmp_path: Path) -> None:
    model = causal("opt", tmp_path).requires_grad_(False).eval()
    rows = [TrainingRow([2, 40, -2, -3, 7], [50, 51, 2]), TrainingRow([2, 9, -2, -3], [60, 2])]
    prompt = torch.nn.Parameter(torch.randn(3, 32, generator=torch.Generator().manual_seed(0)))
    plain = [
        TrainingRow([7 if token < 0 else token for token in row.source], row.target) for row in rows
    ]
    ids, mask, labels = labelled(plain)
    embedded = model.get_input_embeddings()(ids)
    for line, row in enumerate(rows):
        for place, token in enumerate(row.source):
            if token < 0:
                embedded = embedded.index_put(
                    (torch.tensor(line), torch.tensor(place)), prompt[-1 - token]
                )
    theirs = model(
        inputs_embeds=torch.cat([prompt[:1].expand(2, -1, -1), embedded], dim=1),
        attention_mask=torch.cat([torch.ones(2, 1, dtype=torch.long), mask], dim=1),
        labels=torch.cat([torch.full((2, 1), -100), labels], dim=1),
    ).loss
    assert_equal_gradients(
        torch.nn.ParameterList([prompt]), prompt_loss(model, prompt, rows, lead=1), theirs
    )


def test_a_prompt_of_no_rows_leaves_the_loss_unchanged(tmp_path: Path) -> None:
    model = causal("opt", tmp_path).requires_grad_(False).eval()
    torch.testing.assert_close(
        prompt_loss(model, torch.empty(0, 32), ROWS), causal_loss(model, ROWS)
    )


def test_seq2seq_loss_and_gradients_equal_transformers(tmp_path: Path) -> None:
    model = AutoModelForSeq2SeqLM.from_pretrained(tiny.bart(tmp_path), dtype=torch.float32)
    rows = [
        TrainingRow([0, 40, 41, 42, 2], [0, 50, 51, 2]),
        TrainingRow([0, 9, 2], [0, 60, 61, 62, 63, 2]),
    ]
    model.final_logits_bias.normal_(generator=torch.Generator().manual_seed(0))
    sources = torch.tensor([[0, 40, 41, 42, 2], [0, 9, 2, 1, 1]])
    labels = torch.tensor([[0, 50, 51, 2, -100, -100], [0, 60, 61, 62, 63, 2]])
    theirs = model(input_ids=sources, attention_mask=(sources != 1).long(), labels=labels).loss
    assert_equal_gradients(model, seq2seq_loss(model, rows), theirs)


def test_a_row_without_source_or_target_is_refused(tmp_path: Path) -> None:
    model = causal("opt", tmp_path)
    for row in (TrainingRow([], [5, 2]), TrainingRow([2], [])):
        with pytest.raises(ValueError, match="at least one"):
            causal_loss(model, [row])
