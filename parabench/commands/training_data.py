"""The pairs that a training reads: from a suite, a specification or a file of tasks."""

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
    from parabench.data.skipped import SkipCounts
    from parabench.suites.suite import Suite
    from parabench.training.requests import TrainingData

TrainSuiteOption = Annotated[
    str,
    typer.Option(
        help="The suite that names base models, data and test set.", rich_help_panel="Data"
    ),
]
CorpusOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="SPEC",
        help="FORMAT:PATH=SHARE,… or mini; the suite's otherwise.",
        rich_help_panel="Data",
    ),
]
TestFileOption = Annotated[
    Path | None,
    typer.Option(
        help="More examples that training must not see, JSONL, CSV or TSV.", rich_help_panel="Data"
    ),
]


def fetch_addresses(text: str) -> str:
    """The specification again, once the files of all https addresses in it lie here."""
    from parabench.data import catalogue, fetching
    from parabench.render.progress import progress_bars

    for address in catalogue.addresses(text):
        with progress_bars() as advance:
            fetching.fetch_corpus(
                catalogue.find_corpus(address),
                catalogue.DOWNLOAD_FOLDER,
                lambda done, total, what=address: advance(what, done, total),  # type: ignore[misc]
            )
    return text


def load_training_data(
    asked: str | None, suite: Suite, dev: int, seed: int, test: Path | None = None
) -> TrainingData:
    """The pairs to train on, cleared of the sentences of ``suite``'s test set and of ``test``.

    ``asked`` is a specification of corpora, or ``mini`` for the embedded language; None is what the
    suite names. About ``dev`` pairs are held out, drawn by ``seed``. Raises UserError where there
    is no training data, and where it cannot be read.
    """
    from itertools import islice

    from parabench.data import specs, training_set
    from parabench.mini import language
    from parabench.training.requests import TrainingData

    training_set.check_held_out(dev)
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
    warn_of_held_out(len(found.dev), kept)
    facts = {
        "data": found.fingerprint,
        "pairs": kept,
        "dev": len(found.dev),
        "removed": found.removed,
    }
    return TrainingData(found.pairs, found.dev, facts, excluded=barred.keys)


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
    warn_of_held_out(len(found.dev), sum(tally.kept for tally in tallies))
    return found


def warn_of_held_out(held_out: int, kept: int) -> None:
    """Say on stderr where much of the data is held out, ``kept`` being the pairs to train on."""
    from parabench.data.training_set import held_out_warning

    warning = held_out_warning(held_out, kept)
    if warning is not None:
        typer.echo(f"warning   {warning}", err=True)


def _report_left_out(tallies: Sequence[SkipCounts]) -> None:
    """How many pairs of all corpora were left out, by reason, on stderr."""
    for reason, count in sum((tally.reasons for tally in tallies), Counter[str]()).most_common():
        typer.echo(f"left out  {count:>9,} {reason}", err=True)


def barred_sentences(suite: Suite, more: Path | None) -> TestSentences:
    """What no training may see: the sentences of the suite's test set, and of a file of the
    user's.
    """
    from parabench.data.leakage import TestSentences
    from parabench.data.test_sets import read_test_set

    files = [Path(suite.data)] * bool(suite.data) + ([more] if more else [])
    return TestSentences.of([example for file in files for example in read_test_set(file)])


@dataclass(frozen=True)
class EndlessPairs:
    """Pairs that can be read again from the start."""

    begin: Callable[[], Iterator[tuple[str, str]]]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return self.begin()
