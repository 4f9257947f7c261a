"""Several samples a source: every row stands so often among the rows, each time with a seed of its
own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from parabench.contracts import Paraphrase

_Item = TypeVar("Item")


def repeat_rows(rows: Sequence[_Item], samples: int) -> list[_Item]:
    """Every row ``samples`` times, one after the other."""
    return [row for row in rows for _ in range(samples)]


def join_samples(
    batches: Iterable[Sequence[Paraphrase]], samples: int
) -> Iterator[Sequence[Paraphrase]]:
    """The answers to repeated rows as one answer a source, each as soon as the last of its samples
    is there.
    """
    if samples == 1:
        yield from batches
        return
    waiting: defaultdict[int, dict[int, Paraphrase]] = defaultdict(dict)
    for batch in batches:
        places = [divmod(answer.position, samples) for answer in batch]
        for (source, sample), answer in zip(places, batch, strict=True):
            waiting[source][sample] = answer
        whole = [
            source
            for source in dict.fromkeys(source for source, _ in places)
            if len(waiting[source]) == samples
        ]
        if whole:
            yield [_joined(source, waiting.pop(source)) for source in whole]


def _joined(source: int, answers: dict[int, Paraphrase]) -> Paraphrase:
    texts = tuple(answers[sample].text for sample in range(len(answers)))
    return answers[0]._replace(position=source, samples=texts)
