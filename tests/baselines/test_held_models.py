"""A model that several systems stand on is loaded once in a run, never two at a time, and none
beside the scorers'.
"""

from pathlib import Path

import pytest
from parabench.baselines import causal

from parabench.contracts import ModelCache
from parabench.pipeline import plan as planning
from parabench.pipeline import runner
from parabench.suites import suite


def test_one_thing_is_held_at_a_time():
    held, events = ModelCache(), []

    class Thing:
        def __init__(self, name: str) -> None:
            events.append(f"made {name}")
            self.name = name

        def __del__(self) -> None:
            events.append(f"gone {self.name}")

    assert held.get(Thing, "a") is held.get(Thing, "a")
    held.get(Thing, "b")
    held.clear()
    assert events == ["made a", "gone a", "made b", "gone b"]
    with pytest.raises(ZeroDivisionError):
        held.get(divmod, 1, 0)
    assert held.get(divmod, 7, 2) == (3, 1)


def test_systems_on_one_base_load_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, load, held = [], causal.load_causal, []
    monkeypatch.setattr(causal, "load_causal", lambda *given: loaded.append(given) or load(*given))
    names = ("softprompt-20", "softprompt-111", "zeroshot")
    request = planning.RunRequest(
        suite.load_suite("mini"), names, ("bleu",), limit=2, output=tmp_path / "run", device="cpu"
    )
    plan = planning.make_plan(request)
    model = plan.systems["softprompt-20"].setting.models  # type: ignore[attr-defined]
    measure = runner.measure_answers
    monkeypatch.setattr(
        runner, "measure_answers", lambda *given: held.append(model._made) or measure(*given)
    )
    runner.run_plan(plan)
    assert len(loaded) == 1
    assert held == [None]
