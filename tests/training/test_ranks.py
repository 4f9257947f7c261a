"""Processes together see each row once, and two of them end where one with twice the accumulation
does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from parabench.contracts import UserError
from parabench.torchrun import ProcessRank
from parabench.training.batches import Batching, iterate_batches
from parabench.training.config import TrainingConfig
from parabench.training.loop import TrainingProgress, run_updates, start_progress
from parabench.training.losses import TrainingRow
from parabench.training.ranks import Ranks
from parabench.training.requests import run_training
from tests.support import jobs

SUPPORT = Path(__file__).parents[1] / "support"


@dataclass(frozen=True)
class Unconnected(Ranks):
    """A process whose partners are simulated one after the other."""

    def sum(self, values: float, *more: float) -> list[float]:
        return [values, *more]

    def sum_gradients(self, parameters: object) -> None:
        pass


def encode(numbers: Sequence[int]) -> list[TrainingRow]:
    return [TrainingRow([number], [number] * (1 + number % 5)) for number in numbers]


def seen(rank: int, count: int, accumulation: int = 2) -> Counter[int]:
    weight, found = torch.nn.Parameter(torch.ones(1)), Counter[int]()

    def loss(rows: Sequence[TrainingRow]) -> torch.Tensor:
        found.update(row.source[0] for row in rows)
        return weight.sum()

    config = TrainingConfig(
        accumulation=accumulation, optimizer="sgd", batching=Batching(rows=3, window=16, epochs=1)
    )
    list(
        run_updates(
            loss,
            start_progress([weight], config),
            iterate_batches(range(50), encode, config.batching),
            config,
            Unconnected(ProcessRank(rank, count)),
        )
    )
    return found


@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_row_is_seen_once_by_one_process(count: int) -> None:
    found = [seen(rank, count) for rank in range(count)]
    assert sum(found, Counter()) == Counter(range(50))
    assert all(found)


@pytest.mark.slow
@pytest.mark.loopback
@pytest.mark.parametrize("count", [1, 2])
def test_an_epoch_of_real_processes_has_every_row_once(
    count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    launch = (
        ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        if count == 2
        else []
    )
    script = str(SUPPORT / "count_rows.py")
    subprocess.run(
        [sys.executable, *launch, script, "100001", str(tmp_path)], check=True, timeout=500
    )
    found = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("*.json"))]
    with capsys.disabled():
        print(
            f"\n{count} processes: rows computed {[len(one) for one in found]}, of 100001 each once"
        )
    assert len(found) == count
    assert sorted(number for one in found for number in one) == list(range(100_001))


@pytest.mark.loopback
def test_two_processes_end_where_twice_the_accumulation_does(tmp_path: Path) -> None:
    jobs.base("finetuned", tmp_path)
    script = SUPPORT / "two_processes.py"
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        str(script),
    ]
    done = subprocess.run(
        [*command, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=500,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    one = run_training(jobs.request("finetuned", tmp_path, "one", accumulation=2))
    torch.set_num_threads(threads)
    log = (tmp_path / "two" / "training" / "log.jsonl").read_text()
    assert log == (tmp_path / "one" / "training" / "log.jsonl").read_text()
    ends = [load_file(tmp_path / name / "training" / "last.safetensors") for name in ("one", "two")]
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())
    assert one.steps == 7
    with pytest.raises(UserError, match="processes"):
        run_training(jobs.request("finetuned", tmp_path, "two"))


def test_out_of_memory_halves_the_rows_and_keeps_the_update() -> None:
    """A loss that can hold three rows: the update equals that of a loss without a limit."""

    def run(limit: int) -> tuple[float, float, TrainingProgress]:
        weight = torch.nn.Parameter(torch.ones(2, 2))

        def loss(rows: Sequence[TrainingRow]) -> torch.Tensor:
            if len(rows) > limit:
                raise torch.OutOfMemoryError
            tokens = sum(len(row.target) for row in rows)
            return (weight.sum() * sum(len(row.target) * row.source[0] for row in rows)) / tokens

        config = TrainingConfig(
            steps=3, optimizer="sgd", learning_rate=1e-4, clip=0.0, batching=Batching(rows=16)
        )
        progress = start_progress([weight], config)
        logs = list(
            run_updates(
                loss, progress, iterate_batches(range(1, 50), encode, config.batching), config
            )
        )
        return logs[-1].loss, weight.sum().item(), progress

    small, whole = run(3), run(99)
    assert small[:2] == pytest.approx(whole[:2], rel=1e-6)
    assert (small[2].rows, whole[2].rows) == (2, 0)
    with pytest.raises(UserError, match="one row does not fit"):
        run(0)
