"""Packed log-likelihoods equal a plain log-softmax of one pair at a time; controls show that they
could differ.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch

from parabench.contracts import Runtime, UserError
from parabench.inference import likelihood
from parabench.inference import packed_bart as packed
from parabench.inference.attention import block_diagonal
from parabench.inference.batching import FITTING_ATTRIBUTE
from parabench.inference.likelihood import causal_log_likelihood, seq2seq_log_likelihood
from parabench.inference.packed_bart import SourceTarget
from parabench.inference.prompt_ids import PromptIds
from tests.support import tiny
from tests.support.mixed import embeddings, mixed_rows

RUNTIME = Runtime()
Load = Callable[[str], tuple[Any, Any]]


def texts(tokenizer: Any) -> list[tuple[int, ...]]:
    return [tuple(tokenizer(sentence).input_ids) for sentence in tiny.SENTENCES]


def plain_seq2seq(model: Any, source: tuple[int, ...], target: tuple[int, ...]) -> float:
    """BARTScore's definition: labels are the target as tokenised, the decoder is fed it shifted
    right.
    """
    if not target:
        return 0.0
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([source]), labels=torch.tensor([target])).logits[0]
    return logits.log_softmax(-1)[range(len(target)), list(target)].sum().item()


def plain_causal(model: Any, row: PromptIds, target: tuple[int, ...]) -> float:
    with torch.no_grad():
        logits = model(
            inputs_embeds=embeddings(model, PromptIds(row.ids + target, row.virtual))
        ).logits[0]
    scored = range(len(row.ids) - 1, len(row.ids) + len(target) - 1)
    return logits.log_softmax(-1)[scored, list(target)].sum().item()


def pairs(tokenizer: Any) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Every source with four targets, one of them empty, in no order."""
    ids = texts(tokenizer)
    crossed = [(source, target) for source in ids for target in (*ids[:3], ())]
    return crossed[1::2] + crossed[::2]


def branching_pairs(tokenizer: Any) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Targets that begin alike, end early, are repeated, and part at every place."""
    first, second, third, *_ = texts(tokenizer)
    targets = [first, first[:-2], first, first[:1]]
    for place in range(1, min(len(first), len(second)) - 1):
        targets.append((*first[:place], second[place], *second[place + 1 :]))
    return [(source, target) for target in targets for source in (third, second)]


@pytest.mark.parametrize("make_pairs", [pairs, branching_pairs])
@pytest.mark.parametrize("size", [None, 1, 5])
def test_bart_equals_one_pair_at_a_time(
    bart: tuple[Any, Any], size: int | None, make_pairs: Callable[[Any], list[SourceTarget]]
) -> None:
    model, tokenizer = bart
    work = make_pairs(tokenizer)
    found = seq2seq_log_likelihood(model, work, Runtime(batch_size=size))
    expected = [(plain_seq2seq(model, *pair), len(pair[1])) for pair in work]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert found.shape == (len(work), 2)


@pytest.mark.parametrize("name", tiny.CAUSAL)
def test_causal_equals_one_row_at_a_time(causal: Load, name: str) -> None:
    model, tokenizer = causal(name)
    rows = mixed_rows(model, tokenizer) * 2
    ids = texts(tokenizer)
    targets = [ids[index % 8][1 : index % 11] for index in range(len(rows))]
    found = causal_log_likelihood(model, rows, targets, RUNTIME)
    expected = [
        (plain_causal(model, row, target), len(target))
        for row, target in zip(rows, targets, strict=True)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_control_positions_or_borders_dropped_change_the_sums(
    bart: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokenizer = bart
    work = pairs(tokenizer)[:4]
    expected = seq2seq_log_likelihood(model, work, RUNTIME)
    with monkeypatch.context() as patch:
        patch.setattr(packed, "_positions", lambda *_: nullcontext())
        assert np.abs(seq2seq_log_likelihood(model, work, RUNTIME) - expected).max() > 0.1
    with monkeypatch.context() as patch:
        patch.setattr(
            packed,
            "block_diagonal",
            lambda queries, keys, *rest: block_diagonal(queries, [_all(keys)] * len(keys), *rest),
        )
        assert np.abs(seq2seq_log_likelihood(model, work, RUNTIME) - expected).max() > 0.1


def _all(keys: list[list[range]]) -> list[range]:
    return [span for spans in keys for span in spans]


def test_a_bias_of_the_head_counts(bart: tuple[Any, Any]) -> None:
    model, tokenizer = bart
    work = pairs(tokenizer)[:6]
    before = seq2seq_log_likelihood(model, work, RUNTIME)
    model.final_logits_bias.normal_(generator=torch.Generator().manual_seed(0))
    try:
        found = seq2seq_log_likelihood(model, work, RUNTIME)
        np.testing.assert_allclose(
            found[:, 0], [plain_seq2seq(model, *pair) for pair in work], rtol=1e-5
        )
    finally:
        model.final_logits_bias.zero_()
    assert np.abs(found - before).max() > 0.01


@pytest.mark.parametrize("shift", [200.0, -200.0, 60.0, -60.0])
def test_logits_beyond_float32s_exponentials_are_scored(
    bart: tuple[Any, Any], shift: float
) -> None:
    """A constant added to all logits changes no probability, though e to it overflows or
    vanishes.
    """
    model, tokenizer = bart
    work = pairs(tokenizer)
    expected = seq2seq_log_likelihood(model, work, RUNTIME)
    before = model.final_logits_bias.clone()
    try:
        model.final_logits_bias.fill_(shift)
        np.testing.assert_allclose(
            seq2seq_log_likelihood(model, work, RUNTIME), expected, rtol=1e-4
        )
    finally:
        model.final_logits_bias.copy_(before)


def test_bf16_stays_near_fp32(bart: tuple[Any, Any]) -> None:
    model, tokenizer = bart
    work = [pair for pair in pairs(tokenizer) if pair[1]]
    exact = seq2seq_log_likelihood(model, work, RUNTIME)
    try:
        rough = seq2seq_log_likelihood(model.bfloat16(), work, RUNTIME)
    finally:
        model.float()
    assert np.abs(rough - exact)[:, 0].max() / exact[:, 1].max() < 0.1


def test_out_of_memory_halves_the_tokens_of_a_batch(bart: tuple[Any, Any]) -> None:
    model, tokenizer = bart
    work = pairs(tokenizer)
    expected = seq2seq_log_likelihood(model, work, RUNTIME)
    seen = []

    def full(_: Any, arguments: Any, settings: dict[str, Any]) -> None:
        seen.append(settings["input_ids"].shape[1])
        if seen[-1] > 60:
            raise torch.OutOfMemoryError("full")

    hook = model.get_encoder().register_forward_pre_hook(full, with_kwargs=True)
    try:
        found = seq2seq_log_likelihood(model, work, RUNTIME)
        assert max(seen) > 60 >= seen[-1]
        seen.clear()
        again = seq2seq_log_likelihood(model, work, RUNTIME)
        assert max(seen) <= 60, "what fits was found out a second time"
    finally:
        hook.remove()
        vars(model).pop(FITTING_ATTRIBUTE)
    np.testing.assert_allclose([found, again], [expected] * 2, rtol=1e-5)


@pytest.mark.parametrize(("size", "tokens"), [(None, 1024), (None, 40), (1, 1024), (5, 1024)])
def test_each_source_is_encoded_once(
    bart: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch, size: int | None, tokens: int
) -> None:
    model, tokenizer = bart
    work = pairs(tokenizer) * 2
    monkeypatch.setitem(likelihood.TOKENS_PER_PASS, "cpu", tokens)
    passes = list[tuple[int, ...]]()

    def seen(_: Any, arguments: Any, settings: dict[str, Any]) -> None:
        passes.append(tuple(settings["input_ids"][0].tolist()))

    hook = model.get_encoder().register_forward_pre_hook(seen, with_kwargs=True)
    try:
        found = seq2seq_log_likelihood(model, work, Runtime(batch_size=size))
    finally:
        hook.remove()
    encoded = Counter(token for ids in passes for token in ids)
    once = Counter(token for source in {source for source, _ in work} for token in source)
    assert encoded == once
    if size is None:
        longest = max(map(len, texts(tokenizer)))
        assert max(map(len, passes)) <= max(tokens, 2 * longest)
    expected = [plain_seq2seq(model, *pair) for pair in work]
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-5)


def test_what_cannot_be_scored_is_said(bart: tuple[Any, Any], causal: Load) -> None:
    model, _ = bart
    with pytest.raises(UserError, match="row 1"):
        seq2seq_log_likelihood(model, [((0, 2), (0, 2)), ((0, 2), (0,) * 200)], RUNTIME)
    with pytest.raises(UserError, match="empty source"):
        seq2seq_log_likelihood(model, [((), (0, 2))], RUNTIME)
    with pytest.raises(UserError, match="empty prompt"):
        causal_log_likelihood(causal("opt")[0], [PromptIds(())], [(5,)], RUNTIME)
    with pytest.raises(UserError, match="architecture opt"):
        seq2seq_log_likelihood(causal("opt")[0], [((0, 2), (0, 2))], RUNTIME)
    assert seq2seq_log_likelihood(model, [], RUNTIME).shape == (0, 2)
