"""Attackers and mixtures on real English, by the headline without a model and by iBLEU.

``python -m benchmarks.attackers [NEWS]`` prints the tables of results/attackers.md. ``NEWS`` is a
folder with ``source.en`` and ``ref.1.en`` to ``ref.5.en``. Mixtures are people of whom a part is
replaced, as the rule of ``parabench.stats.validity`` computes them. Rows named ``try-…`` are
attackers that are not in the program (``benchmarks.reference_attackers``).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from parabench.baselines.attackers import ATTACKERS
from parabench.scorers.parity import STATISTICS
from sacrebleu import sentence_bleu

from benchmarks.reference_attackers import reference_attackers
from parabench import registry
from parabench.contracts import BuildContext, Example, Scorer
from parabench.data.test_sets import read_test_set
from parabench.report.output_columns import OutputScorer, output_statistics
from parabench.report.rules import RECYCLED_PERCENT
from parabench.stats.leave_one_out import measure_systems
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
PARTS = ("added", "folded-bleu", "change")
PEOPLE = ("nearest human", "farthest human")
HUMAN = STATISTICS // 2
"""Where the human's half of parity's statistics begins."""
LIGHT = Path(__file__).with_name("light_paraphrases.tsv")
"""Sentences of parabench-en with few words changed, by hand."""


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
    context = BuildContext(
        sources=tuple(one.source for one in examples),
        human_answers=tuple(one.references for one in examples),
    )
    scorers = {name: registry.plugin_builder("scorer", name)("", context) for name in SCORERS}
    texts = {name: answers(name, examples) for name in ("human", *SENTINELS, *ATTACKERS)}
    texts |= dict(reference_attackers(examples))
    texts["nearest human"] = people_by_distance(examples, nearest=True)
    texts["farthest human"] = people_by_distance(examples, nearest=False)
    statistics: dict[str, dict[str, np.ndarray]] = {name: {} for name in texts}
    for name, scorer in scorers.items():
        # one call for all rows: a text that several of them hold is counted once
        of_rows = measure_systems(scorer, examples, list(texts.values()))
        for row, found in zip(texts, of_rows, strict=True):
            statistics[row][name] = found
    for row in PEOPLE:
        # The answer of one person would be held against that person: here against all of them.
        statistics[row]["parity"][:, HUMAN:] = statistics["human"]["parity"][:, HUMAN:]
    recycled = {
        row: float(OutputScorer().combine(output_statistics(examples, several))[0])
        for row, several in texts.items()
    }
    values = {row: _values(scorers, found) for row, found in statistics.items()}
    for sentinel in MIXED_SENTINELS:
        mixed = [
            mixtures(
                scorer.combine,
                statistics["human"][name],
                statistics[sentinel][name],
                (0.25, 0.5),
            )[:, : SHOWN[name]]
            for name, scorer in scorers.items()
        ]
        for share, row in zip(("three quarters", "half"), np.hstack(mixed).tolist(), strict=True):
            values[f"{share} human, rest {sentinel}"] = row
    return markdown(values, recycled)


def _values(scorers: Mapping[str, Scorer], found: Mapping[str, np.ndarray]) -> list[float]:
    """The columns shown of one row."""
    return [
        float(number)
        for name, scorer in scorers.items()
        for number in scorer.combine(found[name])[: SHOWN[name]]
    ]


def people_by_distance(examples: Sequence[Example], nearest: bool) -> list[list[str]]:
    """Of each example the reference that is nearest to its source, or farthest from it.

    Nearest by sacrebleu's sentence BLEU against the source. As a system's text that equals a
    reference it is scored without that one, as people's are.
    """
    found = []
    for one in examples:
        scores = [sentence_bleu(text, [one.source]).score for text in one.references]
        pick = max if nearest else min
        found.append([one.references[pick(range(len(scores)), key=scores.__getitem__)]])
    return found


def markdown(values: Mapping[str, Sequence[float]], recycled: Mapping[str, float]) -> str:
    """A table in Markdown; people and mixtures in bold."""
    lines = [
        "| answers | `parity` | `added` | `folded-bleu` | `change` | `recycled` | `ibleu` | "
        "held back by |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    _, *human = values["human"]
    for name in sorted(values, key=lambda one: -values[one][0]):
        *parity, ibleu = (f"{number:.1f}" for number in values[name])
        shared = f"{recycled[name]:.1f}" if name in recycled else ""
        is_people = "human" in name
        shown = f"**{name}**" if is_people else name
        shares = [own / people for own, people in zip(values[name][1:4], human, strict=False)]
        least = PARTS[int(np.argmin(shares))]
        caught = "" if is_people else f"`{least}`"
        if not is_people and recycled.get(name, 0) > RECYCLED_PERCENT:
            caught += ", `recycled`"
        lines.append(f"| {shown} | {' | '.join([*parity, shared, ibleu])} | {caught} |")
    return "\n".join([*lines, "", verdict(values)])


def verdict(values: Mapping[str, Sequence[float]]) -> str:
    """How many rows without people are above half-human answers, by parity and by iBLEU."""
    said = []
    for place, column in ((0, "parity"), (-1, "ibleu")):
        half = {name: row[place] for name, row in values.items() if name.startswith("half human")}
        others = {name: row[place] for name, row in values.items() if "human" not in name}
        lowest = min(half, key=half.__getitem__)
        best = max(others, key=others.__getitem__)
        above = sum(value >= half[lowest] for value in others.values())
        bar = f"{lowest}, {half[lowest]:.1f}"
        said.append(
            f"By `{column}` {above} of {len(others)} rows without people reach the lowest "
            f"half-human row ({bar}); the best is {best}, {others[best]:.1f}."
        )
    return " ".join(said)


def light_table(examples: Sequence[Example]) -> str:
    """People, light paraphrases and some attackers on the sentences of ``LIGHT`` alone."""
    lines = LIGHT.read_text(encoding="utf-8").splitlines()
    light = dict(line.split("\t") for line in lines)
    places = [place for place, one in enumerate(examples) if one.id in light]
    chosen = [examples[place] for place in places]
    context = BuildContext(
        sources=tuple(one.source for one in examples),
        human_answers=tuple(one.references for one in examples),
    )
    scorer = registry.plugin_builder("scorer", "parity")("", context)
    texts = {
        "**human**": [list(one.references) for one in chosen],
        "**light paraphrase**": [[light[one.id]] for one in chosen],
    }
    for name in ("copy", "negated", *ATTACKERS):
        of_all = answers(name, examples)
        texts[name] = [of_all[place] for place in places]
    for name, several in reference_attackers(examples):
        texts[name] = [several[place] for place in places]
    measured = measure_systems(scorer, chosen, list(texts.values()))
    values = {
        row: scorer.combine(found).tolist() for row, found in zip(texts, measured, strict=True)
    }
    best = sorted(values, key=lambda row: -values[row][0])
    rows = [
        f"| {row} | {' | '.join(f'{number:.1f}' for number in values[row])} |" for row in best[:8]
    ]
    head = [
        "| answers | `parity` | `added` | `folded-bleu` | `change` |",
        "|---|---:|---:|---:|---:|",
    ]
    return "\n".join([*head, *rows])


def main() -> None:
    """Print the tables."""
    news = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    for name, examples in sets(news):
        print(f"\n## {name}: {len(examples)} sentences, {len(examples[0].references)} references\n")
        print(table(examples), flush=True)
        if name == "parabench-en":
            print("\n### Light paraphrases: the best eight rows on 40 of these sentences\n")
            print(light_table(examples), flush=True)


if __name__ == "__main__":
    main()
