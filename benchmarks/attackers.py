"""Attackers and mixtures on real English, by the headline without a model and by iBLEU.

``python -m benchmarks.attackers [NEWS]`` prints the tables of results/attackers.md. ``NEWS`` is a
folder with ``source.en`` and ``ref.1.en`` to ``ref.5.en``. Mixtures are people of whom a part is
replaced, as the rule of ``parabench.stats.validity`` computes them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from parabench.baselines.attackers import ATTACKERS

from parabench import registry
from parabench.contracts import BuildContext, Example
from parabench.data.test_sets import read_test_set
from parabench.report.output_columns import OutputScorer, output_statistics
from parabench.stats.leave_one_out import measure_leave_one_out
from parabench.stats.validity import MIXED_SENTINELS, mixtures

ROOT = Path(__file__).parents[1]
SENTINELS = (
    "copy",
    "near-copy",
    "drop-last",
    "first-half",
    "shuffled",
    "source-twice",
    "other-sentence",
    "negated",
    "empty",
)
SCORERS = ("parity", "ibleu")
SHOWN = {"parity": 4, "ibleu": 1}
"""Columns of each scorer that are shown, from the first on."""


def sets(news: Path | None) -> Iterator[tuple[str, list[Example]]]:
    """The test sets by name."""
    yield "parabench-en", list(read_test_set(ROOT / "parabench/suites/parabench-en.jsonl"))
    if news is not None:
        names = ["source.en", *(f"ref.{number}.en" for number in range(1, 6))]
        files = [(news / name).read_text(encoding="utf-8").splitlines() for name in names]
        rows = [row for row in zip(*files, strict=True) if all(text.strip() for text in row)]
        yield (
            "newstest2019",
            [Example(str(place), row[0], tuple(row[1:])) for place, row in enumerate(rows)],
        )
    yield "mini", list(read_test_set(ROOT / "parabench/mini/test.jsonl"))


def answers(name: str, examples: Sequence[Example]) -> list[list[str]]:
    """What a control writes of each example, one text or one for each turn."""
    setting = BuildContext(
        sources=tuple(one.source for one in examples),
        human_answers=tuple(one.references for one in examples),
    )
    family, variant = registry.split_name("system", name)
    system = registry.plugin_builder("system", family)(variant, setting)
    batches = system.paraphrase(setting.sources)
    found = {one.position: list(one.turns or [one.text]) for batch in batches for one in batch}
    return [found[place] for place in range(len(examples))]


def table(examples: Sequence[Example]) -> str:
    """People, mixtures and attackers, the best by parity first."""
    scorers = {
        name: registry.plugin_builder("scorer", name)("", BuildContext()) for name in SCORERS
    }
    statistics, recycled = dict[str, dict[str, np.ndarray]](), dict[str, float]()
    for name in ("human", *SENTINELS, *ATTACKERS):
        texts = answers(name, examples)
        statistics[name] = {
            scorer: measure_leave_one_out(scorers[scorer], examples, texts) for scorer in SCORERS
        }
        rows = output_statistics(examples, texts)
        recycled[name] = float(OutputScorer().combine(rows)[0])
    values = {
        name: [
            number
            for scorer in SCORERS
            for number in scorers[scorer].combine(rows[scorer])[: SHOWN[scorer]]
        ]
        for name, rows in statistics.items()
    }
    for sentinel in MIXED_SENTINELS:
        of_scorer = {
            scorer: mixtures(
                scorers[scorer].combine,
                statistics["human"][scorer],
                statistics[sentinel][scorer],
                (0.25, 0.5),
            )
            for scorer in SCORERS
        }
        for place, share in enumerate(("three quarters", "half")):
            values[f"{share} human, rest {sentinel}"] = [
                number for scorer in SCORERS for number in of_scorer[scorer][place][: SHOWN[scorer]]
            ]
    return markdown(values, recycled)


def markdown(values: Mapping[str, Sequence[float]], recycled: Mapping[str, float]) -> str:
    """A table in Markdown; people and mixtures in bold."""
    lines = [
        "| answers | `parity` | `added` | `folded-bleu` | `change` | `recycled` | `ibleu` |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in sorted(values, key=lambda one: -values[one][0]):
        *parity, ibleu = (f"{number:.1f}" for number in values[name])
        shared = f"{recycled[name]:.1f}" if name in recycled else ""
        shown = f"**{name}**" if "human" in name else name
        lines.append(f"| {shown} | {' | '.join([*parity, shared, ibleu])} |")
    return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    news = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    for name, examples in sets(news):
        print(f"\n## {name}: {len(examples)} sentences, {len(examples[0].references)} references\n")
        print(table(examples), flush=True)


if __name__ == "__main__":
    main()
