"""Corpora that already live on a Ray cluster: the same scorers over the blocks of a
``ray.data.Dataset``.

Ray promises no order and may do a block twice, so rows carry their own ids; nothing here is resumed
by us.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from parabench.contracts import Example, Runtime
from parabench.filtering.scoring import build_scorers, measure_rows
from parabench.filtering.source import ROWS_PER_BLOCK, FilterRow
from parabench.models.loading import resolve_device
from parabench.stats.arrays import per_example
from parabench.suites import suite as suites


class ScoreRows:
    """One actor: its scorers are built once, and every batch it is given comes back with their
    columns.
    """

    def __init__(
        self, scorers: Sequence[str], suite: str = "overlap", device: str = "auto"
    ) -> None:
        """``scorers`` as the suite defines them; models are loaded with the first batch."""
        self.suite = suites.load_suite(suite)
        self.scorers = build_scorers(
            self.suite, scorers, Runtime(resolve_device(device), self.suite.dtype)
        )

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """A batch of columns ``source``, ``prediction`` and, where scorers read them,
        ``references``.
        """
        references = batch.get("references", [()] * len(batch["source"]))
        rows = [
            FilterRow(Example(str(at), str(source), tuple(map(str, several))), str(text))
            for at, (source, text, several) in enumerate(
                zip(batch["source"], batch["prediction"], references, strict=True)
            )
        ]
        found = dict(batch)
        for scorer in self.scorers.values():
            values = per_example(scorer.combine, measure_rows(scorer, rows, self.suite.normalise)).T
            found |= {column.name: row for column, row in zip(scorer.columns, values, strict=True)}
        return found


def score_dataset(
    dataset: Any, scorers: Sequence[str], suite: str = "overlap", actors: int = 1, gpus: float = 0
) -> Any:
    """A ``ray.data.Dataset`` with a column for each of the scorers' columns, measured by so many
    actors.
    """
    return dataset.map_batches(
        ScoreRows,
        fn_constructor_args=(tuple(scorers), suite, "cuda" if gpus else "cpu"),
        batch_size=ROWS_PER_BLOCK,
        concurrency=actors,
        num_gpus=gpus,
    )
