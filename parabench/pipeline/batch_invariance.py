"""Does the batch size change the text?

Greedy texts at several batch sizes are compared with those of one row at a time. In float32 on a
CPU they must agree. Elsewhere sums are taken in another order for another batch, a near tie may
fall the other way, and the rate is measured and not promised. As a control, texts must differ where
every row attends by its neighbour's mask, or the comparison could not have seen a fault (after
vLLM, tests/v1/determinism/test_batch_invariance.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from parabench.contracts import System, system_role
from parabench.pipeline.plan import RunPlan, RunRequest, make_plan

BATCH_SIZES = (1, 2, 7, 16)


@dataclass(frozen=True)
class BatchComparison:
    """The texts of one system at larger batch sizes against those at batch size 1.

    ``differing`` of ``compared`` texts differ; ``control``: how many differ by a wrong mask.
    """

    system: str
    differing: int
    compared: int
    control: int


def plans_by_batch_size(request: RunRequest) -> dict[int, RunPlan]:
    """The same greedy plan for every batch size; raises UserError as ``make_plan`` does."""
    suite = request.suite
    decoding = replace(suite.decoding, do_sample=False, num_beams=1, samples=1)
    greedy = suite.model_copy(update={"decoding": decoding})
    plans = {}
    for size in BATCH_SIZES:
        plans[size] = make_plan(replace(request, suite=greedy, batch_size=size))
    return plans


def compare_batch_sizes(plans: dict[int, RunPlan]) -> Iterator[BatchComparison]:
    """Compare each system that is no control.

    ``plans``: by batch size, the smallest first. Raises UserError where a file that a system needs
    is missing.
    """
    alone, *larger = plans.values()
    sources = [example.source for example in alone.data.examples]
    for name, system in alone.systems.items():
        if system_role(system) != "system":
            continue
        expected = _texts(system, sources)
        differing = 0
        for plan in larger:
            differing += _count_differing(expected, _texts(plan.systems[name], sources))
        # One row alone has no neighbour, so that only the larger batch can go wrong.
        with neighbours_mask():
            by_itself = _texts(system, sources)
            misled = _texts(larger[-1].systems[name], sources)
        control = _count_differing(by_itself, misled)
        yield BatchComparison(name, differing, len(larger) * len(sources), control)


def _texts(system: System, sources: Sequence[str]) -> list[str]:
    """All answers in the order of the sources."""
    answers = {}
    for batch in system.paraphrase(sources):
        for answer in batch:
            answers[answer.position] = answer.text
    return [answers[position] for position in range(len(sources))]


def _count_differing(one: Sequence[str], other: Sequence[str]) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))


@contextmanager
def neighbours_mask() -> Iterator[None]:
    """While open, every row attends by the mask of the row beside it.

    It is a fault that the comparison must see.
    """
    import torch.nn.functional as functional

    from parabench.inference import prefix_attention

    attention = functional.scaled_dot_product_attention
    cascade = prefix_attention.cascade_attention

    # Masks have the batch as their first axis: rolled by one, each row gets its neighbour's.
    def misled(query: Any, key: Any, value: Any, attn_mask: Any = None, **settings: Any) -> Any:
        rolled = None if attn_mask is None else attn_mask.roll(1, 0)
        return attention(query, key, value, rolled, **settings)

    def misled_step(
        query: Any,
        shared: Any,
        own: Any,
        unseen: Any,
        later: Any,
    ) -> Any:
        return cascade(query, shared, own, unseen.roll(1, 0), later.roll(1, 0))

    functional.scaled_dot_product_attention = misled  # type: ignore[assignment]
    prefix_attention.cascade_attention = misled_step
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = attention
        prefix_attention.cascade_attention = cascade
