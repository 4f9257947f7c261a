"""Measuring what all systems wrote of a block of examples in one call of a scorer.

Systems, controls and turns ask about the same sources and references, and often about the same
outputs. In one call a scorer is asked about each distinct text once, instead of once a system.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from parabench.contracts import Example, Scorer
from parabench.data.examples import EvaluationSet
from parabench.data.normalise import Normaliser
from parabench.sequences import blocks_of
from parabench.stats.leave_one_out import measure_systems
from parabench.stats.undefined import undefined_reasons
from parabench.store.log import Log

ROWS_PER_CALL = 4096
"""Examples times systems in one call: bounds its memory for scorers that ask for large blocks."""


def measure_block(
    scorer: Scorer,
    data: EvaluationSet,
    normalise: Normaliser,
    block: Sequence[int],
    logs: Mapping[str, Log],
    texts: Mapping[str, Sequence[list[str]]],
) -> Iterator[str]:
    """Measure a block of examples for all systems, and append what their logs do not hold yet.

    ``scorer``: what measures. ``data``: all examples of the run. ``normalise``: applied to every
    text before it is measured. ``block``: positions of examples. ``logs``: the unfinished logs of
    the scorer, by system. ``texts``: what each system wrote of every example. Yields each system
    once it is written.

    The rows of a call are the same whatever was there already, so that a run that was killed and
    resumed has the very bits of one that was not: batches of a model decide the last bit.
    """
    examples = [normalise.example(data.examples[place]) for place in block]
    for systems in systems_per_call(list(logs), len(block)):
        missing = {}
        for system in systems:
            missing[system] = _missing(logs[system], examples)
        # All systems of a call are measured again where one lacks a row, for the same batches.
        if not any(missing.values()):
            continue
        # One item a system; in it one an example; in that one a text, of turns or samples.
        given = [_normalised(normalise, texts[system], block) for system in systems]
        measured = measure_systems(scorer, examples, given)
        for system, several, rows in zip(systems, given, measured, strict=True):
            left = missing[system]
            if not left:
                continue
            kept = [examples[at] for at in left]
            kept_texts = [several[at] for at in left]
            kept_rows = rows[left]
            reasons = undefined_reasons(scorer, kept, kept_texts, kept_rows)
            ids = [example.id for example in kept]
            records = zip(ids, kept_rows.tolist(), strict=True)
            logs[system].append(list(records), reasons)
            yield system


def _missing(log: Log, examples: Sequence[Example]) -> list[int]:
    """The places in the block of those examples that the log does not hold."""
    return [at for at, example in enumerate(examples) if example.id not in log.done]


def _normalised(
    normalise: Normaliser,
    texts: Sequence[list[str]],
    block: Sequence[int],
) -> list[list[str]]:
    found = []
    for place in block:
        found.append([normalise(text) for text in texts[place]])
    return found


def systems_per_call(systems: Sequence[str], examples: int) -> list[Sequence[str]]:
    """The systems in groups whose rows, ``examples`` each, fit into one call."""
    count = max(1, ROWS_PER_CALL // max(1, examples))
    return blocks_of(systems, count)
