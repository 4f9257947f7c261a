"""The functions of ``import parabench``: their examples are true, and they agree with the command
line.
"""

from __future__ import annotations

import doctest
import json
import subprocess
import sys

import numpy as np
import pytest

import parabench
from parabench import api
from parabench.cli import app

EXAMPLES = [
    {
        "source": "Why did she leave?",
        "references": ["What made her go?", "For what reason did she leave?"],
    },
    {"source": "Nobody came.", "references": ["No one showed up.", "Not a single person came."]},
]


def test_the_examples_of_every_function_are_true(tmp_path) -> None:
    names = {"EXAMPLES": EXAMPLES, "FOLDER": tmp_path, "np": np}
    tried = doctest.testmod(
        api, extraglobs=names, optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
    )
    assert tried.attempted >= 6
    assert tried.failed == 0


def test_functions_and_commands_make_the_same_numbers(tmp_path) -> None:
    data, texts = tmp_path / "test.jsonl", tmp_path / "mine.txt"
    data.write_text(
        "".join(json.dumps({"id": str(n), **one}) + "\n" for n, one in enumerate(EXAMPLES, 1))
    )
    texts.write_text("Why did she go?\nNo one came.\n")
    command = [
        "score",
        str(texts),
        "--data",
        str(data),
        "--scorers",
        "ibleu",
        "--output",
        str(tmp_path / "command"),
    ]
    app(command, standalone_mode=False)
    given = {"mine": texts.read_text().splitlines()}
    ours = parabench.score(given, EXAMPLES, scorers=["ibleu"], output=tmp_path / "function")
    theirs = parabench.load(tmp_path / "command")
    assert ours.frame().equals(theirs.frame())
    # so few examples have no interval, and NaN is not equal to itself
    assert repr(ours.score("mine", "ibleu")) == repr(theirs.score("mine", "ibleu"))


def test_results_show_themselves(tmp_path) -> None:
    results = parabench.score(
        ["Why did she go?", "No one came."], EXAMPLES, scorers=["ibleu"], output=tmp_path / "run"
    )
    assert "| predictions" in results._repr_markdown_()
    samples = results.samples()
    assert set(samples["system"]) == set(results.frame().index)
    assert len(samples) == len(EXAMPLES) * len(results.frame())


@pytest.mark.parametrize(("system", "column"), [("nobody", "ibleu"), ("copy", "nothing")])
def test_what_is_not_in_the_table_is_named(tmp_path, system, column) -> None:
    results = parabench.run(["copy"], data=EXAMPLES, scorers=["ibleu"], output=tmp_path / "run")
    with pytest.raises(parabench.UserError, match=f"{system}|{column}"):
        results.score(system, column)


def test_a_bad_record_is_refused_with_its_number(tmp_path) -> None:
    with pytest.raises(parabench.UserError, match="line 2"):
        parabench.run(["copy"], data=[EXAMPLES[0], {"source": 7}])


def test_importing_parabench_loads_nothing_heavy() -> None:
    code = (
        "import sys, parabench; "
        "print(sorted({'torch', 'numpy', 'pandas', 'pydantic'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_paraphrase_tells_its_progress():
    told = []
    parabench.paraphrase(
        ["Nobody came.", "It rained."], "copy", advance=lambda *one: told.append(one)
    )
    assert told[-1] == ("copy", 2, 2)
