"""Every rule for a task record: NeMo's and those it lacks; each error names the file and the
line.
"""

import json

import pytest

from parabench.contracts import UserError
from parabench.prompts import records
from parabench.prompts.templates import Template

TASKS = {"t": Template("t", "<|VIRTUAL_PROMPT_0|>[note] {x} so {y}", 2, (2,), "x", "y", True)}
GOOD = {"taskname": "t", "x": "rain", "y": "wet"}


def read(tmp_path, *lines, training=True):
    path = tmp_path / "data.jsonl"
    path.write_bytes(
        b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    )
    return list(records.read_records(path, TASKS, training))


def test_good_records_keep_their_place(tmp_path):
    found = read(tmp_path, GOOD, {**GOOD, "x": "{z} and [x] are plain text"})
    assert [record.id for record in found] == ["data.jsonl:1", "data.jsonl:2"]
    assert found[1].fields == {"x": "{z} and [x] are plain text", "y": "wet"}


def test_the_answer_may_be_absent_at_inference_only(tmp_path):
    line = {"taskname": "t", "x": "rain"}
    assert read(tmp_path, line, training=False)[0].fields == {"x": "rain"}
    with pytest.raises(UserError, match="no field 'y'"):
        read(tmp_path, line)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({**GOOD, "taskname": "u"}, "the taskname 'u'"),
        ({"x": "rain", "y": "wet"}, "no taskname"),
        ({"taskname": "t", "y": "wet"}, "no field 'x'"),
        ({**GOOD, "z": "more"}, "the field 'z', for which the template has no slot"),
        ({**GOOD, "note": "more"}, r"write \{note\} in the template"),
        ({**GOOD, "x": "a <|VIRTUAL_PROMPT_7|>"}, r"VIRTUAL_PROMPT_7\|> inside the field 'x'"),
        ({**GOOD, "y": "a {x} b"}, r"\{x\} inside the field 'y'"),
        ({**GOOD, "y": "a <|EOS|>"}, r"EOS\|> inside the field 'y'"),
        ({**GOOD, "x": 3}, "the field 'x' is not text but 3"),
        ({**GOOD, "x": None}, "not text but null"),
        ({**GOOD, "taskname": ["t"]}, r"the taskname \['t'\]"),
        (["x"], "a list, not an object|not JSON"),
        (b'{"taskname": "t"', "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"", "not JSON"),
        (b'{"taskname": "t", "x": "\\ud800", "y": "wet"}', "half a character in the field 'x'"),
    ],
)
def test_a_bad_record_is_refused_with_its_line(tmp_path, line, message):
    with pytest.raises(UserError, match=message) as error:
        read(tmp_path, GOOD, line, GOOD)
    assert "data.jsonl:2" in str(error.value)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        list(records.read_records(tmp_path / "none.jsonl", TASKS, True))


def test_an_array_of_records_names_their_lines(tmp_path):
    path = tmp_path / "data.json"
    path.write_text(
        '\n[\n  {"taskname": "t", "x": "a\\nb", "y": "c"}, \n\n' + json.dumps(GOOD) + "]"
    )
    found = list(records.read_records(path, TASKS, True))
    assert [record.id for record in found] == ["data.json:3", "data.json:5"]
    assert found[0].fields["x"] == "a\nb"
    path.write_text('[{"taskname": "t", "x": "rain", "y": "wet"},\n\n{"taskname": "u"}]')
    with pytest.raises(UserError, match=r"record data\.json:3"):
        list(records.read_records(path, TASKS, True))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data.csv", "x", "a .csv file"),
        ("data.json", "[{]", "not JSON"),
        ("data.json", '{"taskname": "t"', "record data.json:1"),
        ("data.json", "[1]", "a int, not an object"),
        ("data.jsonl", "[" * 100_000, "not JSON"),
    ],
)
def test_a_bad_file_of_records_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message):
        list(records.read_records(tmp_path / name, TASKS, True))
