"""What the benchmarks race is the same work: every contender's outputs, on tiny models, without any
clock.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import (
    checkouts,
    decode,
    likelihood,
    overlap,
    peers,
    scale,
    shares,
    startup,
    targets,
    train,
    worlds,
)
from benchmarks.__main__ import main
from benchmarks.options import Options, Race
from benchmarks.race import Contender, Result, compare, table
from tests.support import tiny

TINY = Options(rows=8, size="tiny")
RACES = [
    race for module in (likelihood, decode, train, overlap, scale) for race in module.races(TINY)
]
pytestmark = pytest.mark.filterwarnings(
    "ignore:Position ids are not supported", "ignore:`is_gradient_checkpointing`"
)


@pytest.mark.parametrize("race", RACES, ids=lambda race: race.title)
def test_contenders_compute_the_same(race: Race) -> None:
    """The peers' own results are the authority: ours are within the tolerance that a speed is
    printed under.
    """
    first, *others = race.contenders
    expected = first.build()()
    assert np.isfinite(expected).all()
    for contender in others:
        if (
            contender.tolerance is None
        ):  # bf16 may change greedy text: the share of equal rows is printed
            continue
        compare(Result(contender, [], contender.build()(), 0.0), expected)


@pytest.mark.parametrize("module", [decode, train], ids=["decode", "train"])
def test_contenders_compute_the_same_with_a_chosen_model(module, tmp_path: Path) -> None:
    options = Options(rows=8, size="tiny", model=str(tiny.llama(tmp_path / "llama")))
    (race,) = module.races(options)
    assert race.title.endswith(", llama")
    first, *others = (one for one in race.contenders if "bf16" not in one.name)
    expected = first.build()()
    for contender in others:
        if contender.tolerance is not None:
            compare(Result(contender, [], contender.build()(), 0.0), expected)


def test_the_work_is_not_trivial() -> None:
    """Texts of many lengths, scores and losses that vary: what is equal could differ."""
    work = {
        race.title: race.contenders[0].build()()
        for race in RACES
        if race.title in ("decode", "likelihood")
    }
    assert len({(row >= 0).sum() for row in work["decode"]}) > 3
    assert work["likelihood"].std() > 1e-4
    assert len(set(worlds.sentences(8, 0))) == 8


def test_results_that_differ_stop_a_race() -> None:
    contender = Contender("one", lambda: lambda: np.zeros(2), len, "rows/s", 1e-3)
    assert compare(Result(contender, [], np.full(2, 1e-4), 0.0), np.zeros(2)) == "within 0.0001"
    for wrong in (np.full(2, 0.1), np.full(2, np.nan), np.zeros(3)):
        with pytest.raises(SystemExit, match="one"):
            compare(Result(contender, [], wrong, 0.0), np.zeros(2))


def test_shares_are_of_what_was_done() -> None:
    """A product is a product, a copy is moving, and the operations counted are those of the
    definition: 2 n³.
    """
    one, large = (
        torch.randn(64, 64),
        torch.randn(1024, 1024),
    )  # so unequal that no busy machine turns them round
    share, rate = shares.shares(lambda: large @ large)
    assert share["products"] > 0.5
    assert share["attention"] == share["moving"] == 0
    assert rate > 0
    both, slower = shares.shares(lambda: [one @ one, *(large.clone() for _ in range(20))])
    assert both["moving"] > both["products"] > 0
    assert sum(both.values()) <= 1 + 1e-9
    assert slower > 0


def result(name: str, seconds: list[float], memory: float) -> Result:
    return Result(
        Contender(name, lambda: lambda: np.zeros(10), len, "rows/s"), seconds, np.zeros(10), memory
    )


def test_ratios_are_medians_of_rounds_side_by_side() -> None:
    """Three rounds on a machine that slows down: 2, 2 and 4 times as fast."""
    slow, fast = result("a", [2.0, 4.0, 8.0], 100), result("b", [1.0, 2.0, 2.0], 10)
    assert fast.times(slow) == 2.0
    assert "| b | 5.0 | 2.00 | 10 |" in table([slow, fast])


def test_targets_say_what_was_reached() -> None:
    peer = result("PEFT and a plain loop, full logits", [7.0] * 3, 4000)
    found = targets.table({"train": [peer, result("parabench", [1.0] * 3, 150)]})
    row = (
        "| prompt-tuning step, text tokens/s, fp32 | PEFT and a plain loop, full logits "
        "| >= 6.5 x | 7.00 x | yes |"
    )
    assert row in found
    assert "<= 200 MB | 150 MB of 4000 | yes" in found
    assert "no |" in targets.table({"train": [peer, result("parabench", [2.0] * 3, 250)]})


def test_aims_for_bf16_hold_with_matrix_instructions_alone() -> None:
    race = [result(targets.NEULAB, [1.0] * 3, 0), result("parabench, bf16", [1.0] * 3, 0)]
    without = targets.table({"likelihood": race}, ["avx2"])
    assert "not aimed at without fast bf16" in without
    assert "| 1.00 x | no |" not in without
    assert "| 1.00 x | no |" in targets.table({"likelihood": race}, [targets.FAST_HALF])


def test_the_fastest_of_several_peers_counts() -> None:
    race = [
        result(f"{targets.NEULAB_AT_BEST}, batch {size}", [seconds] * 3, 0)
        for size, seconds in ((8, 4.0), (32, 3.0))
    ]
    race.append(result("parabench", [1.0] * 3, 0))
    found = targets.table({"likelihood": race}, bounds={"likelihood": 1.25})
    assert "sorted, batch 32 | >= 1.5 x | 3.00 x | yes | 1.25 x |" in found


def test_a_checkout_of_the_origin_measures_what_the_loop_does(tmp_path: Path) -> None:
    """A file in the shape of Clyde013/Paraphrase-OPT's: its ``compute`` reads the ids that
    ``update`` would leave.
    """
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "bart_metric.py").write_text(
        "from torchmetrics import Metric\n"
        "class BartScore(Metric):\n"
        "    def compute(self):\n"
        "        out = self.model("
        "input_ids=self.src_input_ids[0], labels=self.target_input_ids[0])\n"
        "        loss = self.loss_fct(self.lsm(out.logits[0]), self.target_input_ids[0][0])\n"
        "        return [-loss.mean().item()]\n"
    )
    model, pairs = worlds.bart(TINY), likelihood.pairs(3, 1)
    score = checkouts.origin(tmp_path, model)
    assert [score(*pair) for pair in pairs] == pytest.approx(
        peers.bartscore_loop(model, pairs, 1), abs=1e-5
    )
    with pytest.raises(SystemExit, match=r"bart_score\.py"):
        checkouts.neulab(tmp_path, model)


def test_light_commands_load_no_model_library() -> None:
    for words in (["--help"], ["list", "scorers"]):
        assert not set(startup.loaded(words)) & set(startup.MODELS)


def test_the_command_line_knows_every_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    printed = capsys.readouterr().out
    for name in (
        "likelihood",
        "decode",
        "train",
        "overlap",
        "startup",
        "scale",
        "--device",
        "--neulab",
    ):
        assert name in printed
