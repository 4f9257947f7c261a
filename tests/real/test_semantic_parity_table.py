"""The worked example of docs/metrics.md is what the models of the suite smollm2 say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from parabench.scorers import semantic_parity

from parabench.contracts import BuildContext, Example
from parabench.models.local import Checkpoint
from parabench.stats.leave_one_out import measure_leave_one_out
from tests.real.conftest import MINILM, SMOLLM2

pytestmark = pytest.mark.real

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"
EXAMPLE = Example(
    "a",
    "The old man walked slowly to the harbour.",
    (
        "Slowly, the aged man made his way to the port.",
        "The elderly man made his way to the port at a slow pace.",
        "The aged man took his time on the way to the port.",
    ),
)
PEOPLE = "people, each left out in turn"


def printed_rows() -> Iterator[tuple[str, list[float]]]:
    """The texts of the table, with value, three shares and faults."""
    section = DOCS.read_text(encoding="utf-8").split("### Semantic parity, worked out")[1]
    for line in section.split("\n\n### ")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 6 and cells[1][:1].isdigit() | cells[1].startswith("."):
            meaning, expected, rewording, faults, value = map(float, cells[1:])
            yield cells[0], [value, meaning, expected, rewording, 100 * faults]


def test_the_table_of_the_docs(minilm: Checkpoint, smollm2: Checkpoint) -> None:
    options: dict[str, str | int | float | bool] = {
        "model": MINILM,
        "layers": 6,
        "causal": SMOLLM2,
        "begin": "<|endoftext|>",
    }
    scorer = semantic_parity.build(
        "",
        BuildContext(options=options, sources=[EXAMPLE.source], human_answers=[EXAMPLE.references]),
    )
    rows = dict(printed_rows())
    assert len(rows) == 8
    for text, expected in rows.items():
        several = list(EXAMPLE.references) if text == PEOPLE else [text]
        measured = measure_leave_one_out(scorer, [EXAMPLE], [several])
        assert scorer.combine(measured) == pytest.approx(expected, abs=0.051), text
        assert scorer.combine(measured)[1:4] == pytest.approx(expected[1:4], abs=6e-4), text
