"""Tasks files in three formats, and the bad ones, each with its message."""

from __future__ import annotations

import json
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


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_task_file(tmp_path / "tasks.toml")
    (tmp_path / "tasks.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="not UTF-8"):
        read_task_file(tmp_path / "tasks.toml")
