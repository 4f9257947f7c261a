"""Test sets and predictions: what is read, what is refused and with which line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parabench.contracts import Example, UserError
from parabench.data.examples import (
    clustered,
    evaluation_set,
    merge_sources,
    reference_counts,
    sample,
)
from parabench.data.predictions import read_predictions
from parabench.data.test_sets import read_test_set

THREE = [
    Example(str(n), f"source {n}", (f"first {n}", f"second {n}", f"third {n}")) for n in range(3)
]


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_jsonl_and_tsv_say_the_same(tmp_path: Path) -> None:
    lines = [json.dumps({"source": e.source, "references": e.references}) for e in THREE]
    jsonl = write(tmp_path, "a.jsonl", "\n".join(lines) + "\n")
    tsv = write(tmp_path, "a.tsv", "\r\n".join("\t".join((e.source, *e.references)) for e in THREE))
    assert [(e.source, e.references) for e in read_test_set(jsonl)] == [
        (e.source, e.references) for e in THREE
    ]
    assert list(read_test_set(jsonl)) == list(read_test_set(tsv))


@given(st.lists(st.text(min_size=1).filter(lambda text: text.strip()), min_size=2, max_size=4))
def test_any_text_comes_back_from_jsonl(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("data")
    record = json.dumps({"source": texts[0], "references": texts[1:]})
    assert read_test_set(write(folder, "a.jsonl", record))[0] == Example(
        "1", texts[0], tuple(texts[1:])
    )


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.tsv", b"", "the file is empty"),
        ("a.tsv", b"one\ttwo\n\xff\xfe\tx\n", "line 2: not UTF-8 at byte 1"),
        ("a.tsv", b"one\ttwo\nlonely\n", "line 2: 1 column"),
        ("a.tsv", b"one\ttwo\none\t \n", "line 2: an empty text"),
        ("a.tsv", b"one\ttwo\n\n", "line 2: 1 column"),
        ("a.tsv", b"one\ttw\0o\n", "line 1: a NUL"),
        ("a.tsv", b"one\t" + b"x" * 5000, "line 1: a text of 5000 characters"),
        ("a.tsv", b"x" * 70_000, "line 1: longer than"),
        ("a.jsonl", b'{"source": "a", "references": ["b"]}\n{broken\n', "line 2: not JSON"),
        ("a.jsonl", b'{"references": ["a"]}', "line 1: needs"),
        ("a.jsonl", b'{"source": "a", "references": "b"}', "line 1: needs"),
        ("a.jsonl", b'{"source": "a", "references": ["\\ud800"]}', "line 1: half a surrogate"),
        ("a.jsonl", b"[" * 60_000, "line 1: not JSON"),
        (
            "a.jsonl",
            b'{"id": 1, "source": "a", "references": ["b"]}\n' * 2,
            "line 2: the id '1' stands in line 1 too",
        ),
    ],
)
def test_bad_files_are_refused_with_the_line(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    with pytest.raises(UserError, match=r".*") as caught:
        read_test_set(write(tmp_path, name, content))
    assert says in str(caught.value)


def test_unicode_line_separators_do_not_split_a_line(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "\ufeffone\u2028still one\ttwo\x0bstill two\n")
    expected = Example("1", "one\u2028still one", ("two\x0bstill two",))
    assert list(read_test_set(path)) == [expected]


def test_the_fingerprint_sees_every_reference() -> None:
    data = evaluation_set(THREE, None, seed=0)
    assert [example.references for example in data.examples] == [
        example.references for example in THREE
    ]
    assert evaluation_set(THREE, None, 0).fingerprint == data.fingerprint
    changed = [*THREE[:2], Example("2", "source 2", ("first 2", "second 2", "third two"))]
    assert evaluation_set(changed, None, 0).fingerprint != data.fingerprint


def test_the_fewest_references_count_for_all_by_the_seed() -> None:
    uneven = [*THREE, Example("3", "source 3", ("one", "two"))]
    data = evaluation_set(uneven, None, 0)
    assert (data.references, data.dropped) == (2, 3)
    for whole, kept in zip(uneven, data.examples, strict=True):
        assert list(kept.references) == [one for one in whole.references if one in kept.references]
    assert len({evaluation_set(uneven, None, seed).fingerprint for seed in range(8)}) > 1
    assert evaluation_set([*THREE, Example("3", "source 3", ("only",))], None, 0).references == 1


def test_examples_of_one_sentence_are_one_cluster() -> None:
    said = {
        "a": ("It rains.", "Rain falls."),
        "b": ("Wet again", "rain FALLS!"),
        "c": ("Dry.", "wet again?"),
    }
    others = {"d": ("Sun.", "It shines."), "e": ("😀", "…"), "f": ("👀", "Hm.")}
    rows = [Example(k, s, (r,)) for k, (s, r) in {**said, **others}.items()]
    found = {one.id: one.cluster for one in clustered(rows, reference_counts(rows))}
    assert found["a"] == found["b"] == found["c"]
    assert len(set(found.values())) == 4
    rows = [Example("a", "s", ("r",), "mine"), Example("b", "s", ("t",))]
    given = clustered(rows, reference_counts(rows))
    assert next(given).cluster == "mine"


def test_clusters_are_read_and_are_part_of_the_fingerprint(tmp_path: Path) -> None:
    record = {"source": "s", "references": ["r"]}
    plain, named = (
        read_test_set(write(tmp_path, f"{n}.jsonl", json.dumps(one)))
        for n, one in enumerate((record, record | {"cluster": "c"}))
    )
    assert named[0].cluster == "c"
    assert evaluation_set(plain, None, 0).fingerprint != evaluation_set(named, None, 0).fingerprint
    with pytest.raises(UserError, match="line 1"):
        read_test_set(write(tmp_path, "bad.jsonl", json.dumps(record | {"cluster": 7})))


def test_a_larger_sample_contains_the_smaller_one() -> None:
    many = [Example(str(n), f"s{n}", ("r",)) for n in range(100)]
    small, large = sample(many, 10, seed=3), sample(many, 40, seed=3)
    assert set(small) < set(large)
    assert large != many[:40]
    with pytest.raises(UserError):
        sample(many, 0, seed=3)


def test_examples_that_share_a_source_are_pooled() -> None:
    merged = merge_sources([Example("a", "s", ("x", "y")), Example("b", "s", ("y", "z"))])
    assert merged == [Example("a", "s", ("x", "y", "z"))]


def test_predictions_in_every_form(tmp_path: Path) -> None:
    records = [{"source": e.source, "prediction": "p", "references": e.references} for e in THREE]
    jsonl = write(tmp_path, "p.jsonl", "\n".join(map(json.dumps, records)))
    tsv = write(
        tmp_path, "p.tsv", "\n".join("\t".join((e.source, "p", *e.references)) for e in THREE)
    )
    by_id = write(
        tmp_path,
        "ids.jsonl",
        "\n".join(json.dumps({"id": e.id, "prediction": "p"}) for e in THREE[::-1]),
    )
    plain = write(tmp_path, "p.txt", "p\n\np\n")
    assert [text for _, text in read_predictions(jsonl)] == ["p"] * 3
    assert [text for _, text in read_predictions(tsv)] == ["p"] * 3
    assert [example.id for example, _ in read_predictions(by_id, THREE)] == ["0", "1", "2"]
    assert [text for _, text in read_predictions(plain, THREE)] == ["p", "", "p"]


@pytest.mark.parametrize(
    ("name", "content", "beside", "says"),
    [
        ("p.tsv", "a\tb\tc\na\tb\n", False, "line 2: 2 columns instead of 3"),
        ("p.tsv", "a\tb\tc\na\tb\tc\td\n", False, "line 2: 4 columns instead of 3"),
        ("p.tsv", "", False, "the file is empty"),
        ("p.jsonl", '{"id": "0", "prediction": "b"}', False, "line 1: needs"),
        (
            "p.jsonl",
            '{"source": "a", "prediction": "b", "references": "c"}',
            False,
            'line 1: "references"',
        ),
        (
            "p.jsonl",
            '{"id": "9", "prediction": "b"}',
            True,
            "line 1: the id '9' is not in the data",
        ),
        ("p.jsonl", '{"id": "0", "prediction": "b"}', True, "2 examples have no prediction"),
        (
            "p.jsonl",
            '{"id": "0", "prediction": "b"}\n' * 2,
            True,
            "line 2: the id '0' stands twice",
        ),
        ("p.jsonl", '{"id": "0", "prediction": null}', True, "line 1: None where a text is needed"),
        ("p.txt", "one\ntwo\n", True, "2 lines for 3 examples"),
    ],
)
def test_bad_predictions_are_refused(
    tmp_path: Path, name: str, content: str, beside: bool, says: str
) -> None:
    with pytest.raises(UserError) as caught:
        read_predictions(write(tmp_path, name, content), THREE if beside else None)
    assert says in str(caught.value)
