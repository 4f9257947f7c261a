"""What the command line does, as functions for programs and notebooks.

Examples are ``Example`` objects, or records as a JSONL test set holds them; a path is read as
usual. Nothing is printed. Bad input raises ``UserError``, with the message that the command line
would show.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parabench.contracts import BuildContext, Example, Runtime, UserError

if TYPE_CHECKING:
    import pandas

    from parabench.contracts import ProgressCallback, Score
    from parabench.pipeline.plan import RunPlan, RunRequest
    from parabench.report.board import Leaderboard

File = str | PathLike[str]
_Record = Mapping[str, Any]


@dataclass(frozen=True)
class Results:
    """A finished run: its folder, and its leaderboard. Prints itself; in a notebook, shows
    itself as a table.
    """

    folder: Path
    leaderboard: Leaderboard

    def score(self, system: str, column: str) -> Score:
        """One cell: value, 95 % interval, signature, undefined examples; UserError if there is
        none.
        """
        rows = {row.system: row.scores for row in self.leaderboard.rows}
        if system not in rows:
            raise UserError(
                f"look up the system {system!r}", "it is not in the table", sorted(rows)
            )
        if column not in rows[system]:
            raise UserError(
                f"look up the column {column!r}", "it is not in the table", sorted(rows[system])
            )
        return rows[system][column]

    def frame(self) -> pandas.DataFrame:
        """The values, a row for each system in the table's order, a column for each column;
        undefined is NaN.
        """
        import pandas

        from parabench.report.board import ordered_rows

        names = [column.name for column in self.leaderboard.columns]
        values = {}
        for row in ordered_rows(self.leaderboard):
            values[row.system] = {name: score.value for name, score in row.scores.items()}
        frame = pandas.DataFrame.from_dict(values, orient="index", columns=names)
        return frame.rename_axis("system")

    def samples(self) -> pandas.DataFrame:
        """Every output of every system, with its example and its value in every column; kept as
        ``samples.parquet``.
        """
        import pandas

        from parabench.report.assemble import page_data
        from parabench.report.exports import to_parquet
        from parabench.report.run_reader import load_results

        # Written each time: the tables of the folder may have been made again since.
        path = self.folder / "samples.parquet"
        to_parquet(page_data(load_results(self.folder), self.leaderboard, ()), path)
        return pandas.read_parquet(path)

    def __str__(self) -> str:
        from parabench.report.leaderboard import board_to_markdown

        # The main table and the notes to it; tables under a heading of their own are left out.
        return board_to_markdown(self.leaderboard).split("\n## ")[0]

    def _repr_markdown_(self) -> str:
        return str(self)


def run(
    systems: Sequence[str] | None = None,
    *,
    suite: str = "mini",
    scorers: Sequence[str] | None = None,
    data: File | Sequence[Example | _Record] | None = None,
    limit: int | None = None,
    seed: int = 0,
    device: str = "auto",
    dtype: str | None = None,
    output: File | None = None,
    samples: int | None = None,
) -> Results:
    """Generate, measure and report, as ``parabench run`` does; the same call resumes and reuses
    what is there.

    With ``samples`` every source has several texts, of which all columns but those against samples
    read the first.

    >>> results = run(["copy"], scorers=["ibleu"], data=EXAMPLES, output=FOLDER / "copied")
    >>> results.score("copy", "src_bleu").value
    100.0
    """
    from parabench.pipeline import plan as planning

    request = replace(
        _request(suite, systems, scorers, seed, device, dtype, output, limit), samples=samples
    )
    if data is None or isinstance(data, (str, PathLike)):
        return _execute(planning.make_plan(replace(request, data=Path(data) if data else None)))
    return _execute(planning.plan_examples(request, _examples(data)))


def score(
    predictions: Sequence[str] | Mapping[str, Sequence[str]],
    examples: File | Sequence[Example | _Record],
    *,
    suite: str = "overlap",
    scorers: Sequence[str] | None = None,
    seed: int = 0,
    device: str = "auto",
    output: File | None = None,
) -> Results:
    """Score texts, one for each example in their order, beside the suite's controls, as ``parabench
    score`` does.

    Several systems are a mapping from name to texts; one alone is called ``predictions``.

    >>> texts = ["Why did she leave?", "No one came."]
    >>> results = score(texts, EXAMPLES, scorers=["ibleu"], output=FOLDER / "scored")
    >>> results.frame().loc["copy", "src_bleu"]
    np.float64(100.0)
    >>> score(["Why did she leave?"], EXAMPLES)
    Traceback (most recent call last):
    ...
    parabench.contracts.values.UserError: score predictions
      found:   1 texts for 2 examples
      mend:    give one text for each example
    """
    from parabench.data.test_sets import read_test_set
    from parabench.pipeline.prediction_files import plan_texts

    asked = (
        _examples(examples)
        if not isinstance(examples, (str, PathLike))
        else read_test_set(Path(examples))
    )
    given = predictions if isinstance(predictions, Mapping) else {"predictions": predictions}
    request = _request(suite, (), scorers, seed, device, None, output, None)
    return _execute(plan_texts(request, asked, given))


def load(folder: File) -> Results:
    """The results of a finished run, reported again from its folder; no model is needed."""
    from parabench.report.assemble import write_reports

    return Results(Path(folder), write_reports(Path(folder)))


def paraphrase(
    texts: Sequence[str],
    system: str = "softprompt-111",
    *,
    suite: str = "mini",
    n: int = 1,
    seed: int = 0,
    device: str = "auto",
    advance: ProgressCallback | None = None,
) -> list[list[str]]:
    """``n`` paraphrases of each text by a system of a suite; several are sampled, top-p 0.9 unless
    the suite says how.

    A system that leaves nothing to chance gives the same one ``n`` times. ``advance`` hears how
    many texts are answered.

    >>> paraphrase(["Nobody came."], "copy")
    [['Nobody came.']]
    """
    from parabench.models.loading import resolve_device
    from parabench.pipeline import plan as planning
    from parabench.suites import suite as suites

    chosen = suites.load_suite(suite)
    decoding = planning.with_samples(chosen, n).decoding
    setting = BuildContext(
        Runtime(resolve_device(device), chosen.dtype, seed=seed), decoding, sources=tuple(texts)
    )
    made = dict[int, list[str]]()
    for batch in planning.build_plugin("system", system, chosen, setting).paraphrase(texts):
        made |= {one.position: list(one.samples) or [one.text] * n for one in batch}
        if advance is not None:
            advance(system, len(made), len(texts))
    return [made[place] for place in range(len(texts))]


def _request(
    suite: str,
    systems: Sequence[str] | None,
    scorers: Sequence[str] | None,
    seed: int,
    device: str,
    dtype: str | None,
    output: File | None,
    limit: int | None,
) -> RunRequest:
    from parabench.pipeline import plan as planning
    from parabench.suites import suite as suites

    return planning.RunRequest(
        suites.load_suite(suite),
        systems,
        scorers,
        None,
        limit,
        seed,
        device,
        dtype,
        None,
        Path(output) if output else None,
    )


def _examples(given: Sequence[Example | _Record]) -> list[Example]:
    from parabench.data.test_sets import example_from_json

    where = Path("examples")
    return [
        one if isinstance(one, Example) else example_from_json(where, number, json.dumps(dict(one)))
        for number, one in enumerate(given, 1)
    ]


def _execute(plan: RunPlan) -> Results:
    from parabench.pipeline import runner

    return Results(plan.folder, runner.run_plan(plan))
