"""Scorers with one encoder encode each text of a block once, and get what each gets alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from parabench.scorers import token_vectors
from parabench.scorers.token_vectors import LayerEncoder

from parabench.contracts import Column, ProgressCallback, Scorer, Signature
from parabench.pipeline import run_logs, stages
from parabench.pipeline.plan import RunPlan, RunRequest, make_plan
from parabench.render.progress import OverallProgress
from parabench.store.log import read_log
from parabench.store.run_folder import open_run
from parabench.suites.suite import load_suite
from tests.support import encoders, tiny_suite

SCORERS = ("bertscore", "bertibleu", "parascore")
BLOCK = 5
"""Examples of a block here, so that the 12 of the tiny suite make three."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    tiny_suite.examples_file(folder)
    encoders.roberta(folder / "roberta")
    tables = [f'[scorer.{name}]\nmodel = "./roberta"\nlayers = 2' for name in SCORERS]
    lines = [
        'name = "shared"',
        'title = "Shared"',
        'data = "./examples.jsonl"',
        'controls = ["human", "copy", "shuffled", "empty"]',
        'scorers = ["ibleu"]',
        'headline = "ibleu"',
        *tables,
    ]
    (folder / "shared.toml").write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "SCORER_BATCH", BLOCK)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[int, ...]]:
    """How often each text's token ids went through the encoder."""
    seen = Counter[tuple[int, ...]]()
    original = LayerEncoder._hidden

    def counting(self: LayerEncoder, token_ids: Any) -> Any:
        seen.update(tuple(ids) for ids in token_ids)
        return original(self, token_ids)

    monkeypatch.setattr(LayerEncoder, "_hidden", counting)
    return seen


def plan_of(world: Path, output: Path, scorers: tuple[str, ...] = SCORERS) -> RunPlan:
    suite = load_suite(str(world / "shared.toml"))
    return make_plan(RunRequest(suite, (), scorers, device="cpu", output=output))


def measure(plan: RunPlan, advance: ProgressCallback = run_logs.no_progress) -> None:
    """A run without its report."""
    with open_run(plan.folder, plan.identity) as folder:
        run = run_logs.OpenRun(plan, folder, advance=advance)
        for system in plan.systems:
            stages.generate_answers(run, system)
        stages.measure_answers(run)


def statistics(plan: RunPlan, names: tuple[str, ...] = SCORERS) -> dict[tuple[str, str], Any]:
    found = {}
    for scorer in names:
        for system in plan.systems:
            records = read_log(plan.folder, "statistics", system, scorer)[1]
            found[scorer, system] = dict(records.items())
    return found


def texts_of_blocks(plan: RunPlan) -> Iterator[set[str]]:
    """The distinct texts of each block: sources, references and what each control wrote."""
    logs = [read_log(plan.folder, "predictions", system)[1] for system in plan.systems]
    examples = list(plan.data.examples)
    for start in range(0, len(examples), BLOCK):
        found = set[str]()
        for example in examples[start : start + BLOCK]:
            written = [log[example.id]["text"] for log in logs]
            found.update((example.source, *example.references, *written))
        yield found - {""}


def test_each_text_of_a_block_is_encoded_once(
    world: Path, tmp_path: Path, encoded: Counter[tuple[int, ...]]
) -> None:
    plan = plan_of(world, tmp_path / "run")
    loaded = list[Any]()
    with pytest.MonkeyPatch.context() as patch:
        load = token_vectors.load_encoder
        patch.setattr(
            token_vectors, "load_encoder", lambda *given: loaded.append(given) or load(*given)
        )
        measure(plan)
    assert len(loaded) == 1
    assert encoded.total() == sum(map(len, texts_of_blocks(plan)))


def test_numbers_are_those_of_each_alone_in_any_order(world: Path, tmp_path: Path) -> None:
    together = plan_of(world, tmp_path / "together")
    measure(together)
    backwards = plan_of(world, tmp_path / "backwards", SCORERS[::-1])
    measure(backwards)
    assert statistics(together) == statistics(backwards)
    for name in SCORERS:
        alone = plan_of(world, tmp_path / name, (name,))
        measure(alone)
        expected = statistics(alone, (name,))
        assert expected == {key: statistics(together)[key] for key in expected}


def test_the_line_of_progress_never_stands_still(world: Path, tmp_path: Path) -> None:
    """Scorers that go side by side are one stage, so that none is taken for done before another."""
    plan = plan_of(world, tmp_path / "run", ("bertscore", "ibleu", "parascore"))
    work = stages.work_by_weight(plan)
    together = work[len(plan.systems)]
    assert {name.partition(" of ")[0] for name in together} == {"bertscore", "parascore"}
    overall = OverallProgress(work)
    shares = []

    def note(what: str, done: int, total: int) -> None:
        assert what in overall.stage_of
        overall.advance(what, done, total)
        shares.append(overall.share)

    measure(plan, note)
    assert shares == sorted(set(shares))
    assert shares[-1] == pytest.approx(1)


def test_a_killed_run_ends_with_the_same_bits(world: Path, tmp_path: Path) -> None:
    whole = plan_of(world, tmp_path / "whole")
    measure(whole)
    broken = plan_of(world, tmp_path / "broken")
    calls = 0

    def dies(what: str, done: int, total: int) -> None:
        nonlocal calls
        calls += what.startswith("parascore")
        if calls == 6:  # within the second block, after the other two scorers
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(broken, dies)
    measure(plan_of(world, tmp_path / "broken"))
    assert statistics(broken) == statistics(whole)


def test_what_does_not_fit_is_encoded_in_parts(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = plan_of(world, tmp_path / "whole")
    measure(whole)
    most = list[int]()
    original = LayerEncoder._encoded

    def watching(self: LayerEncoder, texts: Any, runtime: Any) -> Any:
        found = original(self, texts, runtime)
        most.append(4 * found.vectors.numel())
        return found

    monkeypatch.setattr(LayerEncoder, "_encoded", watching)
    limit = 1 << 14  # a few texts of 32 numbers a token
    monkeypatch.setattr(token_vectors, "ENCODED_BYTES", limit)
    parts = plan_of(world, tmp_path / "parts")
    measure(parts)
    assert 0 < max(most) <= limit
    assert len(most) > 9
    for key, rows in statistics(whole).items():
        for name, row in rows.items():
            np.testing.assert_allclose(statistics(parts)[key][name], row, atol=1e-6)


@dataclass
class Plain:
    """A scorer of somebody else, who knows only the four members of the contract."""

    calls: list[int]
    columns: tuple[Column, ...] = (Column("length", "none", "output"),)
    signature: Signature = Signature("plain")  # noqa: RUF009

    def measure(self, examples: Any, texts: Any) -> Any:
        self.calls.append(len(texts))
        return np.array([[float(len(text)), 1.0] for text in texts])

    def combine(self, rows: Any) -> Any:
        return rows[:, :1].sum(axis=0) / len(rows)


def test_scorers_that_share_nothing_are_asked_as_before(world: Path, tmp_path: Path) -> None:
    plan = plan_of(world, tmp_path / "run", ("bertscore",))
    plain = Plain([])
    scorers: dict[str, Scorer] = {"plain": plain, **plan.scorers}
    # logs are keyed by a family that the registry knows
    options = {**plan.suite.scorer, "plain": {"family": "ibleu"}}
    suite = plan.suite.model_copy(update={"scorer": options})
    measure(replace(plan, scorers=scorers, suite=suite))
    # people write one text for each of two turns, and the other controls one for each example
    assert plain.calls == [5 * BLOCK, 5 * BLOCK, 5 * 2]
