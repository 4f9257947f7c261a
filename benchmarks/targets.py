"""What speed is aimed at, and a line for each aim: the goal, what was reached, and whether that is
enough.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.race import Result

Results = Mapping[str, Sequence[Result]]


@dataclass(frozen=True)
class Target:
    """``ours`` in the race ``race`` is at least ``factor`` times as fast as ``peer``, and uses at
    most ``memory`` MB.

    ``share`` bounds the memory by the peer's instead. ``peer`` is a contender's name, or how those
    begin of whom the fastest counts. ``needs``: what a machine must have for the aim to hold.
    """

    work: str
    race: str
    peer: str
    ours: str = "parabench"
    factor: float = 0.0
    memory: float = 0.0
    share: float = 0.0
    needs: str = ""


FAST_HALF = "fast bf16"
"""Products that are twice as fast in bf16 as in fp32. Without them it is aimed at no speed."""


def _both(work: str, race: str, peer: str, single: float, half: float) -> list[Target]:
    return [
        Target(f"{work}, fp32", race, peer, factor=single),
        Target(f"{work}, bf16", race, peer, "parabench, bf16", half, needs=FAST_HALF),
    ]


NEULAB = "neulab/BARTScore's loop, batch 4"
NEULAB_AT_BEST = "neulab/BARTScore's loop, sorted"
LOOP = "transformers loop, prefix cached, finished rows dropped, batch 32"
TARGETS = [
    *_both("BARTScore, pairs/s", "likelihood", NEULAB, 2.2, 7.0),
    *_both("BARTScore, pairs/s", "likelihood", NEULAB_AT_BEST, 1.5, 4.0),
    Target("BARTScore, memory, fp32", "likelihood", NEULAB_AT_BEST, memory=60),
    Target("BARTScore, memory, bf16", "likelihood", NEULAB_AT_BEST, "parabench, bf16", memory=40),
    *_both("four targets a source, pairs/s", "likelihood, four targets a source", NEULAB, 2.2, 7.0),
    *_both(
        "four targets a source, pairs/s",
        "likelihood, four targets a source",
        NEULAB_AT_BEST,
        1.5,
        4.0,
    ),
    *_both("greedy decoding, tokens/s", "decode", "PEFT generate, batch 16", 7.0, 14.0),
    *_both("greedy decoding, tokens/s", "decode", "PEFT generate, sorted", 5.0, 10.0),
    *_both("greedy decoding, tokens/s", "decode", LOOP, 2.8, 5.0),
    *_both(
        "prompt-tuning step, text tokens/s",
        "train",
        "PEFT and a plain loop, full logits",
        6.5,
        10.0,
    ),
    Target(
        "prompt-tuning step, memory", "train", "PEFT and a plain loop, full logits", share=1 / 20
    ),
]


def table(
    results: Results,
    features: Collection[str] = (),
    bounds: Mapping[str, float] | None = None,
) -> str:
    """A Markdown table of the targets whose races were run, and of the costs of ten times the
    rows.

    ``features``: what the machine has, of what an aim may need. ``bounds``: of an engine its time
    over that of its products with weights alone: as many times as fast it could be and no more.
    """
    lines = ["| work | against | goal | reached | | bound |", "|---|---|---|---|---|---|"]
    for target in TARGETS:
        named = {result.contender.name: result for result in results.get(target.race, ())}
        peer = _fastest(named, target.peer)
        if peer is not None and target.ours in named:
            engine = target.race.split(",")[0]
            bound = (bounds or {}).get(engine, 0.0)
            if not target.factor or target.ours != "parabench":
                bound = 0.0
            lines.append(_line(target, named[target.ours], peer, features, bound))
    for title, (one, ten) in (
        (title, found) for title, found in results.items() if title.startswith("scale")
    ):
        times = ten.contender.units(ten.output) / one.contender.units(one.output) / ten.times(one)
        memory = ten.memory / one.memory
        kept = _mark(times <= 10.5 and memory <= 1.1)
        lines.append(
            f"| {title} | itself | <= 10.5 x time, <= 1.1 x memory "
            f"| {times:.2f} x, {memory:.2f} x | {kept} | |"
        )
    return "\n".join(lines)


def _fastest(named: Mapping[str, Result], peer: str) -> Result | None:
    """The contender of that name, or else the fastest whose name begins so."""
    found = [named[peer]] if peer in named else []
    found += [result for name, result in named.items() if name.startswith(peer)]
    return max(found, key=lambda result: result.speed, default=None)


def _line(
    target: Target, ours: Result, peer: Result, features: Collection[str], bound: float
) -> str:
    if target.factor:
        reached = ours.times(peer)
        mark = _mark(reached >= target.factor)
        if target.needs and target.needs not in features:
            mark = f"not aimed at without {target.needs}"
        cells = (f">= {target.factor:g} x", f"{reached:.2f} x", mark)
    else:
        limit = target.memory or target.share * peer.memory
        cells = (
            f"<= {limit:.0f} MB",
            f"{ours.memory:.0f} MB of {peer.memory:.0f}",
            _mark(ours.memory <= limit),
        )
    most = f"{bound:.2f} x" if bound else ""
    return f"| {target.work} | {peer.contender.name} | {' | '.join(cells)} | {most} |"


def _mark(reached: bool) -> str:
    return "yes" if reached else "no"
