"""Several samples a source: rows are repeated for the decoder, their answers joined again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from parabench.contracts import Paraphrase

_Item = TypeVar("_Item")


def repeat_rows(rows: Sequence[_Item], samples: int) -> list[_Item]:
    """Return each row ``samples`` times, row ``i`` of the result being row ``i // samples``."""
    return [row for row in rows for _ in range(samples)]


def join_samples(
    batches: Iterable[Sequence[Paraphrase]], samples: int
) -> Iterator[Sequence[Paraphrase]]:
    """Yield one answer a source from the answers to repeated rows.

    ``batches`` hold answers in any order, numbered as ``repeat_rows`` numbers them. A source is
    yielded as soon as the last of its ``samples`` has come, so few of them wait in memory.
    """
    if samples == 1:
        yield from batches
        return

    waiting: defaultdict[int, dict[int, Paraphrase]] = defaultdict(dict)
    for batch in batches:
        touched = dict[int, None]()  # an ordered set of the sources that this batch answers
        for answer in batch:
            source, sample = divmod(answer.position, samples)
            waiting[source][sample] = answer
            touched[source] = None
        complete = [source for source in touched if len(waiting[source]) == samples]
        if complete:
            yield [_joined(source, waiting.pop(source)) for source in complete]


def _joined(source: int, answers: dict[int, Paraphrase]) -> Paraphrase:
    """One answer that holds all samples in the order of their numbers."""
    texts = tuple(answers[sample].text for sample in range(len(answers)))
    return answers[0]._replace(position=source, samples=texts)
