"""Several samples a source: the same however they are made, kept whole, and compared with one
another by self-BLEU.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from parabench.baselines.samples import join_samples
from parabench.scorers import selfbleu
from sacrebleu.metrics.bleu import BLEU

import parabench
from parabench.contracts import BuildContext, Decoding, Example, Paraphrase, Signature, UserError
from parabench.pipeline import plan as planning
from parabench.pipeline import runner
from parabench.pipeline.plan import RunPlan, RunRequest
from parabench.report.leaderboard import board_to_markdown
from parabench.stats import leave_one_out
from parabench.store.log import read_log
from parabench.store.records import measured_texts
from parabench.store.run_folder import verify_run
from parabench.suites import suite as suites
from tests.support import tiny_suite

EXAMPLES = (Example("a", "s", ("r",)), Example("b", "t", ("r",)))
SAMPLES = [
    ["the cat sat on the mat", "a cat sat on the mat", "on the mat there sat a cat"],
    ["prices rose again last week", "last week prices rose again", "prices went up"],
]


def scored(samples: Sequence[Sequence[str]], **options: Any) -> tuple[float, np.ndarray]:
    scorer = selfbleu.build("", BuildContext(options=options))
    statistics = leave_one_out.measure_leave_one_out(scorer, EXAMPLES[: len(samples)], samples)
    return float(scorer.combine(statistics)[0]), statistics


def test_self_bleu_is_sacrebleus_against_the_other_samples() -> None:
    """Zhu et al. 2018: each text in turn is the hypothesis, all others its references; one corpus
    of all turns.
    """
    texts = [text for several in SAMPLES for text in several]
    others = [
        [t for at, t in enumerate(several) if at != left]
        for several in SAMPLES
        for left in range(3)
    ]
    for lowercase in (False, True):
        expected = (
            BLEU(lowercase=lowercase).corpus_score(texts, list(zip(*others, strict=True))).score
        )
        assert 20 < expected < 90
        assert scored(SAMPLES, lowercase=lowercase)[0] == pytest.approx(expected, abs=1e-9)


def test_equal_samples_are_at_its_end_in_any_order() -> None:
    assert scored([["one and the same old text"] * 4])[0] == pytest.approx(100)
    assert scored([several[::-1] for several in SAMPLES])[0] == pytest.approx(scored(SAMPLES)[0])


def test_one_text_alone_is_undefined_and_no_part_of_a_sum() -> None:
    value, statistics = scored([[several[0]] for several in SAMPLES])
    assert np.isnan(value)
    both = np.concatenate([statistics, scored(SAMPLES)[1]])
    assert selfbleu.build("", BuildContext()).combine(both)[0] == pytest.approx(scored(SAMPLES)[0])


def test_references_are_no_samples() -> None:
    """Whoever measures a text by itself, as filters do, is told that there is nothing, not another
    BLEU.
    """
    scorer = selfbleu.build("", BuildContext())
    assert np.isnan(scorer.combine(scorer.measure(EXAMPLES, ["r", "r"]))[0])


@pytest.mark.parametrize("samples", [0, -1, 2])
def test_samples_need_chance_and_a_number(samples: int, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="do_sample = true"):
        Decoding(samples=samples)
    path = tiny_suite.suite_file(tmp_path)
    path.write_text(
        path.read_text().replace("max_new_tokens = 8", f"max_new_tokens = 8, samples = {samples}")
    )
    with pytest.raises(UserError, match=f"write {samples} samples"):
        suites.load_suite(str(path))


def test_answers_are_put_together_as_the_last_of_a_source_comes() -> None:
    batches = [
        [Paraphrase(at, f"text {at}", at != 2) for at in batch]
        for batch in ([5, 0, 3], [4], [1, 2])
    ]
    first = Paraphrase(1, "text 3", True, samples=("text 3", "text 4", "text 5"))
    second = Paraphrase(0, "text 0", True, samples=("text 0", "text 1", "text 2"))
    assert list(join_samples(batches, 3)) == [[first], [second]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    path = tiny_suite.suite_file(folder)
    path.write_text(path.read_text().replace('"bartscore"]', '"selfbleu"]'))
    return folder


def planned(world: Path, output: Path, **changes: Any) -> RunPlan:
    request = RunRequest(
        suites.load_suite(str(world / "tiny.toml")), device="cpu", output=output, samples=3
    )
    return planning.make_plan(replace(request, **changes))


def records(folder: Path, system: str) -> dict[str, Any]:
    return read_log(folder, "predictions", system)[1]


@dataclass(frozen=True)
class Dying:
    """A system that is killed after its first batch."""

    system: Any

    @property
    def signature(self) -> Signature:
        return self.system.signature

    def paraphrase(self, sources: Sequence[str]) -> Iterator[Sequence[Paraphrase]]:
        yield next(iter(self.system.paraphrase(sources)))
        raise KeyboardInterrupt


def test_samples_are_the_same_in_any_batch_and_resumed(world: Path, tmp_path: Path) -> None:
    runner.run_plan(planned(world, tmp_path / "whole"))
    for size in (1, 5):
        runner.run_plan(planned(world, tmp_path / f"by-{size}", batch_size=size))
    broken = planned(world, tmp_path / "broken", batch_size=5)
    for name in ("zeroshot", "bart"):
        with pytest.raises(KeyboardInterrupt):
            runner.run_plan(replace(broken, systems={name: Dying(broken.systems[name])}))
        assert 0 < len(records(broken.folder, name)) < 12
    runner.run_plan(replace(broken, runtime=replace(broken.runtime, batch_size=None)))
    for name in ("zeroshot", "bart"):
        whole = records(tmp_path / "whole", name)
        assert all(
            len(record["samples"]) == 3 and record["text"] == record["samples"][0]
            for record in whole.values()
        )
        assert len({text for record in whole.values() for text in record["samples"]}) > 12
        assert all(records(tmp_path / other, name) == whole for other in ("by-1", "by-5", "broken"))
    assert verify_run(broken.folder) == []


def test_fewer_samples_are_the_first_of_more(world: Path, tmp_path: Path) -> None:
    made = {
        name: runner.run_plan(planned(world, tmp_path / name, systems=("zeroshot",), **changes))
        and {
            key: record.get("samples", [record["text"]])
            for key, record in records(tmp_path / name, "zeroshot").items()
        }
        for name, changes in {"three": {}, "two": {"samples": 2}, "other": {"seed": 1}}.items()
    }
    assert {key: several[:2] for key, several in made["three"].items()} == made["two"]
    assert made["other"] != made["three"]


def test_one_text_a_source_is_recorded_and_declared_as_ever(world: Path, tmp_path: Path) -> None:
    plain, one = (planned(world, tmp_path / "plain", samples=samples) for samples in (None, 1))
    assert plain.identity == one.identity
    assert "samples" not in plain.identity["decoding"]
    assert set(plain.scorers) == {"ibleu"}, "self-BLEU has nothing to compare"
    runner.run_plan(plain)
    assert set(records(plain.folder, "zeroshot")["e0"]) == {"text", "finished"}
    several = planned(world, tmp_path / "plain")
    assert several.identity["decoding"] == plain.identity["decoding"] | {
        "do_sample": True,
        "top_p": 0.9,
        "samples": 3,
    }
    assert "--samples 3" in several.command


def test_how_the_suite_samples_is_kept(world: Path) -> None:
    suite = suites.load_suite(str(world / "tiny.toml"))
    own = suite.model_copy(
        update={"decoding": Decoding(do_sample=True, temperature=0.7, samples=5)}
    )
    assert planning.with_samples(own, 2).decoding == Decoding(
        do_sample=True, temperature=0.7, samples=2
    )
    assert planning.with_samples(own, None) is own


class Wordy(tiny_suite.Upper):
    """Writes three texts a source that share most of their words."""

    def paraphrase(self, sources: Sequence[str]) -> Iterator[Sequence[Paraphrase]]:
        for place, source in enumerate(sources):
            several = (f"{source} indeed", f"in fact {source}", f"{source} {source}")
            yield [Paraphrase(place, several[0], samples=several)]


def test_the_table_shows_it_or_says_why_not(world: Path, tmp_path: Path) -> None:
    plan = planned(world, tmp_path / "run", systems=())
    board = runner.run_plan(replace(plan, systems={**plan.systems, "wordy": Wordy()}))
    (column,) = [column for column in board.columns if column.name == "self_bleu"]
    assert (column.against, column.better) == ("samples", "none")
    cells = {row.system: row.scores["self_bleu"] for row in board.rows}
    texts = [record["samples"] for record in records(tmp_path / "run", "wordy").values()]
    others = [
        [t for at, t in enumerate(several) if at != left] for several in texts for left in range(3)
    ]
    expected = (
        BLEU()
        .corpus_score([t for several in texts for t in several], list(zip(*others, strict=True)))
        .score
    )
    assert cells["wordy"].value == pytest.approx(expected, abs=1e-9)
    assert np.isfinite(cells["human"].value)
    assert cells["copy"].undefined == 12
    shown = board_to_markdown(board)
    assert "copy self\\_bleu: 0 of 12 \\(one text of each source" in shown
    assert "self\\_bleu (other samples)" in shown
    assert "3 samples a source, at most 8 new tokens, top\\_p 0.9" in shown
    assert "as are 2 texts of people; all else is about the first sample" in shown
    outputs = parabench.load(tmp_path / "run").samples().set_index(["system", "id"])["outputs"]
    assert list(outputs["wordy", "e0"]) == texts[0]
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Against other samples" in page
    assert "Compares with other samples; neither way is better." in page


def test_people_are_compared_with_as_many_as_there_are_samples() -> None:
    people = {"text": "a", "turns": ["a", "b", "c", "d"]}
    assert [len(measured_texts(people, samples)) for samples in (1, 2, 3, 9)] == [
        4,
        2,
        3,
        4,
    ]


def test_a_wrong_number_of_samples_is_refused(world: Path, tmp_path: Path) -> None:
    plan = planned(world, tmp_path / "run", systems=())

    class Short(tiny_suite.Upper):
        def paraphrase(self, sources: Sequence[str]) -> Iterator[Sequence[Paraphrase]]:
            yield [
                Paraphrase(at, source, samples=(source, source))
                for at, source in enumerate(sources)
            ]

    with pytest.raises(UserError, match="take 2 samples from upper"):
        runner.run_plan(replace(plan, systems={"upper": Short()}))
