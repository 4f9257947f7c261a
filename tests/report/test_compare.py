"""Comparison of runs: refusals name the field, deltas are paired, the gate closes on a loss and on
nothing else.
"""

from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from parabench import cli
from parabench.contracts import Column, UserError
from parabench.report import comparable, compare
from parabench.report.leaderboard import board_to_markdown
from tests.support.boards import small


class Mean:
    """A scorer whose one column is the mean of its one statistic."""

    columns = (Column("bleu", "up", "reference", 1), Column("ter", "down", "reference", 1))

    def combine(self, statistics):
        return statistics.mean(axis=-2)


def pair(shift: float, seed: int = 0) -> compare.PairedStatistics:
    before = np.random.default_rng(seed).normal(50, 10, (200, 2))
    noise = np.random.default_rng(1).normal(0, 1, (200, 2))
    return compare.PairedStatistics(
        Mean(), {"bart": before, "gone": before}, {"bart": before + noise + shift, "new": before}
    )


def found(shift: float) -> tuple[compare.Change, ...]:
    return compare.paired_changes([pair(shift)], seed=0, resamples=200, draws=400)


def test_equal_boards_differ_in_nothing():
    assert comparable.differing_fields(small(), small()) == {}
    comparable.check_comparable({"a": small(), "b": small(), "c": small()})


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("data.fingerprint", {"provenance": {"data": {"fingerprint": "f00"}}}),
        ("decoding.num_beams", {"provenance": {"decoding": {"num_beams": 4}}}),
        ("normalise", {"provenance": {"normalise": "normalise|case:lower"}}),
        ("protocol", {"provenance": {"protocol": "turns|references:4|left-out:each"}}),
        ("signature.bleu", {"signatures": {"bleu": "bleu|refs:1|tok:13a"}}),
    ],
)
def test_what_is_not_comparable_is_refused_by_name(field, change):
    with pytest.raises(UserError, match=field.replace(".", r"\.")):
        comparable.check_comparable({"first": small(), "second": small(**change)})


def test_other_versions_are_named_but_do_not_forbid():
    newer = small(provenance={**small().provenance, "versions": {"torch": "9.9"}})
    assert comparable.differing_fields(small(), newer) == {"versions.torch": ("2.13.0", "9.9")}
    assert comparable.blocking_differences(small(), newer) == {}


def test_a_column_that_one_run_lacks_does_not_forbid():
    assert comparable.blocking_differences(small(), small(signatures={})) == {}


def test_one_table_holds_the_rows_of_all_runs():
    board = compare.side_by_side({"monday": small(), "tuesday": small(rows=small().rows[:1])})
    assert sorted(row.system for row in board.rows if "copy" in row.system) == [
        "copy (monday)",
        "copy (tuesday)",
    ]
    assert len(board.rows) == 5
    assert all(row.rank is None for row in board.rows)


def test_changes_are_paired_by_example():
    (bleu, ter) = found(2.0)
    assert bleu.system == ter.system == "bart"
    assert bleu.difference == pytest.approx(2.0, abs=0.3)
    # The systems' own spread is 10, that of the paired difference 1: standard error 1 / sqrt(200) =
    # 0.07.
    assert bleu.high - bleu.low < 0.5
    assert bleu.low < bleu.difference < bleu.high
    assert bleu.p < 0.01


def test_the_gate_closes_on_significant_losses_only():
    assert compare.regressions(found(2.0), "bleu") == ()
    assert [change.system for change in compare.regressions(found(-2.0), "bleu")] == ["bart"]
    assert [change.system for change in compare.regressions(found(2.0), "ter")] == ["bart"]
    assert compare.regressions(found(-2.0), "ter") == ()
    same = pair(0.0)
    unchanged = compare.paired_changes(
        [compare.PairedStatistics(Mean(), same.before, same.before)], 0, 100, 100
    )
    assert compare.regressions(unchanged, "bleu") == ()


def test_a_value_that_is_lost_is_a_regression():
    (bleu, _) = found(2.0)
    gone = replace(bleu, after=float("nan"), p=float("nan"))
    assert compare.regressions([gone], "bleu") == (gone,)
    assert compare.regressions([replace(gone, before=float("nan"))], "bleu") == ()


def test_a_column_that_nobody_measured_is_an_error():
    with pytest.raises(UserError, match="no such column"):
        compare.regressions(found(2.0), "blue")


def test_runs_of_other_lengths_are_refused():
    short = pair(0.0)
    with pytest.raises(UserError, match="200 examples in one, 199"):
        compare.paired_changes(
            [compare.PairedStatistics(Mean(), short.before, {"bart": short.after["bart"][:199]})],
            0,
            10,
            10,
        )


def test_changes_print_like_any_board():
    text = board_to_markdown(compare.changes_board(small(), small(), found(2.0)))
    assert "what changed" in text
    assert "| bart" in text
    assert "zeroshot" not in text


TEST_SET = "\n".join(
    f"The {noun} {verb} the house.\tThe house was {past} by the {noun}.\t"
    f"It was the {noun} that {verb} the house."
    for noun, verb, past in (
        ("farmer", "sold", "sold"),
        ("painter", "saw", "seen"),
        ("teacher", "bought", "bought"),
        ("banker", "left", "left"),
        ("baker", "took", "taken"),
        ("doctor", "built", "built"),
        ("lawyer", "painted", "painted"),
        ("sailor", "found", "found"),
    )
)


def scored(folder, name: str, texts: list[str], out: str) -> None:
    (folder / "test.tsv").write_text(TEST_SET + "\n")
    (folder / f"{name}.txt").write_text("\n".join(texts) + "\n")
    arguments = ["score", str(folder / f"{name}.txt"), "--data", str(folder / "test.tsv")]
    done = CliRunner().invoke(
        cli.app, [*arguments, "--scorers", "ibleu", "--output", str(folder / out)]
    )
    assert done.exit_code == 0, done.output


def lines(column: int) -> list[str]:
    return [line.split("\t")[column] for line in TEST_SET.splitlines()]


def test_two_scored_files_of_other_names_are_compared(tmp_path):
    """Two runs of one system each: these two are compared, and the gate sees that one is worse."""
    scored(tmp_path, "good", lines(1), "before")
    scored(tmp_path, "bad", ["Nothing at all."] * 8, "after")
    runs = [str(tmp_path / "before"), str(tmp_path / "after")]
    done = CliRunner().invoke(cli.app, ["compare", *runs])
    assert done.exit_code == 0, done.output
    assert "good → bad" in done.output
    gated = CliRunner().invoke(cli.app, ["compare", *runs, "--fail-if-worse", "headline"])
    assert gated.exit_code == 1
    assert "worse: good → bad ibleu" in gated.output
    back = CliRunner().invoke(cli.app, ["compare", *runs[::-1], "--fail-if-worse", "headline"])
    assert back.exit_code == 0


def test_a_run_beside_itself_passes_no_gate(tmp_path, monkeypatch):
    """However its folder is written; a look at one folder twice says that it is one."""
    scored(tmp_path, "good", lines(1), "before")
    monkeypatch.chdir(tmp_path)
    for runs in (
        ["before", "before"],
        ["before", "./before"],
        [str(tmp_path / "before"), "before"],
    ):
        done = CliRunner().invoke(cli.app, ["compare", *runs, "--fail-if-worse", "headline"])
        assert isinstance(done.exception, UserError), done.output
        assert "one run folder more than once" in str(done.exception)
        looked = CliRunner().invoke(cli.app, ["compare", *runs])
        assert looked.exit_code == 0, looked.output
        assert "one run folder more than once" in looked.stderr


def test_a_gate_refuses_a_system_that_may_be_renamed():
    """Both runs share one system, and each has another: which may be the same, and worse."""
    names = "one", "two"
    both = {"b": "b"}
    with pytest.raises(UserError, match="a in one alone, c in two alone"):
        comparable.check_unrenamed(named("a", "b"), named("b", "c"), both, names)
    # a run of fewer systems, or of more, is no renaming
    comparable.check_unrenamed(named("a", "b"), named("b"), both, names)
    comparable.check_unrenamed(named("b"), named("b", "c"), both, names)
    comparable.check_unrenamed(named("a"), named("c"), {"a": "c"}, names)


def named(*names: str, controls=("copy",)):
    rows = [replace(small().rows[1], system=name) for name in names]
    return small(rows=tuple(rows) + tuple(replace(small().rows[0], system=c) for c in controls))


def test_runs_that_share_only_controls_are_refused():
    names = ("one", "two")
    assert comparable.matched_systems(named("a"), named("b"), names) == {"a": "b", "copy": "copy"}
    assert comparable.matched_systems(named("a", "b"), named("b"), names) == {
        "b": "b",
        "copy": "copy",
    }
    for one, other in ((named("a", "b"), named("c")), (named("a"), named()), (named(), named())):
        with pytest.raises(UserError, match="no system in common"):
            comparable.matched_systems(one, other, names)
    note = comparable.unmatched_note(named("a", "b"), named("b", "c"), {"b": "b"})
    assert note == "Not compared: only in the earlier run: a; only in the later run: c."


def test_a_gate_that_saw_no_system_does_not_pass():
    changes = [replace(one, system="copy") for one in found(2.0)]
    with pytest.raises(UserError, match="no system has bleu on all examples"):
        compare.check_compared(changes, named("a"), ("one", "two"), "bleu")
    with pytest.raises(UserError, match="no such column"):
        compare.check_compared(changes, named("a"), ("one", "two"), "nope")
    with pytest.raises(UserError, match="a column on all examples"):
        compare.check_compared([], named("a"), ("one", "two"))


def test_settings_of_a_decoder_do_not_part_runs_of_files():
    """A file's texts were not made under the run's decoding settings, whatever those are."""
    mine = {"system softprompt-111": "file|sha256:abc", "decoding": {"num_beams": 4}}
    one = small(rows=small().rows[:2], provenance=mine)
    other = small(rows=small().rows[:2], provenance=mine | {"decoding": {"num_beams": 1}})
    assert comparable.blocking_differences(one, other) == {}


def test_verify_names_the_copies_that_it_does_not_check(tmp_path):
    """Tables of ``report --format`` are in no manifest: their change is not passed as checked."""
    scored(tmp_path, "good", lines(1), "run")
    run = str(tmp_path / "run")
    before = CliRunner().invoke(cli.app, ["verify", run])
    assert before.exit_code == 0
    assert "not checked" not in before.output
    assert CliRunner().invoke(cli.app, ["report", run, "--format", "latex"]).exit_code == 0
    after = CliRunner().invoke(cli.app, ["verify", run])
    assert after.exit_code == 0
    assert "not checked: table.tex" in after.output


def test_a_gate_refuses_what_too_few_examples_can_never_show(tmp_path):
    """Of n pairs the smallest p-value is 2 / 2^n: of five it is 1 / 16, of six 1 / 32."""
    compare.check_testable(6, "ibleu")
    with pytest.raises(UserError, match="no difference is ever significant"):
        compare.check_testable(5, "ibleu")
    for name, out in (("good", "before"), ("bad", "after")):
        (tmp_path / "few.tsv").write_text("\n".join(TEST_SET.splitlines()[:4]) + "\n")
        texts = lines(1)[:4] if name == "good" else ["Nothing at all."] * 4
        (tmp_path / f"{name}.txt").write_text("\n".join(texts) + "\n")
        asked = ["score", str(tmp_path / f"{name}.txt"), "--data", str(tmp_path / "few.tsv")]
        asked += ["--scorers", "ibleu", "--output", str(tmp_path / out)]
        assert CliRunner().invoke(cli.app, asked).exit_code == 0
    runs = [str(tmp_path / "before"), str(tmp_path / "after")]
    assert CliRunner().invoke(cli.app, ["compare", *runs]).exit_code == 0
    gated = CliRunner().invoke(cli.app, ["compare", *runs, "--fail-if-worse", "ibleu"])
    assert "4 independent examples" in str(gated.exception)
