"""The task commands end to end, on a tiny model and the demonstration data."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from parabench.cli import app
from parabench.contracts import UserError
from parabench.prompts import table_files
from tests.support import jobs

TASKS = """
[[task]]
taskname = "sentiment"
prompt_template = "<|VIRTUAL_PROMPT_0|> {sentence} sentiment:{label}"
total_virtual_tokens = 10
virtual_token_splits = [10]
answer_only_loss = true
max_new_tokens = 3

[[task]]
taskname = "intent_and_slot"
prompt_template = "<|VIRTUAL_PROMPT_0|> Predict <|VIRTUAL_PROMPT_1|> :\\n{utterance}{label}"
total_virtual_tokens = 10
virtual_token_splits = [7, 3]
max_new_tokens = 6

[[task]]
taskname = "squad"
prompt_template = "<|VIRTUAL_PROMPT_0|> {context} {question}:{answer}"
total_virtual_tokens = 4
virtual_token_splits = [4]
truncate_field = "context"
answer_only_loss = true
max_new_tokens = 5
"""
SCORERS = [
    "--scorer", "sentiment=labels", "--scorer", "squad=answers",
    "--scorer", "intent_and_slot=intent-slot",
]  # fmt: skip


def call(*words: object) -> None:
    app([str(word) for word in words], standalone_mode=False)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """The demonstration data, a base model and a tasks file; a table with two tasks and a third."""
    folder = tmp_path_factory.mktemp("tasks")
    (folder / "tasks.toml").write_text(TASKS)
    data, base = folder / "data", jobs.base("opt", folder)
    call("data", "prepare", "demo", "--folder", data, "--size", 100)
    call("data", "prepare", "phrasebank", data / "Sentences_AllAgree.txt", "--folder", data)
    call("data", "prepare", "squad", data / "train-v2.0.json", "--folder", data)
    call("data", "prepare", "assistant", data / "NLU-Evaluation-Data", "--folder", data)
    for split in ("train", "val", "test", "test_ground_truth"):
        joined(folder / f"two_{split}.jsonl", data, split, "financial_phrase_bank", "assistant")
        names = ("financial_phrase_bank", "squad", "assistant")
        joined(folder / f"all_{split}.jsonl", data, split, *names)
    common = ("--tasks", folder / "tasks.toml", "--base", base, "--steps", 2, "--batch-size", 4)
    call(
        "tasks", "train", folder / "table", *common, "--records", folder / "two_train.jsonl",
        "--dev-records", folder / "two_val.jsonl", "--new", "sentiment,intent_and_slot",
    )  # fmt: skip
    (folder / "before").write_bytes(prompts_of(folder / "table"))
    call(
        "train", folder / "table", *common, "--records", data / "squad_train.jsonl",
        "--dev-records", data / "squad_val.jsonl", "--method", "prompt",
        "--existing", "sentiment,intent_and_slot",
    )  # fmt: skip
    return folder


def joined(target: Path, data: Path, split: str, *names: str) -> None:
    lines = ((data / f"{name}_{split}.jsonl").read_text() for name in names)
    target.write_text("".join(lines))


def prompts_of(folder: Path, *names: str) -> bytes:
    found = table_files.load_table(folder).prompts
    return b"".join(found[name].numpy().tobytes() for name in names or sorted(found))


def names_in(folder: Path) -> list[str]:
    return [one.taskname for one in table_files.load_table(folder).templates]


def test_the_first_tasks_keep_their_bits(world: Path) -> None:
    assert names_in(world / "table") == [
        "sentiment",
        "intent_and_slot",
        "squad",
    ]
    after = prompts_of(world / "table", "intent_and_slot", "sentiment")
    assert after == (world / "before").read_bytes()


def test_all_tasks_are_answered_and_scored(world: Path, capsys) -> None:
    base = world / "base"
    run = ("tasks", "run", world / "table", "--records", world / "all_test.jsonl", "--base", base)
    call(*run, "--output", world / "answers.jsonl")
    call(*run, "--output", world / "zero.jsonl", "--zero-shot")
    lines = [json.loads(line) for line in (world / "answers.jsonl").read_text().splitlines()]
    asked = (world / "all_test.jsonl").read_text().splitlines()
    assert [line["taskname"] for line in lines] == [json.loads(line)["taskname"] for line in asked]
    score = (
        "tasks", "score", world / "answers.jsonl", "--tasks", world / "tasks.toml",
        "--records", world / "all_test_ground_truth.jsonl",
    )  # fmt: skip
    call(*score, *SCORERS, "--against", world / "zero.jsonl", "--output", world / "scores.json")
    scores = json.loads((world / "scores.json").read_text())["scores"]
    assert {one["column"] for one in scores} >= {"accuracy", "macro_f1", "exact_match", "slot_f1"}
    assert all(one["p"] is not None for one in scores)
    assert "accuracy" in capsys.readouterr().out
    with pytest.raises(UserError, match="no scorer is named"):
        call(*score, "--scorer", "sentiment=labels")
    with pytest.raises(UserError, match="not TASK=NAME"):
        call(*score, *SCORERS, "--scorer", "labels")
    with pytest.raises(UserError, match="named twice"):
        call(*score, *SCORERS, *SCORERS[:2])
    for changed in ({"fields": [1]}, {"text": 3}, {"problem": None}, {"taskname": ["squad"]}):
        bad = [json.dumps({**lines[0], **changed}), *map(json.dumps, lines[1:])]
        (world / "bad.jsonl").write_text("\n".join(bad) + "\n")
        with pytest.raises(UserError, match="line 1 of the answers"):
            call(*score[:2], world / "bad.jsonl", *score[3:], *SCORERS)
    shuffled = asked[1:] + asked[:1]
    (world / "shuffled.jsonl").write_text("\n".join(shuffled) + "\n")
    call(
        "tasks", "run", world / "table", "--records", world / "shuffled.jsonl", "--base", base,
        "--output", world / "other.jsonl",
    )  # fmt: skip
    with pytest.raises(UserError, match="an answer to another record"):
        call(*score[:2], world / "other.jsonl", *score[3:], *SCORERS)


def test_perfect_answers_are_perfect(world: Path) -> None:
    call(
        "tasks", "run", world / "table", "--records", world / "all_test.jsonl",
        "--base", world / "base", "--output", world / "made.jsonl",
    )  # fmt: skip
    truth = (world / "all_test_ground_truth.jsonl").read_text().splitlines()
    lines = []
    answers = (world / "made.jsonl").read_text().splitlines()
    for answer, right in zip(map(json.loads, answers), map(json.loads, truth), strict=True):
        found = right.get("label", right.get("answer"))
        answer["text"] = (found[0] if isinstance(found, list) else found).strip()
        lines.append(json.dumps(answer))
    (world / "made.jsonl").write_text("\n".join(lines) + "\n")
    call(
        "tasks", "score", world / "made.jsonl", "--tasks", world / "tasks.toml", *SCORERS,
        "--records", world / "all_test_ground_truth.jsonl", "--output", world / "made.json",
    )  # fmt: skip
    values = {
        one["column"]: one["value"]
        for one in json.loads((world / "made.json").read_text())["scores"]
    }
    assert {name for name, value in values.items() if value != 100} == {"unparsed"}
    assert values["unparsed"] == 0


def test_tasks_go_out_and_come_back(world: Path, capsys) -> None:
    base = ("--base", world / "base")
    table = world / "table"
    call("tasks", "export", table, "sentiment", world / "sentiment")
    call("tasks", "export", table, "sentiment", world / "peft", "--format", "peft")
    call("tasks", "export", table, "squad", world / "squad.safetensors", "--format", "safetensors")
    call(
        "tasks", "export", table, "squad", world / "squad.jsonl", "--format", "prompt_embeds",
        "--records", world / "data" / "squad_test.jsonl", *base,
    )  # fmt: skip
    assert json.loads((world / "squad.jsonl").read_text().splitlines()[0]).keys() == {
        "prompt_embeds"
    }
    call("tasks", "add", world / "one", world / "sentiment", *base)
    call("tasks", "add", world / "one", world / "squad.safetensors", *base)
    assert prompts_of(world / "one", "sentiment", "squad") == prompts_of(
        table, "sentiment", "squad"
    )
    tasks = ("--tasks", world / "tasks.toml", "--task", "sentiment")
    call("tasks", "add", world / "two", world / "peft", *base, *tasks)
    assert prompts_of(world / "two") == prompts_of(table, "sentiment")
    with pytest.raises(UserError, match="virtual tokens that do not all stand in front"):
        call("tasks", "export", table, "intent_and_slot", world / "no", "--format", "peft")
    with pytest.raises(UserError, match="it has no template"):
        call("tasks", "add", world / "three", world / "peft", *base)
    with pytest.raises(UserError, match="its task has another name"):
        call("tasks", "add", world / "three", world / "sentiment", *base, "--task", "squad")
    with pytest.raises(UserError, match="3 templates"):
        call("tasks", "add", world / "three", world / "peft", *base, *tasks[:2])
    with pytest.raises(UserError, match="no template named 'other'"):
        call("tasks", "add", world / "three", world / "peft", *base, *tasks[:3], "other")
    call("tasks", "add", world / "three", world / "sentiment", *base, *tasks[:2])
    assert names_in(world / "three") == ["sentiment"]
    with pytest.raises(UserError, match="already"):
        call("tasks", "add", world / "three", world / "sentiment", *base)
    with pytest.raises(UserError, match="two have the task 'sentiment'"):
        call("tasks", "merge", world / "never", world / "three", world / "two")
    with pytest.raises(UserError, match="this form has no records"):
        call("tasks", "export", table, "squad", world / "no", "--records", world / "tasks.toml")
    with pytest.raises(UserError, match="no such form"):
        call("tasks", "export", table, "squad", world / "no", "--format", "onnx")
    call("tasks", "remove", world / "one", "sentiment")
    assert prompts_of(world / "one") == prompts_of(table, "squad")
    call("tasks", "merge", world / "both", world / "one", world / "two")
    assert names_in(world / "both") == ["squad", "sentiment"]
    with pytest.raises(UserError, match="a table is there already"):
        call("tasks", "merge", world / "both", world / "one")
    capsys.readouterr()
    call("tasks", "show", world / "both")
    shown = capsys.readouterr().out
    assert "sentiment" in shown
    assert "10 tokens" in shown
    call("tasks", "check", "--tasks", world / "tasks.toml", "--records", world / "all_train.jsonl")
    assert "records" in capsys.readouterr().out


def test_what_cannot_be_answered_is_said_first(world: Path) -> None:
    run = ("tasks", "run", world / "table", "--base", world / "base")
    (world / "none.jsonl").write_text("")
    with pytest.raises(UserError, match="no record"):
        call(*run, "--records", world / "none.jsonl")
    with pytest.raises(UserError, match="no record"):
        call("tasks", "check", "--tasks", world / "tasks.toml", "--records", world / "none.jsonl")
    (world / "other.jsonl").write_text('{"taskname": "other", "x": "y"}\n')
    with pytest.raises(UserError, match=r"other.jsonl:1.*\n.*the taskname 'other'"):
        call(*run, "--records", world / "other.jsonl")


def test_more_virtual_tokens_than_positions_are_refused(world: Path) -> None:
    text = TASKS.replace("total_virtual_tokens = 10", "total_virtual_tokens = 100_000_000_000", 1)
    text = text.replace("[10]", "[100_000_000_000]")
    (world / "huge.toml").write_text(text)
    for method in ("prompt", "ptuning"):
        with pytest.raises(UserError, match="100000000000 virtual tokens; a row has at most"):
            call(
                "tasks", "train", world / "huge", "--tasks", world / "huge.toml", "--new",
                "sentiment", "--records", world / "data" / "financial_phrase_bank_train.jsonl",
                "--base", world / "base", "--method", method,
            )  # fmt: skip
    table = table_files.load_table(world / "table")
    long = [replace(one, max_new_tokens=1_000_000) for one in table.templates]
    table_files.save_table(world / "long", replace(table, templates=tuple(long)))
    with pytest.raises(UserError, match="10 virtual tokens and 1000000 new ones"):
        call(
            "tasks", "run", world / "long", "--base", world / "base",
            "--records", world / "data" / "financial_phrase_bank_test.jsonl",
        )  # fmt: skip
