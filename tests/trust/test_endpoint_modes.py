"""A served model answers a row, leaves it unanswered with a reason, or ends with a message."""

from __future__ import annotations

import pytest

from tests.trust import endpoint_modes

pytestmark = pytest.mark.loopback


@pytest.mark.parametrize("name", endpoint_modes.MODES)
def test_every_mode_comes_to_what_it_should(name: str) -> None:
    assert list(endpoint_modes.problems(name)) == []


def test_there_are_modes_enough() -> None:
    assert len(endpoint_modes.MODES) >= 39
