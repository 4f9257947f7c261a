"""The engine: token-weighted accumulation, schedules, and stopping before a bad update."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, ReduceLROnPlateau

from parabench.contracts import UserError
from parabench.training.batches import (
    STREAM_START,
    Batch,
    Batching,
    StreamPosition,
    iterate_batches,
)
from parabench.training.config import TrainingConfig
from parabench.training.loop import run_updates, start_progress
from parabench.training.losses import TrainingRow
from parabench.training.schedules import PlateauState, rate_factor


def rows(*sizes: int) -> list[TrainingRow]:
    return [TrainingRow([size], list(range(size))) for size in sizes]


def encode(sizes: Sequence[int]) -> list[TrainingRow]:
    return rows(*sizes)


def stream(config: Batching, start: StreamPosition = STREAM_START) -> Iterator[Batch]:
    return iterate_batches(range(1, 51), encode, config, start)


def seen(config: Batching, start: StreamPosition = STREAM_START) -> list[Batch]:
    assert config.epochs, "an endless stream makes no list"
    return list(stream(config, start))


def mean_size(weight: torch.nn.Parameter):
    """A loss whose mean per target token is the mean row size: its gradient shows how batches were
    weighted.
    """

    def loss(batch: Sequence[TrainingRow]) -> torch.Tensor:
        tokens = [len(row.target) for row in batch]
        return (
            weight * torch.tensor([float(n) for n in tokens]) * torch.tensor(tokens)
        ).sum() / sum(tokens)

    return loss


def one_step(config: TrainingConfig, supply: list[Batch]) -> tuple[float, float]:
    weight = torch.nn.Parameter(torch.ones(1))
    (log,) = run_updates(mean_size(weight), start_progress([weight], config), supply, config)
    return log.loss, weight.item()


def test_accumulated_batches_equal_one_big_batch() -> None:
    settings = {
        "steps": 1,
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "schedule": "constant",
        "clip": 0.0,
    }
    big = one_step(TrainingConfig(**settings), [Batch(rows(1, 2, 9, 4), StreamPosition())])
    parts = [Batch(rows(1, 2, 9), StreamPosition()), Batch(rows(4), StreamPosition(batch=1))]
    split = one_step(TrainingConfig(**settings, accumulation=2), parts)
    assert big == pytest.approx(split)
    assert big[0] == pytest.approx((1 + 4 + 81 + 16) / 16)
    assert big[1] == pytest.approx(1 - 0.1 * (1 + 4 + 81 + 16) / 16)


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd", "adafactor"])
def test_every_optimiser_moves_the_weights_the_right_way(optimizer: str) -> None:
    matrix = torch.nn.Parameter(torch.ones(3, 3))
    config = TrainingConfig(steps=3, optimizer=optimizer, learning_rate=0.1)
    list(
        run_updates(
            lambda _: matrix.square().mean(),
            start_progress([matrix], config),
            stream(Batching()),
            config,
        )
    )
    assert (matrix < 1).all()


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_schedules_equal_torchs(schedule: str) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    theirs = (
        LinearLR(optimizer, 1.0, 0.0, total_iters=20)
        if schedule == "linear"
        else CosineAnnealingLR(optimizer, 20)
    )
    config = TrainingConfig(steps=24, schedule=schedule, warmup=4)
    assert [rate_factor(config, step) for step in range(4)] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    for step in range(4, 24):
        assert rate_factor(config, step) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        theirs.step()


def test_plateau_equals_torchs() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    theirs = ReduceLROnPlateau(optimizer, factor=0.5, patience=2, threshold=0.0)
    config, plateau = TrainingConfig(schedule="plateau"), PlateauState()
    for loss in [5, 4, 4, 4, 4, 3, 3, 3, 3, 3, 3, 2, 9, 9, 9, 9, 9, 9, 9]:
        theirs.step(loss)
        plateau = plateau.after(loss, config)
        assert plateau.scale == optimizer.param_groups[0]["lr"]


def test_a_loss_that_is_not_a_number_stops_before_the_update() -> None:
    weight = torch.nn.Parameter(torch.ones(2, 2))
    config = TrainingConfig(steps=10, schedule="constant")
    bad = iter([1.0, 1.0, float("nan")])
    progress = start_progress([weight], config)
    good: list[torch.Tensor] = []

    def loss(_: Sequence[TrainingRow]) -> torch.Tensor:
        return weight.sum() * next(bad)

    with pytest.raises(UserError, match="at step 3 the loss is nan"):
        good.extend(
            weight.detach().clone() for _ in run_updates(loss, progress, stream(Batching()), config)
        )
    assert progress.step == 2
    assert torch.equal(weight, good[-1])


def test_a_rising_loss_stops() -> None:
    weight = torch.nn.Parameter(torch.ones(2, 2))
    config = TrainingConfig(
        steps=1000, optimizer="sgd", learning_rate=1.1, schedule="constant", clip=0.0, betas=(0, 0)
    )
    with pytest.raises(UserError, match="the loss rose from"):
        list(
            run_updates(
                lambda _: weight.square().sum(),
                start_progress([weight], config),
                stream(Batching()),
                config,
            )
        )


def test_every_row_comes_once_an_epoch_in_another_order() -> None:
    config = Batching(rows=4, window=16, epochs=2)
    order = [row.source[0] for batch in seen(config) for row in batch.rows]
    assert sorted(order[:50]) == sorted(order[50:]) == list(range(1, 51))
    assert order[:50] != order[50:]
    assert all(len(batch.rows) <= 4 for batch in seen(config))


def test_token_budget_holds_for_padded_batches() -> None:
    for batch in seen(Batching(rows=99, tokens=60, epochs=1)):
        longest = max(len(row.source) + len(row.target) for row in batch.rows)
        assert len(batch.rows) * longest <= 60 or len(batch.rows) == 1


def test_the_stream_goes_on_from_any_batch() -> None:
    config = Batching(rows=4, window=16, epochs=2, seed=3)
    whole = seen(config)
    for index, batch in enumerate(whole):
        assert seen(config, batch.then) == whole[index + 1 :]


def test_rows_that_do_not_fit_count_and_none_left_fails() -> None:
    skipped: Counter[str] = Counter()
    kept = list(
        iterate_batches(range(1, 51), encode, Batching(longest=11, epochs=1), skipped=skipped)
    )
    assert sum(len(batch.rows) for batch in kept) == 10
    assert skipped == {"longer than the limit": 40}
    with pytest.raises(UserError, match="no row of at most 1 tokens"):
        list(iterate_batches(range(1, 51), encode, Batching(longest=1)))


def test_an_iterator_gives_one_epoch() -> None:
    assert (
        sum(len(batch.rows) for batch in iterate_batches(iter(range(1, 51)), encode, Batching()))
        == 50
    )
