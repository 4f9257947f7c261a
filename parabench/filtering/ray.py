"""Corpora that already live on a Ray cluster: the same scorers over the blocks of a
``ray.data.Dataset``.

Ray promises no order and may do a block twice, so rows carry their own ids; nothing here is resumed
by us.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from parabench.contracts import Example, Runtime, Scorer
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
        self,
        scorers: Sequence[str],
        suite: str = "overlap",
        device: str = "auto",
    ) -> None:
        """Build ``scorers`` as the ``suite`` defines them, for a ``device``.

        Models are loaded with the first batch. Raises UserError for an unknown name.
        """
        self.suite = suites.load_suite(suite)
        runtime = Runtime(resolve_device(device), self.suite.dtype)
        # built one by one, so that each has a model cache of its own: all of them measure every
        # batch in turn, and a cache that they share would load their models again and again
        self.scorers = dict[str, Scorer]()
        for name in scorers:
            self.scorers |= build_scorers(self.suite, [name], runtime)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """A batch of columns ``source``, ``prediction`` and, where scorers read them,
        ``references``.
        """
        sources = batch["source"]
        without = [()] * len(sources)
        references = batch.get("references", without)
        rows = []
        columns = zip(sources, batch["prediction"], references, strict=True)
        for at, (source, text, several) in enumerate(columns):
            # Ray hands out numpy's own strings
            example = Example(str(at), str(source), tuple(map(str, several)))
            rows.append(FilterRow(example, str(text)))
        found = dict(batch)
        for scorer in self.scorers.values():
            statistics = measure_rows(scorer, rows, self.suite.normalise)
            values = per_example(scorer.combine, statistics).T  # columns by rows
            # arrays, and not lists: Ray keeps them as columns of Arrow's
            for column, of_rows in zip(scorer.columns, values, strict=True):
                found[column.name] = of_rows
        return found


def score_dataset(
    dataset: Any,
    scorers: Sequence[str],
    suite: str = "overlap",
    actors: int = 1,
    gpus: float = 0,
) -> Any:
    """A ``ray.data.Dataset`` with a column more for each column of the scorers.

    ``dataset``: has the columns ``source``, ``prediction`` and, where scorers read them,
    ``references``. ``scorers``: their names in the ``suite``. ``actors``: processes that measure.
    ``gpus``: GPUs of each; 0 measures on the CPU.
    """
    return dataset.map_batches(
        ScoreRows,
        fn_constructor_args=(tuple(scorers), suite, "cuda" if gpus else "cpu"),
        batch_size=ROWS_PER_BLOCK,
        concurrency=actors,
        num_gpus=gpus,
    )
