"""What speed is aimed at, and a line for each aim: the goal, what was reached, and whether that is
enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.race import Result

Results = Mapping[str, Sequence[Result]]


@dataclass(frozen=True)
class Target:
    """``ours`` in the race ``race`` is at least ``factor`` times as fast as ``peer``, and uses at
    most ``memory`` MB.

    ``share`` bounds the memory by the peer's instead.
    """

    work: str
    race: str
    peer: str
    ours: str = "parabench"
    factor: float = 0.0
    memory: float = 0.0
    share: float = 0.0


def _both(work: str, race: str, peer: str, single: float, half: float) -> list[Target]:
    return [
        Target(f"{work}, fp32", race, peer, factor=single),
        Target(f"{work}, bf16", race, peer, "parabench, bf16", half),
    ]


NEULAB = "neulab/BARTScore's loop, batch 4"
LOOP = "transformers loop, prefix cached, finished rows dropped, batch 32"
TARGETS = [
    *_both("BARTScore, pairs/s", "likelihood", NEULAB, 2.4, 7.0),
    *_both("BARTScore, pairs/s", "likelihood", "one pair at a time", 9.0, 25.0),
    Target("BARTScore, memory, fp32", "likelihood", "neulab/BARTScore's loop, batch 32", memory=60),
    Target(
        "BARTScore, memory, bf16",
        "likelihood",
        "neulab/BARTScore's loop, batch 32",
        "parabench, bf16",
        memory=40,
    ),
    *_both("four targets a source, pairs/s", "likelihood, four targets a source", NEULAB, 2.4, 7.0),
    *_both("greedy decoding, tokens/s", "decode", "PEFT generate, batch 16", 7.0, 14.0),
    *_both("greedy decoding, tokens/s", "decode", LOOP, 2.5, 5.0),
    *_both(
        "prompt-tuning step, text tokens/s",
        "train",
        "PEFT and a plain loop, full logits",
        5.5,
        10.0,
    ),
    Target(
        "prompt-tuning step, memory", "train", "PEFT and a plain loop, full logits", share=1 / 20
    ),
]


def table(results: Results) -> str:
    """A Markdown table of the targets whose races were run, and of the costs of ten times the
    rows.
    """
    lines = ["| work | against | goal | reached | |", "|---|---|---|---|---|"]
    for target in TARGETS:
        named = {result.contender.name: result for result in results.get(target.race, ())}
        if target.peer in named and target.ours in named:
            lines.append(_line(target, named[target.ours], named[target.peer]))
    for title, (one, ten) in (
        (title, found) for title, found in results.items() if title.startswith("scale")
    ):
        times = ten.contender.units(ten.output) / one.contender.units(one.output) / ten.times(one)
        memory = ten.memory / one.memory
        kept = _mark(times <= 10.5 and memory <= 1.1)
        lines.append(
            f"| {title} | itself | <= 10.5 x time, <= 1.1 x memory "
            f"| {times:.2f} x, {memory:.2f} x | {kept} |"
        )
    return "\n".join(lines)


def _line(target: Target, ours: Result, peer: Result) -> str:
    if target.factor:
        reached = ours.times(peer)
        cells = (f">= {target.factor:g} x", f"{reached:.2f} x", _mark(reached >= target.factor))
    else:
        limit = target.memory or target.share * peer.memory
        cells = (
            f"<= {limit:.0f} MB",
            f"{ours.memory:.0f} MB of {peer.memory:.0f}",
            _mark(ours.memory <= limit),
        )
    return f"| {target.work} | {target.peer} | {' | '.join(cells)} |"


def _mark(reached: bool) -> str:
    return "yes" if reached else "no"
