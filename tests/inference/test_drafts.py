"""Drafts change the number of steps and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from parabench.contracts import Decoding, Runtime
from parabench.inference import continuous_batching, decode_step
from parabench.inference.continuous_batching import Completion
from parabench.inference.decoding import decode_causal
from parabench.inference.drafts import draft
from parabench.inference.prompt_ids import PromptIds
from tests.support.mixed import mixed_rows

Load = Callable[[str], tuple[Any, Any]]
EOS = frozenset({2, 9})
DECODING = Decoding(max_new_tokens=24)
KINDS = {
    "greedy": DECODING,
    "fussy": replace(DECODING, min_new_tokens=5, repetition_penalty=1.1),
    "sampled": replace(DECODING, do_sample=True, temperature=0.3, top_k=3),
}


def test_what_followed_the_last_two_tokens() -> None:
    assert draft([7, 8, 1, 2, 3, 4, 1, 2], 5) == [3, 4, 1, 2]
    assert draft([1, 2, 3, 1, 2, 4, 1, 2], 1) == [4]  # the last time
    assert draft([1, 2, 3, 2, 1], 5) == []
    assert draft([5, 5, 5], 5) == [5]
    assert draft([1, 2, -1, 3, 1, 2], 5) == []  # a virtual token is never written
    assert draft([1, 2, 3, 1, 2], 0) == []
    assert draft([4], 5) == draft([], 5) == []


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each step was fed."""
    seen = list[int]()
    original = decode_step.Stepper.step

    def counting(self: Any, feeds: Any) -> Any:
        seen.append(sum(map(len, feeds)))
        return original(self, feeds)

    monkeypatch.setattr(decode_step.Stepper, "step", counting)
    return seen


def decoded(
    model: Any, rows: list[PromptIds], decoding: Decoding, slots: int | None = 3
) -> list[Completion]:
    runtime = Runtime(batch_size=slots, seed=1)
    batches = decode_causal(model, rows, decoding, runtime, EOS, pad=1)
    return sorted(done for batch in batches for done in batch)


def repeating(model: Any, tokenizer: Any) -> list[PromptIds]:
    """Prompts whose words come twice, as random models then write them again and again."""
    return [PromptIds(row.ids * 2, row.virtual) for row in mixed_rows(model, tokenizer)[::3]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["opt", "llama", "gpt2"])
def test_texts_are_those_without_drafts(
    causal: Load, name: str, kind: str, steps: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokenizer = causal(name)
    rows = repeating(model, tokenizer)
    for slots in (1, 3):
        steps.clear()
        with_drafts = decoded(model, rows, KINDS[kind], slots)
        taken = len(steps)
        with monkeypatch.context() as patch:
            patch.setattr(continuous_batching, "DRAFTED_ROWS", {"cpu": 0})
            assert decoded(model, rows, KINDS[kind], slots) == with_drafts
        # a random Llama repeats itself too seldom to gain anything
        assert taken < len(steps) - taken or name == "llama"


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_a_draft_never_goes_beyond_the_limit(causal: Load, limit: int) -> None:
    model, tokenizer = causal("opt")
    rows = repeating(model, tokenizer)
    decoding = replace(DECODING, max_new_tokens=limit)
    whole = decoded(model, rows, DECODING)
    cut = decoded(model, rows, decoding)
    assert [one.ids for one in cut] == [one.ids[:limit] for one in whole]


def test_many_rows_have_no_drafts(causal: Load, steps: list[int]) -> None:
    model, tokenizer = causal("opt")
    rows = [*repeating(model, tokenizer), *repeating(model, tokenizer)][:9]
    decoded(model, rows, replace(DECODING, min_new_tokens=24), slots=9)
    assert set(steps) == {9}


@pytest.mark.parametrize("name", ["opt", "llama"])
def test_steps_of_fixed_shapes_hold_drafts(
    causal: Load, name: str, monkeypatch: pytest.MonkeyPatch, steps: list[int]
) -> None:
    """What CUDA captures as a graph, with places for a draft in every slot."""
    model, tokenizer = causal(name)
    rows = repeating(model, tokenizer)
    expected = decoded(model, rows, DECODING)
    monkeypatch.setattr(decode_step, "STATIC_SHAPE_DEVICES", ("cpu",))
    monkeypatch.setattr(continuous_batching, "STATIC_SHAPE_DEVICES", ("cpu",))
    steps.clear()
    assert decoded(model, rows, DECODING) == expected
    assert max(steps) > 3
    steps.clear()
    monkeypatch.setattr(continuous_batching, "DRAFTED_ROWS", {"cpu": 2})
    assert decoded(model, rows, DECODING) == expected
    assert max(steps) == 3
