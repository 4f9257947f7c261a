"""The one natural pass: resolve, load, generate, measure, combine, report; each stage reads what the last one wrote."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from parabench import provenance
from parabench.contracts import Example, Scorer, UserError
from parabench.planning import Plan, check
from parabench.store import Kind, Log, Run, open_run, read_log

if TYPE_CHECKING:
    from parabench.report.leaderboard import Leaderboard

BLOCK = 128
"""Examples measured between two writes: what an interruption can cost."""

Item = TypeVar("Item")
Advance = Callable[[str, int, int], None]
"""Told what is being done, how many are done, and of how many."""


def run(plan: Plan, advance: Advance = lambda what, done, total: None) -> Leaderboard:
    """Finish a plan, doing only what its folder does not hold already, and report everything the folder holds."""
    from parabench.report.assemble import write_reports

    check(plan)
    with open_run(plan.folder, plan.identity) as folder:
        folder.write_examples(example_records(plan))
        for name in plan.systems:
            generate(folder, plan, name, advance)
        for name in plan.scorers:
            measure(folder, plan, name, advance)
        provenance.write(plan, folder.folder)
        board = write_reports(folder.folder)
        folder.seal()
    return board


def example_records(plan: Plan) -> list[dict[str, Any]]:
    """The examples as they are stored; the human's answer is empty where none was held out."""
    human = plan.data.held_out or [""] * len(plan.data.examples)
    return [
        {"id": e.id, "source": e.source, "references": list(e.references), "human": answer}
        for e, answer in zip(plan.data.examples, human, strict=True)
    ]


def generate(folder: Run, plan: Plan, name: str, advance: Advance) -> None:
    """Let one system paraphrase what it has not yet, writing each batch as it finishes."""
    system = plan.systems[name]
    key = {"system": name, "signature": str(system.signature), "role": getattr(system, "role", "system")}
    log = folder.log("predictions", name, key=key)
    missing = _missing(log, plan.data.examples)
    if missing:
        for batch in system.paraphrase([example.source for example in missing]):
            log.append([(missing[p.position].id, {"text": p.text, "finished": p.finished}) for p in batch])
            advance(name, len(log.done), len(plan.data.examples))
    log.seal([example.id for example in plan.data.examples])


def measure(folder: Run, plan: Plan, name: str, advance: Advance) -> None:
    """Let one scorer measure all systems of the plan, block by block, then release its models."""
    scorer = plan.scorers[name]
    for system in plan.systems:
        texts = {key: record["text"] for key, record in read_log(folder.folder, "predictions", system)[1].items()}
        log = folder.log("statistics", system, name, key=_statistics_key(system, name, scorer, texts))
        missing = _missing(log, plan.data.examples)
        for block in _blocks(missing, BLOCK):
            plain = plan.suite.normalise
            rows = scorer.measure(list(map(plain.example, block)), [plain(texts[example.id]) for example in block])
            if rows.ndim != 2 or len(rows) != len(block):
                raise UserError(f"measure with {name}", f"an array of shape {rows.shape} for {len(block)} examples")
            log.append([(example.id, row) for example, row in zip(block, rows.tolist(), strict=True)])
            advance(f"{name} of {system}", len(log.done), len(plan.data.examples))
        log.seal([example.id for example in plan.data.examples])
    release = getattr(scorer, "release", None)
    if release:
        release()


def _statistics_key(system: str, name: str, scorer: Scorer, texts: dict[str, str]) -> dict[str, Any]:
    digest = hashlib.sha256("\0".join(f"{key}\0{texts[key]}" for key in sorted(texts)).encode()).hexdigest()
    return {"system": system, "scorer": name, "signature": str(scorer.signature), "predictions": digest}


def _missing(log: Log, examples: Sequence[Example]) -> list[Example]:
    return [] if log.sealed else [example for example in examples if example.id not in log.done]


def _blocks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def status(plan: Plan) -> dict[tuple[str, ...], int]:
    """How many examples each system, and each system and scorer, has done already; for a dry run."""
    made = {(name,): _done(plan.folder, "predictions", name) for name in plan.systems}
    pairs = ((system, scorer) for scorer in plan.scorers for system in plan.systems)
    return made | {pair: _done(plan.folder, "statistics", *pair) for pair in pairs}


def _done(folder: Path, kind: Kind, *names: str) -> int:
    try:
        return len(read_log(folder, kind, *names)[1])
    except UserError:
        return 0
