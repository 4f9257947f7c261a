"""Training data from the command line: what a specification holds, and where published corpora come
from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parabench.contracts import UserError

if TYPE_CHECKING:
    from parabench.data.leakage import TestSentences
    from parabench.data.text_files import SkipCounts
    from parabench.suites.suite import Suite
    from parabench.training.requests import TrainingData

data_commands = typer.Typer(
    help="Training corpora: look into them, fetch them.", no_args_is_help=True
)

SuiteName = Annotated[
    str, typer.Option(help="The suite that names base models, data and test set.")
]
DataSpec = Annotated[
    str | None,
    typer.Option(
        "--data", metavar="SPEC", help="FORMAT:PATH=SHARE,… or mini; the suite's otherwise."
    ),
]

TestFile = Annotated[
    Path | None, typer.Option(help="More examples that training must not see, JSONL or TSV.")
]


@data_commands.command("inspect")
def inspect_data_command(
    spec: Annotated[str, typer.Argument(metavar="SPEC", help="FORMAT:PATH?option=value=SHARE,…")],
    suite: SuiteName = "mini",
    dev: Annotated[int, typer.Option(help="About how many pairs a training would hold out.")] = 200,
    test: TestFile = None,
    seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
    samples: Annotated[int, typer.Option(help="How many pairs of each corpus to show.")] = 3,
) -> None:
    """What training would see of a corpus: rows kept and left out with their lines, duplicates,
    leakage, samples.
    """
    from itertools import islice

    from parabench.commands.prompts import printable
    from parabench.data import specs, training_set
    from parabench.data.training_set import count_duplicates
    from parabench.suites import suite as suites

    parsed = specs.parse_corpora(fetch_addresses(spec))
    found = training_set.prepare_training_set(
        parsed, barred_sentences(suites.load_suite(suite), test), dev, seed
    )
    for part, tally in zip(parsed, found.tallies, strict=True):
        typer.echo(f"{part.form} {part.path}  share {part.share:.2f}")
        typer.echo(f"  {tally.kept:>9,} pairs to train on")
        for reason, count in tally.reasons.most_common():
            lines = ", ".join(map(str, tally.lines[reason]))
            typer.echo(
                f"  {count:>9,} {reason}: line {lines}{', …' * (count > len(tally.lines[reason]))}"
            )
        typer.echo(
            f"  {count_duplicates(training_set.Corpus(part, seed)):>9,} pairs that stand there again (dedup=yes)"
        )
        for source, target in islice(training_set.Corpus(part, seed), samples):
            typer.echo(
                printable(f"            {source}") + "\n" + printable(f"         -> {target}")
            )
    typer.echo(f"held out  {len(found.dev):,} pairs, in no component with a pair to train on")
    typer.echo(f"test set  {found.removed:,} pairs taken out, which it or its paraphrases hold")
    typer.echo(f"data      {found.fingerprint}")


@data_commands.command("fetch")
def fetch_data_command(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="parabank2, paranmt, or an https address.")
    ],
    folder: Annotated[Path, typer.Option(help="Where to put it.")] = Path("data"),
) -> None:
    """Download a corpus, going on where an earlier download stopped."""
    from parabench.commands.progress import progress_bars
    from parabench.data import fetching

    with progress_bars() as advance:
        path = fetching.fetch_corpus(
            fetching.find_corpus(name), folder, lambda done, total: advance(name, done, total)
        )
    typer.echo(path)


def fetch_addresses(text: str) -> str:
    """The specification again, once the files of all https addresses in it lie here."""
    from parabench.commands.progress import progress_bars
    from parabench.data import fetching

    for address in fetching.addresses(text):
        with progress_bars() as advance:
            fetching.fetch_corpus(
                fetching.find_corpus(address),
                fetching.DOWNLOAD_FOLDER,
                lambda done, total, what=address: advance(what, done, total),  # type: ignore[misc]
            )
    return text


def load_training_data(
    asked: str | None, suite: Suite, dev: int, seed: int, test: Path | None = None
) -> TrainingData:
    """The pairs to train on, cleared of the suite's test set; ``mini`` are those of the embedded
    language.
    """
    from itertools import islice

    from parabench.data import specs, training_set
    from parabench.mini import language
    from parabench.training.requests import TrainingData

    text = asked or suite.train.data
    if not text:
        raise UserError(
            "train", f"the suite {suite.name} names no training data", mend="--data FORMAT:PATH"
        )
    if text == "mini":
        held_out = tuple(islice(language.paraphrase_pairs("dev", seed), dev))
        facts = {
            "data": f"embedded language, split train, seed {seed}",
            "dev": len(held_out),
            "removed": 0,
        }
        return TrainingData(
            EndlessPairs(lambda: language.paraphrase_pairs("train", seed)), held_out, facts
        )
    barred = barred_sentences(suite, test)
    found = training_set.prepare_training_set(
        specs.parse_corpora(fetch_addresses(text)), barred, dev, seed
    )
    _report_left_out(found.tallies)
    kept = sum(tally.kept for tally in found.tallies)
    facts = {
        "data": found.fingerprint,
        "pairs": kept,
        "dev": len(found.dev),
        "removed": found.removed,
    }
    return TrainingData(found.pairs, found.dev, facts, cleared=barred.keys)


def load_task_data(
    path: Path, length: int, suite: Suite, dev: int, seed: int, test: Path | None = None
) -> TrainingData:
    """The pairs of the tasks in a file, cleared of the suite's test set."""
    from parabench.training import tasks

    read = tasks.read_tasks(path)
    for task in read.values():
        fetch_addresses(task.data)
    found, tallies = tasks.prepare_tasks(read, length, barred_sentences(suite, test), dev, seed)
    _report_left_out(tallies)
    return found


def _report_left_out(tallies: Sequence[SkipCounts]) -> None:
    """How many pairs of all corpora were left out, by reason, on stderr."""
    for reason, count in sum((tally.reasons for tally in tallies), Counter[str]()).most_common():
        typer.echo(f"left out  {count:>9,} {reason}", err=True)


def barred_sentences(suite: Suite, more: Path | None) -> TestSentences:
    """What no training may see: the sentences of the suite's test set, and of a file of the
    user's.
    """
    from parabench.data.examples import read_test_set
    from parabench.data.leakage import TestSentences

    files = [Path(suite.data)] * bool(suite.data) + ([more] if more else [])
    return TestSentences.of([example for file in files for example in read_test_set(file)])


@dataclass(frozen=True)
class EndlessPairs:
    """Pairs that can be read again from the start."""

    begin: Callable[[], Iterator[tuple[str, str]]]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return self.begin()
