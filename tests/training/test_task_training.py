"""Tasks trained from records into one table: losses, growth, resumption, refusals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from parabench.contracts import Runtime, UserError
from parabench.models.checkpoints import locate
from parabench.models.loading import load_causal
from parabench.prompts import table, table_files
from parabench.prompts.rendering import labels, render
from parabench.prompts.templates import Template, templates_by_name
from parabench.training.losses import TrainingRow, prompt_loss, target_tokens
from parabench.training.presets import make_config
from parabench.training.resumable import StopRequest, TrainingStopped
from parabench.training.setup import parse_kind
from parabench.training.stopped import export_stopped, is_stopped_training
from parabench.training.task_rows import training_row
from parabench.training.task_training import TaskTraining, train_tasks
from tests.support import jobs, tiny
from tests.support.prompts import check_records

SENTIMENT = Template(
    "sentiment", "<|VIRTUAL_PROMPT_0|> {sentence} sentiment:{label}", 6, (6,), None, "label", True
)
INTENT = Template(
    "intent_and_slot",
    "<|VIRTUAL_PROMPT_0|> Predict intent and slot <|VIRTUAL_PROMPT_1|> :\n{utterance}{label}",
    6,
    (4, 2),
    None,
    "label",
)
SQUAD = Template(
    "squad",
    "<|VIRTUAL_PROMPT_0|> Context: {context}\n\nQuestion: {question}\n\nAnswer:{answer}",
    9,
    (9,),
    "context",
    "answer",
    True,
)
ALL = (SENTIMENT, INTENT, SQUAD)
LINES = {
    "sentiment": [
        {"taskname": "sentiment", "sentence": text, "label": f" {label}"}
        for text, label in zip(tiny.SENTENCES, ["positive", "negative"] * 4, strict=True)
    ],
    "intent_and_slot": [
        {
            "taskname": "intent_and_slot",
            "utterance": f"wake me at {hour}",
            "label": f"\nIntent: alarm_set\nSlots: time({hour})",
        }
        for hour in ("six", "seven", "eight am", "noon")
    ],
    "squad": [
        {"taskname": "squad", "context": text, "question": "What?", "answer": " it"}
        for text in tiny.SENTENCES
    ],
}


def records(templates):
    lines = [line for one in templates for line in LINES[one.taskname]]
    return tuple(check_records(lines, templates_by_name(tuple(templates)), training=True))


def training(folder: Path, tasks=(SENTIMENT, INTENT), method="ptuning", **changes):
    kind = parse_kind("ptuning-6" if method == "ptuning" else "softprompt-6")
    every = records(tasks)
    return replace(
        TaskTraining(
            folder / "table",
            locate(str(jobs.base("opt", folder))),
            tuple(tasks),
            every[::2] + every[1::2][:2],
            every[1::2],
            method,
            make_config(kind, **jobs.QUICK),
            Runtime(),
        ),
        **changes,
    )


@pytest.fixture(scope="module", params=["opt", "opt350", "gpt2", "llama"])
def loaded(request, tmp_path_factory):
    checkpoint = locate(str(tiny.CAUSAL[request.param](tmp_path_factory.mktemp(request.param))))
    return load_causal(checkpoint, Runtime())


@pytest.mark.parametrize("template", ALL, ids=lambda one: one.taskname)
def test_the_loss_is_the_models_own_with_its_labels(loaded, template):
    """transformers' loss with labels of -100 on prompt, BOS and virtual tokens."""
    model, tokenizer = loaded
    width = model.get_input_embeddings().weight.shape[1]
    prompt = torch.randn(template.total_virtual_tokens, width, requires_grad=True)
    rendered = [
        render(template, record.fields, tokenizer, 120, training=True)
        for record in records([template])[:3]
    ]
    rows = [training_row(one) for one in rendered]
    loss = prompt_loss(model, prompt, rows, lead=0)
    (found,) = torch.autograd.grad(loss, prompt)
    total, count = torch.zeros(()), 0
    for one in rendered:
        ids, wanted = torch.tensor(one.ids), torch.tensor(labels(one))
        words = model.get_input_embeddings()(ids.clamp(min=0))
        embeds = torch.where((ids < 0)[:, None], prompt[(-1 - ids).clamp(min=0)], words)
        counted = int((wanted[1:] != -100).sum())
        total = total + counted * model(inputs_embeds=embeds[None], labels=wanted[None]).loss
        count += counted
    (expected,) = torch.autograd.grad(total / count, prompt)
    assert count == target_tokens(rows)
    torch.testing.assert_close(loss, total / count, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)


def test_a_virtual_token_in_the_target_is_no_target():
    row = TrainingRow([5], [7, -1, -2, 8, 2])
    assert target_tokens([row]) == 3


def test_two_tasks_then_a_third_leave_the_first_bits(tmp_path: Path) -> None:
    first = training(tmp_path)
    outcome = train_tasks(first).outcome
    assert outcome.steps == jobs.QUICK["steps"]
    assert {"sentiment loss", "intent_and_slot loss"} <= outcome.history[-1]["validation"].keys()
    before = load_file(tmp_path / "table" / table_files.TABLE_TENSORS_FILE)
    second = training(tmp_path, (SQUAD,), "prompt", existing=("sentiment", "intent_and_slot"))
    train_tasks(second)
    after = load_file(tmp_path / "table" / table_files.TABLE_TENSORS_FILE)
    assert {name: tensor.shape for name, tensor in after.items()} == {
        "sentiment": (6, 32),
        "intent_and_slot": (6, 32),
        "squad": (9, 32),
    }
    assert all(after[name].numpy().tobytes() == before[name].numpy().tobytes() for name in before)
    found = table_files.load_table(tmp_path / "table", first.base)
    assert found.templates == (SENTIMENT, INTENT, SQUAD)


def test_the_encoder_writes_other_rows_for_each_name(tmp_path: Path) -> None:
    twins = (SENTIMENT, replace(SENTIMENT, taskname="news"))
    lines = LINES["sentiment"] + [{**line, "taskname": "news"} for line in LINES["sentiment"]]
    every = tuple(check_records(lines, templates_by_name(twins), training=True))
    train_tasks(training(tmp_path, (SENTIMENT,), templates=twins, records=every, dev=()))
    found = table_files.load_table(tmp_path / "table").prompts
    assert not torch.equal(found["sentiment"], found["news"])


def test_a_training_that_is_done_is_not_touched(tmp_path: Path) -> None:
    train_tasks(training(tmp_path))
    before = jobs.contents(tmp_path / "table")
    train_tasks(training(tmp_path))
    jobs.assert_identical(tmp_path / "table", tmp_path / "table")
    after = jobs.contents(tmp_path / "table")
    assert before.keys() == after.keys()
    other = replace(training(tmp_path), encoder="mlp")
    with pytest.raises(UserError, match="starts from"):
        train_tasks(other)
    table_files.save_table(
        tmp_path / "table", table.TaskTable(table_files.load_table(tmp_path / "table").base, (), {})
    )
    with pytest.raises(UserError, match="the table has lost the task 'sentiment'"):
        train_tasks(training(tmp_path))


def work(folder: Path, output: str, event: Callable[[], object]) -> None:
    train_tasks(replace(training(folder), table=folder / output), lambda _: event())


def test_a_killed_training_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    train_tasks(replace(training(tmp_path), table=tmp_path / "whole"))
    for events in (12, 40):
        assert jobs.dies(work, tmp_path, f"cut-{events}", events=events)
        train_tasks(replace(training(tmp_path), table=tmp_path / f"cut-{events}"))
        jobs.assert_identical(tmp_path / "whole", tmp_path / f"cut-{events}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "lora"}, "by the method 'lora'"),
        ({"templates": (SENTIMENT, SQUAD)}, "squad has 9 virtual tokens"),
        ({"templates": (replace(SENTIMENT, taskname="new"),)}, "no record of the task 'new'"),
        ({"dev": records([SENTIMENT])}, "use the held-out records"),
        ({"existing": ("squad",)}, "no such task in the table"),
        ({"encoder": "gru"}, "no such encoder"),
        ({"method": "prompt", "initialiser": "ones"}, "no such initialiser"),
        (
            {
                "templates": (
                    replace(
                        SENTIMENT,
                        prompt_template="{sentence}{label}",
                        total_virtual_tokens=0,
                        virtual_token_splits=(),
                    ),
                )
            },
            "nothing could learn",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused(tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        train_tasks(replace(training(tmp_path), **change))
    assert not (tmp_path / "table" / table_files.TABLE_TENSORS_FILE).exists()


def test_a_stopped_training_of_tasks_is_not_taken(tmp_path: Path) -> None:
    asked = training(tmp_path, (SENTIMENT,))
    with pytest.raises(TrainingStopped):
        train_tasks(asked, stop=StopRequest(requested=True))
    assert is_stopped_training(asked.folder)
    with pytest.raises(UserError, match="a training of tasks"):
        export_stopped(asked.folder, tmp_path / "taken", asked.base)
    assert not (tmp_path / "taken").exists()


def test_prompt_tuned_tasks_may_differ_in_length(tmp_path: Path) -> None:
    train_tasks(training(tmp_path, ALL, "prompt"))
    found = table_files.load_table(tmp_path / "table")
    assert [len(found.prompts[one.taskname]) for one in ALL] == [6, 6, 9]


def test_records_that_do_not_fit_are_named(tmp_path: Path) -> None:
    long = {"taskname": "sentiment", "sentence": "rain " * 200, "label": " negative"}
    lines = [long, *LINES["sentiment"]]
    every = tuple(check_records(lines, {"sentiment": SENTIMENT}, training=True))
    asked = training(tmp_path, (SENTIMENT,), records=every, dev=())
    assert train_tasks(asked).too_long == ("record:1",)
    alone = replace(asked, table=tmp_path / "other", records=every[:1])
    with pytest.raises(UserError, match="none of its training records fits into 128 tokens"):
        train_tasks(alone)
