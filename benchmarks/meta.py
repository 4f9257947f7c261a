"""The headline, its parts and its rivals against people's judgments.

``python -m benchmarks.meta DATA [PARAQUALITY] [KEEP]`` prints the first tables of results/meta.md.
``DATA`` holds ``strap-mturk``, ``apty`` and ``parascore-benchmarks``; ``PARAQUALITY`` is
``para-quality.json`` of mysilver/ParaQuality, ``-`` for none; what models measured is kept in the
folder ``KEEP``. Models are those of the suite smollm2.
"""

from __future__ import annotations

import csv
import hashlib
import json
import random
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from parabench.contracts import BuildContext, Example, Scorer
from parabench.metaeval.agreement import (
    agreement_difference_p,
    column_agreement,
    judgment_values,
)
from parabench.metaeval.correlation import IntervalEstimate
from parabench.metaeval.human import HumanJudgments
from parabench.metaeval.judgment_files import (
    JudgmentFile,
)
from parabench.metaeval.judgments import Judgment, RatedText
from parabench.pipeline.plan import build_plugin
from parabench.stats.folding import fold
from parabench.stats.significance import benjamini_hochberg
from parabench.suites.suite import load_suite

RESAMPLES, DRAWS = 500, 1_000
OVERLAP = ("ibleu", "bleu", "chrf", "ter", "rouge", "sari", "divergence")
MODELS = ("embedding", "bertscore", "fluency")
LEFT_OUT = ("rougeLsum", "chrf++", "bertscore-p", "bertscore-r", "ned-words", "novelty2")
"""Columns that say what another one says."""
HUMAN_COSINE, HUMAN_EXCESS, SHUFFLED_EXCESS, HUMAN_CHANGE = 0.754, 0.70, 4.35, 95.5
"""People on parabench-en: cosine with the source, nats a token above the source (shuffled words
beside them), change. The form with models is anchored there, and on no set that it is tested on."""

Values = Mapping[str, np.ndarray]
"""Columns of all items by name, more being better."""


@dataclass(frozen=True)
class JudgedSet:
    """A set of judgments with the columns that can be had for it."""

    title: str
    note: str
    items: Sequence[Judgment]
    scorers: Sequence[str]
    baseline: str
    context: BuildContext = field(default_factory=BuildContext)


def sets(data: Path, paraquality: Path | None) -> Iterator[JudgedSet]:
    """The sets, those that ask for overall quality first."""
    if paraquality is not None:
        items, context = crowd(paraquality)
        note = (
            "Crowd workers' paraphrases of 40 requests; 1 where no error was found, else 0. Four "
            "correct paraphrases of others are the references, a fifth is the human's answer."
        )
        title = "ParaQuality: is it a correct paraphrase?"
        # by the other sources, from the first on every second, its constants were chosen
        held_out = [item for item in items if int(item.example.id.split(".")[0]) % 2]
        half = "The half of the sources by which no constant of `semantic-parity` was chosen."
        names: tuple[str, ...] = ("semantic-parity", "parity", *OVERLAP, *MODELS)
        held_out_title = "ParaQuality with models: is it a correct paraphrase?"
        yield JudgedSet(held_out_title, half, held_out, names, "semantic-parity", context)
        yield JudgedSet(title, note, items, ("parity", *OVERLAP), "parity", context)
    apty = list(JudgmentFile(data / "apty/apty_ranked.json", "apty", against_source=True))
    note = "Five raters a pair. No references: all columns are against the source."
    names = ("ibleu", "bleu", "chrf", "ter", "rouge", "divergence", *MODELS)
    yield JudgedSet("APTY: which paraphrase is better?", note, apty, names, "bleu")
    strap = overall(data / "strap-mturk/judgments.tsv")
    note = (
        "Means of three raters: 2 for the same meaning in good grammar, 1 for the same meaning, "
        "0 for another. No references: all columns are against the source. Change is not asked for."
    )
    yield JudgedSet("STRAP: the same meaning, and grammatical?", note, strap, names, "bleu")
    path = data / "parascore-benchmarks/twitter-para.jsonl"
    tweets = [
        replace(item, example=replace(item.example, left_out=item.example.references[0]))
        for item in list(JudgmentFile(path, "twitter-para"))
        if isinstance(item, RatedText)
    ]
    note = (
        "Likeness alone: a copy is perfect. The one reference stands for the human's answer, too."
    )
    names = ("parity", *OVERLAP, "embedding", "bertscore")
    yield JudgedSet("Twitter-Para: how alike are two tweets?", note, tweets, names, "parity")


def crowd(path: Path) -> tuple[list[Judgment], BuildContext]:
    """Sixty judged paraphrases of each request, and references for them by other workers."""
    by_source = defaultdict(list)
    for row in json.loads(path.read_text(encoding="utf-8")):
        for one in row["paraphrases"]:
            is_correct = one["category"] == ["Correct"]
            by_source[row["expression"]].append((one["paraphrase"], is_correct, row["worker_id"]))
    chance = random.Random(0)
    items, sources, answers = list[Judgment](), list[str](), list[tuple[str, ...]]()
    for source, written in by_source.items():
        chance.shuffle(written)
        references, workers, seen = list[str](), set[int](), {fold(source)}
        for text, is_correct, worker in written:
            is_new = worker not in workers and fold(text) not in seen
            if is_correct and is_new and len(references) < 5:
                references.append(text)
                workers.add(worker)
                seen.add(fold(text))
        *given, left_out = references
        rest = {fold(text): (text, is_correct) for text, is_correct, _ in written}
        chosen = [one for words, one in rest.items() if words not in seen - {fold(source)}]
        for place, (text, is_correct) in enumerate(chosen[:60]):
            identity = f"{len(sources)}.{place}"
            example = Example(identity, source, tuple(given), left_out=left_out)
            items.append(RatedText(example, text, (float(is_correct),), source))
        sources.append(source)
        answers.append(tuple(references))
    return items, BuildContext(sources=tuple(sources), human_answers=tuple(answers))


def overall(path: Path) -> list[Judgment]:
    """STRAP with its whole scale, 0 to 2, and the source as the reference."""
    labels = defaultdict(list)
    lines = path.read_text(encoding="utf-8").split("\n")
    for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
        labels[f"{row['system']}.{row['item']}"].append(float(row["label"]))
    items = JudgmentFile(path, "strap", against_source=True)
    return [replace(item, ratings=tuple(labels[item.example.id])) for item in items]


# ---- columns


@dataclass(frozen=True)
class _Kept:
    """A scorer whose statistics are kept in a folder."""

    scorer: Scorer
    folder: Path

    @property
    def columns(self):
        return self.scorer.columns

    def combine(self, statistics: np.ndarray) -> np.ndarray:
        return self.scorer.combine(statistics)

    def measure(self, examples: Sequence[Example], texts: Sequence[str]) -> np.ndarray:
        path = self.folder / f"{asked(self.scorer, examples, texts)}.npy"
        if not path.exists():
            np.save(path, self.scorer.measure(examples, texts))
        return np.load(path)


def asked(scorer: Scorer, examples: Sequence[Example], texts: Sequence[str]) -> str:
    """A name for what a scorer is asked."""
    pairs = [(one.source, one.references, text) for one, text in zip(examples, texts, strict=True)]
    told = json.dumps([str(scorer.signature), pairs])
    return f"{scorer.signature.name}-{hashlib.sha256(told.encode()).hexdigest()[:16]}"


def values_of(judged: JudgedSet, keep: Path | None) -> Values:
    """All columns, and beside those without human answers the form with models tried first."""
    suite = load_suite("smollm2")
    found: dict[str, np.ndarray] = {}
    for name in judged.scorers:
        scorer: Scorer = build_plugin("scorer", name, suite, judged.context)
        if keep is not None and name in (*MODELS, "semantic-parity"):
            scorer = _Kept(scorer, keep)  # type: ignore[assignment]
        rows = judgment_values(scorer, judged.items)
        found |= dict(zip((one.name for one in scorer.columns), rows.T, strict=True))
    is_tried = "semantic-parity" not in judged.scorers
    if is_tried and "fluency-nll" in found and isinstance(judged.items[0], RatedText):
        found |= with_models(judged.items, found, suite, keep)
    return {name: row for name, row in found.items() if name not in LEFT_OUT}


def with_models(items: Sequence[Judgment], found: Values, suite, keep) -> Values:
    """Shares of meaning, sentence-likeness and change, at most 1, and the least of them."""
    fluency: Scorer = build_plugin("scorer", "fluency", suite, BuildContext())
    if keep is not None:
        fluency = _Kept(fluency, keep)  # type: ignore[assignment]
    examples = [item.example for item in items]
    statistics = fluency.measure(examples, [one.source for one in examples])
    excess = np.maximum(0, -found["fluency-nll"] - statistics[:, 0] / statistics[:, 1])
    meaning = np.clip(found["embedding-source"] / HUMAN_COSINE, 0, 1)
    sentence = np.clip((SHUFFLED_EXCESS - excess) / (SHUFFLED_EXCESS - HUMAN_EXCESS), 0, 1)
    # src_bleu is turned already: more is better
    change = np.clip((100 + found["src_bleu"]) / HUMAN_CHANGE, 0, 1)
    return {
        "(sentence-likeness)": sentence,
        "(meaning, sentence)": np.minimum(meaning, sentence),
        "(meaning, sentence, change)": np.minimum(np.minimum(meaning, sentence), change),
    }


# ---- tables


def table(judged: JudgedSet, values: Values) -> str:
    """A row for each column, the best first."""
    items = judged.items
    people = HumanJudgments.of(items)
    is_rated = people.ratings is not None
    p = rivals(judged.baseline, people, values)
    measures = ("pearson", "pearson-within", "pairs") if is_rated else ("preference",)
    heads = {
        "pearson": "Pearson",
        "pearson-within": "within sources",
        "pairs": "pairs in order",
        "preference": "preferences in order",
    }
    agreement = {
        name: column_agreement(name, row, people, 0, RESAMPLES).agreement
        for name, row in values.items()
        if not np.isnan(row).all()
    }
    best = sorted(agreement, key=lambda name: -agreement[name][measures[0]].value)
    shown = " | ".join(heads[one] for one in measures)
    lines = [
        f"| column | {shown} | p against `{judged.baseline}` |",
        f"|---|{'---:|' * (len(measures) + 1)}",
    ]
    for name in best:
        cells = [estimate(agreement[name][one]) for one in measures]
        chance = f"{p[name]:.4f}" if name in p else ""
        lines.append(f"| {name.replace('_', chr(92) + '_')} | {' | '.join([*cells, chance])} |")
    sources, ceiling = people.source_count, people.ceiling
    raters = "" if np.isnan(ceiling) else f" One rater against the others: {ceiling:.3f}."
    head = f"## {judged.title}\n\n{judged.note} {len(items):,} items of {sources} sources.{raters}"
    return "\n".join([head, "", *lines])


def rivals(baseline: str, people: HumanJudgments, values: Values) -> dict[str, float]:
    """P that a column agrees as well as the baseline, corrected for their number."""
    found = {}
    for name, row in values.items():
        if name != baseline and not np.isnan(row).any():
            found[name] = agreement_difference_p(row, values[baseline], people, 0, DRAWS)
    adjusted = benjamini_hochberg(np.array(list(found.values())))
    return dict(zip(found, adjusted.tolist(), strict=True))


def estimate(one: IntervalEstimate) -> str:
    """``.235 [.201, .266]``."""
    numbers = [f"{number:.3f}".replace("0.", ".", 1) for number in (one.value, one.low, one.high)]
    return f"{numbers[0]} [{numbers[1]}, {numbers[2]}]"


def main() -> None:
    """Print the tables."""
    data, *more = sys.argv[1:]
    paraquality = Path(more[0]) if more and more[0] != "-" else None
    keep = Path(more[1]) if len(more) > 1 else None
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
    for judged in sets(Path(data), paraquality):
        print(table(judged, values_of(judged, keep)), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
