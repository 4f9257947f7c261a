"""Does the batch size change the text? Greedy texts at several sizes are compared with those of one
row at a time.

In float32 on a CPU they must agree. Elsewhere sums are taken in another order for another batch, a
near tie may fall the other way, and the rate is measured and not promised. Where every row attends
by its neighbour's mask texts must differ, or the comparison could not have seen a fault (after
vLLM, tests/v1/determinism/test_batch_invariance.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from parabench.contracts import System, system_role
from parabench.pipeline import plan as planning
from parabench.pipeline.plan import RunPlan, RunRequest

BATCH_SIZES = (1, 2, 7, 16)


@dataclass(frozen=True)
class BatchComparison:
    """One system: how many texts of how many differ from those of batch size 1, and how many by a
    wrong mask.
    """

    system: str
    differing: int
    compared: int
    control: int


def plans_by_batch_size(request: RunRequest) -> dict[int, RunPlan]:
    """The same greedy plan for every batch size."""
    decoding = replace(request.suite.decoding, do_sample=False, num_beams=1, samples=1)
    greedy = replace(request, suite=request.suite.model_copy(update={"decoding": decoding}))
    return {size: planning.make_plan(replace(greedy, batch_size=size)) for size in BATCH_SIZES}


def compare_batch_sizes(planned: dict[int, RunPlan]) -> Iterator[BatchComparison]:
    """Each system that is no control, compared; UserError where a file that it needs is missing."""
    alone, *larger = planned.values()
    sources = [example.source for example in alone.data.examples]
    for name, system in alone.systems.items():
        if system_role(system) != "system":
            continue
        expected = _texts(system, sources)
        differing = sum(
            _differing(expected, _texts(plan.systems[name], sources)) for plan in larger
        )
        with neighbours_mask():
            control = _differing(_texts(system, sources), _texts(larger[-1].systems[name], sources))
        yield BatchComparison(name, differing, len(larger) * len(sources), control)


def _texts(system: System, sources: Sequence[str]) -> list[str]:
    """All answers in the order of the sources."""
    answers = {
        answer.position: answer.text for batch in system.paraphrase(sources) for answer in batch
    }
    return [answers[position] for position in range(len(sources))]


def _differing(one: Sequence[str], other: Sequence[str]) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))


@contextmanager
def neighbours_mask() -> Iterator[None]:
    """While open, every row attends by the mask of the row beside it: a fault that the comparison
    must see.
    """
    import torch.nn.functional as functional

    from parabench.inference import prefix_attention

    attention, cascaded = (
        functional.scaled_dot_product_attention,
        prefix_attention.cascade_attention,
    )

    def misled(query: Any, key: Any, value: Any, attn_mask: Any = None, **settings: Any) -> Any:
        return attention(
            query, key, value, None if attn_mask is None else attn_mask.roll(1, 0), **settings
        )

    def misled_step(query: Any, shared: Any, own: Any, unseen: Any, later: Any) -> Any:
        return cascaded(query, shared, own, unseen.roll(1, 0), later.roll(1, 0))

    functional.scaled_dot_product_attention = misled  # type: ignore[assignment]
    prefix_attention.cascade_attention = misled_step
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = attention
        prefix_attention.cascade_attention = cascaded
