"""Scratch arrays: the same numbers in memory and on disk."""

from __future__ import annotations

import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from parabench import scratch

MANY = 100_000


def test_many_numbers_are_on_disk_and_leave_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    tracemalloc.start()
    array = scratch.scratch_array(MANY, np.uint64)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept < MANY, "a byte a number at most, of eight"
    assert not array.any()
    array[-1] = 7
    assert array.sum() == 7
    assert not list(tmp_path.iterdir())


def test_without_a_place_on_disk_numbers_are_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    array = scratch.scratch_array(MANY, np.int32)
    array += 1
    assert array.sum() == MANY


@pytest.mark.parametrize("count", [0, 5, MANY])
def test_a_stream_is_copied(count: int) -> None:
    found = scratch.scratch_copy(iter(range(MANY)), count, np.uint32)
    np.testing.assert_array_equal(found, np.arange(count))


def test_a_stream_that_ends_early_is_refused() -> None:
    with pytest.raises(ValueError, match="too short"):
        scratch.scratch_copy(iter(range(3)), 4, np.uint32)


@pytest.mark.parametrize("block", [1, 3, 7, 1 << 16])
def test_sorted_distinct_numbers_are_numpys(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "BLOCK", block)
    for seed in range(20):
        draw = np.random.default_rng(seed)
        numbers = draw.integers(0, 30, int(draw.integers(0, 60)))
        expected = np.unique(numbers)
        np.testing.assert_array_equal(scratch.sort_distinct(numbers), expected)
