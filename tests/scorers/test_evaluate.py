"""The door to the evaluate library: what is asked of it, and what is taken from its answer."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from parabench.scorers import bleu, evaluate

from parabench.contracts import BuildContext, UserError
from parabench.pipeline import plan, runner
from parabench.report.assemble import write_reports
from parabench.suites import suite as suites
from tests.support import tiny_suite
from tests.support.worlds import EXAMPLES, SETTING, TEXTS, check_contract, score

SCRIPT = """
import datasets
import evaluate


class Overlap(evaluate.Metric):
    def _info(self):
        features = {"predictions": datasets.Value("string"), \
"references": datasets.Sequence(datasets.Value("string"))}
        return evaluate.MetricInfo(
            description="", citation="", inputs_description="", features=datasets.Features(features)
        )

    def _compute(self, predictions, references):
        return {"same": float(predictions[0] in references[0])}
"""


@pytest.fixture
def library(monkeypatch):
    """A stand-in for the library, whose import alone takes seconds: it counts words."""

    def compute(predictions, references):
        return {
            "words": len(predictions[0].split()),
            "references": len(references[0]),
            "name": "stand-in",
        }

    monkeypatch.setitem(
        sys.modules, "evaluate", SimpleNamespace(load=lambda name: SimpleNamespace(compute=compute))
    )


def build(**options):
    return evaluate.build("counts", BuildContext(options=options))


@pytest.mark.usefixtures("library")
def test_the_mean_of_one_number():
    got = score(build(field="references"))
    assert got == {"evaluate:counts": pytest.approx(sum(len(e.references) for e in EXAMPLES) / 4)}
    assert score(build(field="words"))["evaluate:counts"] == pytest.approx(
        sum(len(t.split()) for t in TEXTS) / 4
    )
    check_contract(build(field="words"))


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("field", ["", "name", "nothing"])
def test_the_number_must_be_named_where_there_are_several(field):
    with pytest.raises(UserError, match="references, words"):
        score(build(field=field))


def test_a_metric_must_be_named():
    with pytest.raises(UserError, match="no metric named"):
        evaluate.build("", SETTING)


@pytest.mark.slow
def test_a_scorer_as_a_metric_of_the_library():
    pytest.importorskip("evaluate")
    metric = evaluate.as_metric(bleu.build("", SETTING))
    references = [list(example.references) for example in EXAMPLES]
    found = metric.compute(
        predictions=TEXTS, references=references, sources=[e.source for e in EXAMPLES]
    )
    assert found == pytest.approx(score(bleu.build("", SETTING)))


@pytest.mark.slow
def test_a_local_script(tmp_path, monkeypatch):
    library = pytest.importorskip("evaluate")
    monkeypatch.setattr(library.config, "HF_MODULES_CACHE", str(tmp_path / "cache"))
    (tmp_path / "overlap.py").write_text(SCRIPT)
    scorer = evaluate.build(str(tmp_path / "overlap.py"), SETTING)
    assert list(score(scorer, EXAMPLES[:2], [EXAMPLES[0].references[1], "x"]).values()) == [0.5]
    with pytest.raises(UserError):
        score(evaluate.build(str(tmp_path / "nothing.py"), SETTING))


@pytest.mark.slow
def test_a_local_script_by_its_path_in_a_whole_run(tmp_path, monkeypatch):
    """``--scorers evaluate:PATH``, and the report made again from the folder alone."""
    library = pytest.importorskip("evaluate")
    monkeypatch.setattr(library.config, "HF_MODULES_CACHE", str(tmp_path / "cache"))
    (tmp_path / "overlap.py").write_text(SCRIPT)
    name = f"evaluate:{tmp_path / 'overlap.py'}"
    suite = suites.load_suite("overlap").model_copy(update={"controls": ("human", "copy")})
    data = tiny_suite.examples_file(tmp_path)
    asked = plan.RunRequest(suite, ("shuffled",), ("bleu", name), data, output=tmp_path / "run")
    board = runner.run_plan(plan.make_plan(asked))
    assert name in {column.name for column in board.columns}
    assert all(name in row.scores for row in board.rows)
    assert write_reports(tmp_path / "run") == board
