"""Attackers, mixtures and the systems of smollm2 by semantic parity, beside parity.

``python -m benchmarks.semantic_attackers [NEWS]`` prints the last tables of results/attackers.md:
of every third sentence of parabench-en and, where ``NEWS`` is the folder of newstest2019, of every
ninth one there, since a language model reads each text. Scales and chance are counted on these
sentences alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from parabench.baselines.attackers import ATTACKERS

from benchmarks.attackers import LIGHT, ROOT, SENTINELS, answers, sets
from benchmarks.reference_attackers import reference_attackers
from parabench.contracts import BuildContext, Example, Scorer
from parabench.pipeline.plan import build_plugin
from parabench.stats.clusters import ClusterIndex
from parabench.stats.intervals import score_interval
from parabench.stats.leave_one_out import measure_systems
from parabench.stats.resampling import bootstrap
from parabench.stats.significance import holm, paired_tests
from parabench.stats.validity import MIXED_SENTINELS, mixtures
from parabench.suites.suite import load_suite

STEPS = {"parabench-en": 3, "newstest2019": 9}
"""Of how many sentences of a set one is asked."""
SYSTEMS = (
    "zeroshot",
    "zeroshot-chat",
    "fewshot-4",
    "softprompt-20",
    "softprompt-111",
    "ptuning-20",
    "lora-8",
    "finetuned",
)
SCORERS = ("semantic-parity", "parity")
SHOWN = {"semantic-parity": 5, "parity": 1}

Statistics = Mapping[str, Mapping[str, np.ndarray]]
"""Of each row, what each scorer measured."""


def written(examples: Sequence[Example]) -> dict[str, list[list[str]]]:
    """What people, sentinels and attackers answer to every example, one text or one a turn."""
    texts = {name: answers(name, examples) for name in ("human", *SENTINELS, *ATTACKERS)}
    return texts | dict(reference_attackers(examples))


def predictions(examples: Sequence[Example]) -> dict[str, list[list[str]]]:
    """What the systems of smollm2 answered to parabench-en."""
    texts = {}
    for name in SYSTEMS:
        path = ROOT / f"results/smollm2/predictions/{name}.jsonl"
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        by_id = {one["id"]: one["value"]["text"] for one in records if "id" in one}
        texts[name] = [[by_id[example.id]] for example in examples]
    return texts


def measured(
    scorers: Mapping[str, Scorer],
    examples: Sequence[Example],
    texts: Mapping[str, list[list[str]]],
) -> Statistics:
    """The statistics of all rows."""
    found: dict[str, dict[str, np.ndarray]] = {row: {} for row in texts}
    for name, scorer in scorers.items():
        of_rows = measure_systems(scorer, examples, list(texts.values()))
        for row, statistics in zip(texts, of_rows, strict=True):
            found[row][name] = statistics
    return found


def with_mixtures(scorers: Mapping[str, Scorer], found: Statistics) -> dict[str, list[float]]:
    """The columns of all rows, and of people of whom a part is replaced."""
    values = {}
    for row, statistics in found.items():
        values[row] = [
            float(number)
            for name, scorer in scorers.items()
            for number in scorer.combine(statistics[name])[: SHOWN[name]]
        ]
    for sentinel in MIXED_SENTINELS:
        mixed = [
            mixtures(scorer.combine, found["human"][name], found[sentinel][name], (0.25, 0.5))
            for name, scorer in scorers.items()
        ]
        for place, share in enumerate(("three quarters", "half")):
            values[f"{share} human, rest {sentinel}"] = [
                float(number)
                for name, columns in zip(scorers, mixed, strict=True)
                for number in columns[place, : SHOWN[name]]
            ]
    return values


def attackers_table(values: Mapping[str, Sequence[float]]) -> str:
    """People, mixtures and attackers, the best first; people and mixtures in bold."""
    lines = [
        "| answers | `semantic-parity` | `meaning` | `expectedness` | `rewording` | `faults` | "
        "`parity` |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    rows = [name for name in values if name not in SYSTEMS]
    for name in sorted(rows, key=lambda one: -values[one][0]):
        value, meaning, expected, rewording, faults, parity = values[name]
        shown = f"**{name}**" if "human" in name else name
        lines.append(
            f"| {shown} | {value:.1f} | {meaning:.2f} | {expected:.2f} | {rewording:.2f} | "
            f"{faults:.0f} | {parity:.1f} |"
        )
    half = min(value[0] for name, value in values.items() if name.startswith("half human"))
    others = {name: values[name][0] for name in rows if "human" not in name}
    above = sum(value >= half for value in others.values())
    best = max(others, key=others.__getitem__)
    return "\n".join(
        [
            *lines,
            "",
            f"By `semantic-parity` {above} of {len(others)} rows without people reach the lowest "
            f"half-human row, {half:.1f}; the best is {best}, {others[best]:.1f}.",
        ]
    )


def systems_table(scorers: Mapping[str, Scorer], found: Statistics) -> str:
    """The systems by both columns with intervals, and how many pairs each tells apart."""
    lines = ["| system | `semantic-parity` | `parity` |", "|---|---:|---:|"]
    cells = {
        row: [_cell(scorer, found[row][name]) for name, scorer in scorers.items()]
        for row in SYSTEMS
    }
    for row in sorted(SYSTEMS, key=lambda one: -float(cells[one][0].split()[0])):
        lines.append(f"| {row} | {' | '.join(cells[row])} |")
    told = []
    pairs = list(combinations(range(len(SYSTEMS)), 2))
    for name, scorer in scorers.items():
        rows = [found[row][name] for row in SYSTEMS]
        p = holm(paired_tests(scorer.combine, rows, pairs, 0)[:, 0])
        told.append(f"`{name}` {(p < 0.05).sum()}")
    told_apart = " and ".join(told)
    return "\n".join([*lines, "", f"Of {len(pairs)} pairs, told apart after Holm: {told_apart}."])


def _cell(scorer: Scorer, statistics: np.ndarray) -> str:
    """``56.1 [52.0, 60.8]``, of a scorer's first column."""
    draws = bootstrap(scorer.combine, statistics, 0, 2_000)
    index = ClusterIndex.of(len(statistics), None)
    low, high = score_interval(scorer.combine, scorer.columns, statistics, draws, index, 0)
    return f"{scorer.combine(statistics)[0]:.1f} [{low[0]:.1f}, {high[0]:.1f}]"


def light_line(examples: Sequence[Example]) -> str:
    """What light paraphrases written by hand have, beside people on the same sentences."""
    lines = LIGHT.read_text(encoding="utf-8").splitlines()
    light = dict(line.split("\t") for line in lines)
    chosen = [one for one in examples if one.id in light]
    texts = {
        "people": [list(one.references) for one in chosen],
        "light": [[light[one.id]] for one in chosen],
    }
    scorers = built(chosen)
    values = {
        row: [scorers[name].combine(statistics[name])[0] for name in SCORERS]
        for row, statistics in measured(scorers, chosen, texts).items()
    }
    semantic, parity = values["light"]
    return (
        f"Light paraphrases of {len(chosen)} sentences, by hand: `semantic-parity` {semantic:.1f} "
        f"and `parity` {parity:.1f} of people's {values['people'][0]:.1f} and "
        f"{values['people'][1]:.1f}."
    )


def built(examples: Sequence[Example]) -> dict[str, Scorer]:
    """The scorers of the suite smollm2, with people's scale on these examples."""
    context = BuildContext(
        sources=tuple(one.source for one in examples),
        human_answers=tuple(one.references for one in examples),
    )
    suite = load_suite("smollm2")
    return {name: build_plugin("scorer", name, suite, context) for name in SCORERS}


def main() -> None:
    """Print the tables."""
    news = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    for title, examples in sets(news):
        if title not in STEPS:
            # the embedded language of mini is none that these models know
            continue
        texts = written(examples)
        has_systems = title == "parabench-en"
        if has_systems:
            texts |= predictions(examples)
        step = STEPS[title]
        chosen = examples[::step]
        scorers = built(chosen)
        found = measured(scorers, chosen, {name: rows[::step] for name, rows in texts.items()})
        count = len(chosen[0].references)
        print(f"## With models: {len(chosen)} sentences of {title}, {count} references\n")
        print(attackers_table(with_mixtures(scorers, found)), flush=True)
        if has_systems:
            print("\n" + light_line(examples))
            print(f"\n### The systems of smollm2 on these {len(chosen)} sentences\n")
            print(systems_table(scorers, found))
        print(flush=True)


if __name__ == "__main__":
    main()
