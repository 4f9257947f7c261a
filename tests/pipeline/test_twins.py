"""Texts that equal a reference: what an older version measured of them is never mixed with ours.

Until a text was measured without the reference that it equals, it met that reference in all turns
but one. Folders of that time say nothing of the rule, so it is told by the texts.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from parabench.contracts import Paraphrase, Signature, UserError
from parabench.pipeline import runner
from parabench.pipeline.plan import RunPlan
from parabench.stats import leave_one_out
from parabench.store.log import finished_statistics
from parabench.store.run_folder import verify_run
from tests.support import light


@dataclass
class Leaked:
    """Answers with a reference, in capitals, where the source's number is in ``of``."""

    of: tuple[int, ...] = (1, 4)
    signature: Signature = Signature("leaked")  # noqa: RUF009

    def paraphrase(self, sources: Sequence[str]) -> Iterator[Sequence[Paraphrase]]:
        for place, source in enumerate(sources):
            number = int(source.split()[2])
            text = f"IT IS {number}" if number in self.of else f"Number {number} is long."
            yield [Paraphrase(place, text, True)]


def planned(folder: Path, of: tuple[int, ...] = (1, 4), systems: str = "copy leaked") -> RunPlan:
    folder.mkdir(exist_ok=True)
    plan = light.plan(folder)
    known = {**plan.systems, "leaked": Leaked(of), "other": Leaked((), Signature("other"))}
    return replace(plan, systems={name: known[name] for name in systems.split()})


@pytest.fixture
def older(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The rule of older versions; undone by ``undo``."""
    monkeypatch.setattr(leave_one_out, "_twin", lambda references, text: None)
    return monkeypatch


def files(folder: Path) -> dict[str, bytes]:
    kept = [path for path in folder.rglob("*") if path.is_file() and path.name != "lock"]
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in kept
        if "quarantine" not in path.parts
    }


def test_statistics_of_the_older_rule_are_made_anew(
    tmp_path: Path, older: pytest.MonkeyPatch
) -> None:
    runner.run_plan(planned(tmp_path / "old"))
    before = files(tmp_path / "old/run")
    older.undo()
    notes = list[str]()
    runner.run_plan(planned(tmp_path / "old"), notice=notes.append)
    runner.run_plan(planned(tmp_path / "new"))
    after = files(tmp_path / "old/run")
    assert after == files(tmp_path / "new/run")
    changed = {name for name in before if before[name] != after[name]}
    assert "statistics/leaked.bleu.npz" in changed
    assert "statistics/copy.bleu.npz" not in changed
    assert any("leaked" in note and "twins" in note for note in notes), notes
    assert verify_run(tmp_path / "old/run") == []


def test_an_older_run_broken_off_while_measuring(tmp_path: Path, older: pytest.MonkeyPatch) -> None:
    """Some of its rows were measured by the older rule: none of them is kept."""
    broken = tmp_path / "old"

    def stop(what: str, done: int, total: int) -> None:
        if what == "bleu of leaked":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner.run_plan(planned(broken), advance=stop)
    assert list(broken.glob("run/statistics/leaked*.part.jsonl"))
    older.undo()
    runner.run_plan(planned(broken))
    runner.run_plan(planned(tmp_path / "new"))
    assert files(broken / "run") == files(tmp_path / "new/run")


def test_an_older_run_without_twins_is_kept(tmp_path: Path, older: pytest.MonkeyPatch) -> None:
    runner.run_plan(planned(tmp_path / "old", ()))
    before = files(tmp_path / "old/run")
    older.undo()
    runner.run_plan(
        planned(tmp_path / "old", ()), advance=lambda what, *_: pytest.fail(f"made anew: {what}")
    )
    assert files(tmp_path / "old/run") == before


def test_a_system_beside_one_of_the_older_rule_is_refused(
    tmp_path: Path, older: pytest.MonkeyPatch
) -> None:
    runner.run_plan(planned(tmp_path / "old"))
    shutil.copytree(tmp_path / "old", tmp_path / "named")
    older.undo()
    with pytest.raises(UserError, match=r"leaked has texts(.|\n)*name leaked among --systems"):
        runner.run_plan(planned(tmp_path / "old", systems="copy other"))
    runner.run_plan(planned(tmp_path / "named", systems="copy other leaked"))
    made = finished_statistics(tmp_path / "named/run", "leaked", "bleu")
    runner.run_plan(planned(tmp_path / "new", systems="copy other leaked"))
    expected = finished_statistics(tmp_path / "new/run", "leaked", "bleu")
    assert made[:].tobytes() == expected[:].tobytes()
    # what has no text of that kind is measured alike by both rules
    runner.run_plan(planned(tmp_path / "new", systems="other"))
