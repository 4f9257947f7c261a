"""Several tasks in one training: rows as the task table renders them, one loss, and an adapter for
each task.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from parabench.cli import app
from parabench.contracts import Runtime, UserError
from parabench.data.leakage import TestSentences
from parabench.models.checkpoints import locate
from parabench.models.loading import load_causal
from parabench.prompts import adapters, encoders
from parabench.prompts.records import TaskRecord
from parabench.prompts.rendering import labels
from parabench.training import encoding, tasks
from parabench.training.losses import TrainingRow, prompt_loss
from parabench.training.presets import make_config
from parabench.training.recipes import train_in_memory
from parabench.training.requests import TrainingRequest, run_training
from parabench.training.setup import TrainingKind, load_setup, parse_kind
from tests.support import jobs
from tests.support.prompts import render_tasks

FILE = """
[long]
data = "tsv:{folder}/a.tsv"
[short]
data = "tsv:{folder}/b.tsv"
template = "{{source}}\\nshort: {{target}}"
virtual_tokens = 9
share = 0.5
"""
NOTHING = TestSentences([])


def written(folder: Path) -> Path:
    """Two corpora that share their sources, so that a careless split would show."""
    for name in "ab":
        lines = (f"word{i} here {i}\there {i} {name} word{i} again\n" for i in range(30))
        (folder / f"{name}.tsv").write_text("".join(lines))
    path = folder / "tasks.toml"
    path.write_text(FILE.format(folder=folder))
    return path


def request(folder: Path, output: str, name: str = "ptuning-11") -> TrainingRequest:
    data, _ = tasks.prepare_tasks(tasks.read_tasks(written(folder)), 11, NOTHING, 12, 0)
    kind, base = parse_kind(name), locate(str(jobs.base(name, folder)))
    return TrainingRequest(
        kind, base, data, make_config(kind, **jobs.QUICK), Runtime(), folder / output
    )


def test_rows_are_those_of_the_task_table(tmp_path: Path) -> None:
    templates = tasks.task_templates(tasks.read_tasks(written(tmp_path)), 11)
    _, words = load_causal(locate(str(jobs.base("opt", tmp_path))), Runtime())
    items = [
        ("short", ("one two", "two")),
        ("long", ("three", "four five")),
        ("short", ("six", "seven")),
    ]
    records = [
        TaskRecord(str(i), task, {"source": a, "target": b})
        for i, (task, (a, b)) in enumerate(items)
    ]
    rendered, _ = render_tasks(templates, records, words, 100, training=True)
    rows = encoding.task_encoder(words, templates)(items)
    assert [(*row.source, *row.target) for row in rows] == [one.ids for one in rendered]
    assert [row.target for row in rows] == [[x for x in labels(one) if x >= 0] for one in rendered]
    assert min(min(row.source) for row in rows) == -20


def test_a_mixed_batch_has_loss_and_gradient_of_each_task(tmp_path: Path) -> None:
    templates = tasks.task_templates(tasks.read_tasks(written(tmp_path)), 11)
    base = locate(str(jobs.base("opt", tmp_path)))
    setup = load_setup(
        TrainingKind("softprompt-11", "softprompt", 11), base, Runtime(), tasks=templates
    )
    pairs = [("one two", "two"), ("three", "four five six")]
    prompts = setup.objective.module()
    setup.objective.loss(
        setup.objective.encode([("long", pairs[0]), ("short", pairs[1])])
    ).backward()
    mixed = setup.objective.module.embedding.grad
    alone, counts, losses = [], [], []
    for template, part, pair in zip(templates, prompts.detach().split([11, 9]), pairs, strict=True):
        part = part.clone().requires_grad_(True)
        rows: list[TrainingRow] = list(encoding.causal_encoder(setup.tokenizer, template)([pair]))
        losses.append(prompt_loss(setup.model, part, rows))
        counts.append(len(rows[0].target))
        (losses[-1] * counts[-1]).backward()
        alone.append(part.grad)
    torch.testing.assert_close(mixed, torch.cat(alone) / sum(counts), rtol=1e-4, atol=1e-6)


def work(folder: Path, output: str, event: Callable[[], object]) -> None:
    run_training(request(folder, output), lambda _: event())


def test_a_killed_training_of_tasks_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    run_training(request(tmp_path, "whole"))
    for events in (12, 45):
        assert jobs.dies(work, tmp_path, f"cut-{events}", events=events)
        run_training(request(tmp_path, f"cut-{events}"))
        for part in ("", "-long", "-short"):
            jobs.assert_identical(tmp_path / f"whole{part}", tmp_path / f"cut-{events}{part}")


def test_each_task_is_an_adapter_that_stands_alone(tmp_path: Path) -> None:
    outcome = run_training(request(tmp_path, "two"))
    base = locate(str(tmp_path / "base"))
    found = {
        name: adapters.load_adapter(tmp_path / f"two-{name}", base) for name in ("long", "short")
    }
    assert [one.prompt.shape[0] for one in found.values()] == [11, 9]
    assert (
        found["short"].facts.template.prompt_template
        == "<|VIRTUAL_PROMPT_0|>{source}\nshort: {target}"
    )
    for one in found.values():
        assert torch.equal(
            encoders.evaluate_prompt(encoders.restore_encoder(one.facts.encoder, one.state)),
            one.prompt,
        )
        assert not torch.equal(one.prompt, one.state["initial"])
    assert not torch.equal(found["long"].prompt[:9], found["short"].prompt)
    last = next(line["validation"] for line in reversed(outcome.history) if "validation" in line)
    assert last["loss"] == pytest.approx((last["long loss"] + last["short loss"]) / 2)


def test_a_small_task_beside_a_large_one_has_held_out_pairs(tmp_path: Path) -> None:
    path = written(tmp_path)
    (tmp_path / "a.tsv").write_text(
        "".join(f"large {i} row\trow {i} of many\n" for i in range(3000))
    )
    data, _ = tasks.prepare_tasks(tasks.read_tasks(path), 11, NOTHING, 8, 0)
    counts = Counter(task for task, _ in data.dev)
    assert counts == {"long": 8, "short": 8}


def test_what_is_held_out_of_one_task_is_trained_on_in_none(tmp_path: Path) -> None:
    data, _ = tasks.prepare_tasks(tasks.read_tasks(written(tmp_path)), 11, NOTHING, 12, 0)
    taken = [item for _, item in zip(range(300), data.pairs, strict=False)]
    held = {source for _, (source, _) in data.dev}
    assert {task for task, _ in data.dev} == {task for task, _ in taken} == {"long", "short"}
    assert held
    assert held.isdisjoint(source for _, (source, _) in taken)
    share = sum(task == "short" for task, _ in taken) / len(taken)
    assert abs(share - 1 / 3) < 0.11  # four standard deviations of the binomial


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "no task"),
        ("[a]\n", "data: Field required"),
        ('[a]\ndata = "tsv:x"\nshare = 0\n', "share"),
        ('[a]\ndata = "tsv:x"\ncolour = 1\n', "colour"),
        ('["../a"]\ndata = "tsv:x"\n', "a task named '../a'"),
        ("[a\n", "line 1"),
    ],
)
def test_files_that_are_no_tasks_are_refused(text: str, found: str, tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text(text)
    with pytest.raises(UserError, match=found):
        tasks.read_tasks(tmp_path / "t.toml")


def test_only_prompts_learn_tasks(tmp_path: Path) -> None:
    asked = request(tmp_path, "none")
    with pytest.raises(UserError, match="it has no prompt"):
        load_setup(parse_kind("finetuned"), asked.base, Runtime(), tasks=asked.data.tasks)
    setup = load_setup(parse_kind("ptuning-11"), asked.base, Runtime(), tasks=asked.data.tasks)
    assert train_in_memory(setup.objective, asked.data.pairs, asked.config).step == 7


def test_the_command_names_what_it_leaves(tmp_path: Path) -> None:
    command = [
        "train",
        "softprompt-4",
        "--tasks",
        str(written(tmp_path)),
        "--output",
        str(tmp_path / "out"),
    ]
    command += [
        "--base",
        str(jobs.base("opt", tmp_path)),
        "--steps",
        "2",
        "--batch-size",
        "4",
        "--dev",
        "12",
    ]
    with pytest.raises(UserError, match="each task names its own data"):
        CliRunner().invoke(app, [*command, "--data", "mini"], catch_exceptions=False)
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0
    assert [line for line in done.stdout.splitlines() if line.startswith(str(tmp_path))] == [
        f"{tmp_path / 'out'}{part}" for part in ("-long", "-short")
    ]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{source} {other}\\n{target}", "for one source"),
        ("only this:\\n{target}", "'source' is no slot"),
    ],
)
def test_a_template_that_a_pair_cannot_fill_is_refused(
    tmp_path: Path, template: str, message: str
) -> None:
    """The source in every slot would be trained on without a word."""
    (tmp_path / "a.tsv").write_text("one\ttwo\n")
    path = tmp_path / "tasks.toml"
    path.write_text(f'[odd]\ndata = "tsv:{tmp_path}/a.tsv"\ntemplate = "{template}"\n')
    _, words = load_causal(locate(str(jobs.base("opt", tmp_path))), Runtime())
    with pytest.raises(UserError, match=message):
        encoding.causal_encoder(words, *tasks.task_templates(tasks.read_tasks(path), 4))
