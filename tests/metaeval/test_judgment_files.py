"""Files of judgments: the general format and what is refused in it."""

from __future__ import annotations

import json

import pytest

from parabench.contracts import Example, UserError
from parabench.metaeval.judgment_files import (
    JudgmentFile,
    with_source_as_reference,
)
from parabench.metaeval.judgments import RatedText


def test_the_source_in_place_of_references():
    item = RatedText(Example("a", "source", ()), "x", (1.0,), "a")
    assert with_source_as_reference(item).example == Example("a", "source", ("source",))


def test_general_layout_and_its_refusals(tmp_path):
    file = tmp_path / "people.jsonl"
    file.write_text(
        '{"source": "a", "references": ["b"], "text": "c", "ratings": [1, 2]}\n'
        '{"source": "a", "chosen": "b", "rejected": "c", "cluster": "k"}\n'
    )
    first, second = list(JudgmentFile(file))
    assert (first.rating, first.cluster, first.example.references) == (1.5, "a", ("b",))
    assert (second.chosen, second.cluster) == ("b", "k")
    for content, layout in (
        ("{}", "jsonl"),
        ('{"source": "a"', "jsonl"),
        ("", "jsonl"),
        ("[]", "strap"),
        ("x", "csv"),
    ):
        file.write_text(content)
        with pytest.raises(UserError):
            list(JudgmentFile(file, layout))
    with pytest.raises(UserError):
        list(JudgmentFile(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"references": "abc"}, "'abc' as 'references', where a list"),
        ({"text": 5}, "5 in 'text', where a text"),
        ({"text": None}, "None in 'text'"),
        ({"source": ["a"]}, r"\['a'\] in 'source'"),
        ({"ratings": ["5"]}, "'5' in 'ratings', where a number"),
        ({"ratings": [float("nan")]}, "nan in 'ratings'"),
        ({"ratings": [10**400]}, "in 'ratings', where a number"),
        ({"ratings": [True]}, "True in 'ratings'"),
        ({"ratings": 3}, "3 as 'ratings', where a list"),
        ({"ratings": []}, "neither 'ratings' nor 'chosen'"),
        ({"systems": "opt"}, "'opt' as 'systems', where a list"),
        ({"cluster": 7}, "7 in 'cluster', where a text"),
        ({"chosen": "x", "rejected": "y"}, "both 'chosen' and 'ratings'"),
    ],
)
def test_a_field_of_another_kind_is_refused(tmp_path, fields, found):
    sound = {"source": "a", "references": ["b"], "text": "c", "ratings": [1]}
    file = tmp_path / "people.jsonl"
    file.write_text("\n".join(map(json.dumps, (sound, {**sound, **fields}))))
    with pytest.raises(UserError, match=f"line 2: .*{found}"):
        list(JudgmentFile(file))


def test_a_file_is_read_anew_each_time(tmp_path):
    file = tmp_path / "people.jsonl"
    file.write_text('{"source": "a", "text": "c", "ratings": [1]}\n')
    items = JudgmentFile(file, against_source=True)
    assert (
        [item.example.references for item in items]
        == [("a",)]
        == [item.example.references for item in items]
    )


@pytest.mark.parametrize(
    ("layout", "content", "found"),
    [
        ("twitter-para", {"candidates": [{"text": 5, "human": 1}]}, "5 where a text"),
        (
            "twitter-para",
            {"candidates": [{"text": "a", "human": float("nan")}]},
            "nan where a number",
        ),
        ("twitter-para", {"source": None, "candidates": [{"text": "a", "human": 1}]}, "None where"),
        ("apty", [{"chosen": {"text": None, "ranks": [1]}}], "None where a text"),
        ("apty", [{"chosen": {"text": "b", "ranks": ["x"]}}], "ValueError"),
    ],
)
def test_a_damaged_published_file_is_refused(tmp_path, layout, content, found):
    sound = {"source": "s", "reference": "r", "original": "s"}
    sound["rejected"] = {"text": "c", "ranks": [2]}
    whole = [{**sound, **one} for one in content] if layout == "apty" else {**sound, **content}
    file = tmp_path / "people.json"
    file.write_text(json.dumps(whole))
    with pytest.raises(UserError, match=found):
        list(JudgmentFile(file, layout))


def test_a_short_row_of_a_published_table_is_refused(tmp_path):
    file = tmp_path / "people.tsv"
    file.write_text("system\tworker\titem\tlabel\ttext1\ttext2\nopt\t0\t0\t2\tsource\n")
    with pytest.raises(UserError, match="None where a text"):
        list(JudgmentFile(file, "strap"))
