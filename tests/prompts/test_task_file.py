"""Tasks files in three formats, and the bad ones, each with its message."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from parabench.contracts import UserError
from parabench.prompts.records import read_records
from parabench.prompts.task_file import read_task_file
from parabench.prompts.templates import Template, templates_by_name

FIVE_KEYS = {
    "taskname": "intent_and_slot",
    "prompt_template": (
        "<|VIRTUAL_PROMPT_0|> Predict intent and slot <|VIRTUAL_PROMPT_1|> :\n{utterance}{label}"
    ),
    "total_virtual_tokens": 10,
    "virtual_token_splits": [7, 3],
    "truncate_field": None,
}
"""The keys that the notebook says an item has."""
TOML = """
[[task]]
taskname = "intent_and_slot"
prompt_template = "<|VIRTUAL_PROMPT_0|> Predict intent and slot \
<|VIRTUAL_PROMPT_1|> :\\n{utterance}{label}"
total_virtual_tokens = 10
virtual_token_splits = [7, 3]
"""
YAML = """
- taskname: intent_and_slot
  prompt_template: "<|VIRTUAL_PROMPT_0|> Predict intent and slot \
<|VIRTUAL_PROMPT_1|> :\\n{utterance}{label}"
  total_virtual_tokens: 10
  virtual_token_splits: [7, 3]
  truncate_field: null
"""
NEMO = "model:\n  task_templates:\n" + "\n".join("    " + line for line in YAML.split("\n"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tasks.toml", TOML),
        ("tasks.yaml", YAML),
        ("tasks.yml", NEMO),
        ("tasks.json", json.dumps([FIVE_KEYS])),
        ("tasks.json", json.dumps({"task_templates": [FIVE_KEYS]})),
    ],
)
def test_the_notebooks_five_keys_are_enough(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    (template,) = read_task_file(tmp_path / name)
    assert template == Template(
        "intent_and_slot", str(FIVE_KEYS["prompt_template"]), 10, (7, 3), None, "label", False
    )


def test_a_template_that_ends_in_text_has_no_answer(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(
        json.dumps(
            [{**FIVE_KEYS, "prompt_template": "<|VIRTUAL_PROMPT_0|>{x}<|VIRTUAL_PROMPT_1|> end"}]
        )
    )
    assert read_task_file(tmp_path / "t.json")[0].answer_field is None


def entry(**changes: object) -> str:
    return json.dumps([{**FIVE_KEYS, **changes}])


BAD_TASKS = {
    "no such format": ("tasks.txt", "x", "a .txt file"),
    "broken TOML": ("tasks.toml", "[[task]", "not TOML"),
    "broken YAML": ("tasks.yaml", "- [", "not YAML"),
    "broken JSON": ("tasks.json", "[", "not JSON"),
    "a YAML tag that would run code": (
        "tasks.yaml",
        "!!python/object/apply:os.getcwd []",
        "not YAML",
    ),
    "no list": ("tasks.json", "3", "a int where the list of tasks belongs"),
    "an unknown key above the list": ("tasks.json", '{"jobs": []}', "the keys jobs"),
    "an empty list": ("tasks.json", "[]", "no task"),
    "an entry that is no table": ("tasks.json", '["sentiment"]', "entry 1 .*\n.*a str where"),
    "a misspelt key": ("tasks.json", entry(answer_feild="label"), "answer_feild: Unexpected"),
    "a missing key": (
        "tasks.json",
        json.dumps([{k: v for k, v in FIVE_KEYS.items() if k != "total_virtual_tokens"}]),
        "total_virtual_tokens: Field required",
    ),
    "a number that is none": ("tasks.json", entry(total_virtual_tokens="ten"), "valid integer"),
    "splits that do not sum": (
        "tasks.json",
        entry(virtual_token_splits=[7, 4]),
        "sum to 11, not 10",
    ),
    "a split without a marker": (
        "tasks.json",
        entry(virtual_token_splits=[7, 2, 1]),
        "markers 0, 1",
    ),
    "an unknown truncate_field": ("tasks.json", entry(truncate_field="text"), "'text' is no slot"),
    "the answer truncated": (
        "tasks.json",
        entry(truncate_field="label"),
        "truncate_field is the answer 'label'",
    ),
    "an answer that is not last": (
        "tasks.json",
        entry(answer_field="utterance"),
        "does not end with {utterance}",
    ),
    "square brackets": (
        "tasks.json",
        entry(prompt_template="<|VIRTUAL_PROMPT_0|> [utterance] <|VIRTUAL_PROMPT_1|>"),
        r"\[utterance\] in square brackets",
    ),
    "a malformed marker": (
        "tasks.json",
        entry(prompt_template="<|VIRTUAL_PROMPT_0|><|VIRTUAL_PROMPT_1|><|VIRTUAL_PROMPT_x|>{a}"),
        "a marker that is not",
    ),
    "answer_only_loss without an answer": (
        "tasks.json",
        entry(
            prompt_template="<|VIRTUAL_PROMPT_0|>{a}<|VIRTUAL_PROMPT_1|>.", answer_only_loss=True
        ),
        "without an answer_field",
    ),
    "an empty stop string": ("tasks.json", entry(stop=[""]), "an empty string among the stop"),
    "no new tokens": ("tasks.json", entry(max_new_tokens=0), "max_new_tokens 0"),
    "an empty name": ("tasks.json", entry(taskname=""), "an empty task name"),
    "a name that is used twice": (
        "tasks.json",
        json.dumps([FIVE_KEYS, FIVE_KEYS]),
        "'intent_and_slot' is defined 2 times",
    ),
    "a key that stands twice in JSON": (
        "tasks.json",
        entry().replace("{", '{"taskname": "squad", ', 1),
        "'taskname' occurs twice",
    ),
    "a key that stands twice in YAML": (
        "tasks.yaml",
        YAML + "  total_virtual_tokens: 3\n",
        "'total_virtual_tokens' occurs twice.* line 7",
    ),
    "two YAML documents": ("tasks.yaml", YAML + "---" + YAML, "expected a single document"),
    "YAML nested too deep": ("tasks.yaml", "[" * 5000, "not YAML .*recursion"),
    "a YAML list within itself": ("tasks.yaml", "&a [*a]", "entry 1 .*\n.*a list where a table"),
    "a date that is none": ("tasks.yaml", YAML + "  stop: 2020-13-45\n", "month must be in"),
    "a number of tokens that is not finite": (
        "tasks.json",
        entry(total_virtual_tokens=float("nan")),
        "total_virtual_tokens: Input should be",
    ),
    "true for a number": (
        "tasks.json",
        entry(total_virtual_tokens=True),
        "total_virtual_tokens: Input should be a valid integer",
    ),
    "a number in quotes": ("tasks.json", entry(max_new_tokens="8"), "max_new_tokens: Input should"),
    "a split that is no integer": (
        "tasks.json",
        entry(virtual_token_splits=[7.0, 3]),
        "virtual_token_splits.0: Input should be a valid integer",
    ),
    "a word for true": (
        "tasks.json",
        entry(answer_only_loss="yes"),
        "answer_only_loss: Input should be a valid boolean",
    ),
    "splits that are no list": ("tasks.json", entry(virtual_token_splits=10), "valid tuple"),
    "a marker that is skipped": (
        "tasks.json",
        entry(prompt_template="<|VIRTUAL_PROMPT_0|>{a}<|VIRTUAL_PROMPT_2|>{b}"),
        "markers 0, 2; 2 splits need 0, 1",
    ),
    "a marker that stands twice": (
        "tasks.json",
        entry(prompt_template="<|VIRTUAL_PROMPT_0|>{a}<|VIRTUAL_PROMPT_0|>{b}"),
        "markers 0, 0; 2 splits need 0, 1",
    ),
    "no slot": (
        "tasks.json",
        entry(prompt_template="<|VIRTUAL_PROMPT_0|>hello<|VIRTUAL_PROMPT_1|>"),
        "no slot",
    ),
    "a slot for the task's name": (
        "tasks.json",
        entry(prompt_template="<|VIRTUAL_PROMPT_0|>{taskname}<|VIRTUAL_PROMPT_1|>{b}"),
        "a slot {taskname}, which no record fills",
    ),
    "a slot without a name": (
        "tasks.json",
        entry(prompt_template="<|VIRTUAL_PROMPT_0|>{}<|VIRTUAL_PROMPT_1|>{b}"),
        "a slot without a name",
    ),
    "spaces in a slot": (
        "tasks.json",
        entry(prompt_template="<|VIRTUAL_PROMPT_0|>{ a }<|VIRTUAL_PROMPT_1|>{b}"),
        "write {a}",
    ),
    "a name that options would part": ("tasks.json", entry(taskname="a,b"), "with a comma, =, a"),
    "a name with a line break": ("tasks.json", entry(taskname="a\nb"), "a control character"),
    "a name of safetensors": ("tasks.json", entry(taskname="__metadata__"), "keeps for itself"),
    "half a character": ("tasks.json", entry(stop=["\ud800"]), "half a character"),
}


@pytest.mark.parametrize("case", BAD_TASKS)
def test_a_bad_tasks_file_is_refused(tmp_path: Path, case: str) -> None:
    name, text, message = BAD_TASKS[case]
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message) as error:
        read_task_file(tmp_path / name)
    assert name in str(error.value)


GOOD = {"taskname": "intent_and_slot", "utterance": "wake me", "label": "\nIntent: x\nSlots: None"}
BAD_RECORDS = {
    "no task": ({"utterance": "x", "label": "y"}, "no taskname"),
    "a task without a template": ({**GOOD, "taskname": "squad"}, "the taskname 'squad'"),
    "a slot that nothing fills": (
        {"taskname": "intent_and_slot", "label": "y"},
        "no field 'utterance'",
    ),
    "no answer to learn": ({"taskname": "intent_and_slot", "utterance": "x"}, "no field 'label'"),
    "a field without a slot": ({**GOOD, "source": "x"}, "'source', for which the template has no"),
    "a number": ({**GOOD, "label": 3}, "'label' is not text but 3"),
    "a list": ({**GOOD, "label": ["a"]}, "'label' is not text"),
    "a marker in a value": ({**GOOD, "utterance": "<|VIRTUAL_PROMPT_0|>"}, "inside the field"),
    "a slot in a value": ({**GOOD, "utterance": "{label}"}, "inside the field 'utterance'"),
    "half a character": ({**GOOD, "utterance": "\ud800"}, "half a character"),
    "no object": ("intent_and_slot", "a str, not an object"),
}


@pytest.mark.parametrize("case", BAD_RECORDS)
def test_a_bad_record_names_its_line_and_task(tmp_path: Path, case: str) -> None:
    content, message = BAD_RECORDS[case]
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(GOOD) + "\n" + json.dumps(content) + "\n")
    (tmp_path / "tasks.yaml").write_text(YAML)
    templates = templates_by_name(read_task_file(tmp_path / "tasks.yaml"))
    with pytest.raises(UserError, match=message) as error:
        list(read_records(path, templates, training=True))
    assert "train.jsonl:2" in str(error.value)


BAD_LINES = {
    "a name that stands twice": (b'{"taskname": "x", "taskname": "y"}', "'taskname' occurs twice"),
    "not UTF-8": ('{"taskname": "é"}'.encode("latin-1"), "not JSON .*invalid continuation"),
    "a number that is not finite": (
        b'{"taskname": "intent_and_slot", "utterance": NaN, "label": "y"}',
        "'utterance' is not text but NaN",
    ),
    "a blank line": (b"\n", "not JSON"),
    "zeros": (b"\0\0", "not JSON"),
    "an object that is cut off": (b'{"taskname": "intent_and_slot", "utt', "not JSON"),
    "nested too deep": (b"[" * 100_000, "recursion"),
    "a number of 5,000 digits": (b'{"label": ' + b"9" * 5000 + b"}", "4300 digits"),
    "a null": (
        b'{"taskname": "intent_and_slot", "utterance": "x", "label": null}',
        "'label' is not text but null",
    ),
    "the text between two messages of a chat": (
        b'{"taskname": "intent_and_slot", "utterance": "<|TURN|>", "label": "y"}',
        "inside the field 'utterance'",
    ),
}
"""Lines that are no record, as bytes; not one of them is read for something else."""


@pytest.mark.parametrize("case", BAD_LINES)
def test_a_bad_line_is_named(tmp_path: Path, case: str) -> None:
    line, message = BAD_LINES[case]
    path = tmp_path / "train.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b"\n" + line + b"\n")
    (tmp_path / "tasks.yaml").write_text(YAML)
    templates = templates_by_name(read_task_file(tmp_path / "tasks.yaml"))
    with pytest.raises(UserError, match=message) as error:
        list(read_records(path, templates, training=True))
    assert "train.jsonl:2" in str(error.value)


def test_yaml_anchors_and_merges_are_read(tmp_path: Path) -> None:
    lines = YAML.strip().splitlines()
    again = ["- <<: *first", "  taskname: other"]
    (tmp_path / "t.yaml").write_text(
        "\n".join(["- &first", "  " + lines[0][2:], *lines[1:], *again])
    )
    first, other = read_task_file(tmp_path / "t.yaml")
    assert other == replace(first, taskname="other")


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    for name, text in (("t.toml", TOML), ("t.yaml", YAML), ("t.json", entry())):
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
        assert read_task_file(tmp_path / name)[0].taskname == "intent_and_slot"


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_task_file(tmp_path / "tasks.toml")
    (tmp_path / "tasks.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="not UTF-8"):
        read_task_file(tmp_path / "tasks.toml")
