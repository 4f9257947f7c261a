"""A task of a table as a system of a suite, with one slot and with several."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from parabench import registry
from parabench.contracts import BuildContext, Decoding, UserError
from parabench.models.checkpoints import locate
from parabench.prompts.facts import BaseIdentity
from parabench.prompts.table import TaskTable
from parabench.prompts.table_files import save_table
from parabench.prompts.templates import Template
from tests.support import tiny

ONE = Template("one", "<|VIRTUAL_PROMPT_0|> {text} is:{label}", 4, (4,), None, "label", True)
TWO = Template(
    "two", "{a} and {b}<|VIRTUAL_PROMPT_0|>:{answer}", 3, (3,), None, "answer", True, ("e",), 9
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("tasks")
    base = BaseIdentity.of(locate(str(tiny.opt(place / "opt"))))
    draw = torch.Generator().manual_seed(1)
    prompts = {
        one.taskname: torch.randn(one.total_virtual_tokens, base.width, generator=draw)
        for one in (ONE, TWO)
    }
    save_table(place / "table", TaskTable(base, (ONE, TWO), prompts))
    return place


def system(folder, task):
    table = {"table": str(folder / "table"), "task": task, "model": str(folder / "opt")}
    setting = BuildContext(decoding=Decoding(max_new_tokens=5), options=table)
    return registry.plugin_builder("system", "softprompt")("", setting)


def answers(built, sources):
    return [done.text for batch in built.paraphrase(sources) for done in batch]


def test_a_task_is_a_system(folder):
    built = system(folder, "one")
    assert dict(built.signature.items)["task"] == "one"
    together = answers(built, list(tiny.SENTENCES[:3]))
    assert together == [answers(built, [text])[0] for text in tiny.SENTENCES[:3]]
    assert str(built.signature) != str(system(folder, "two").signature)


def test_several_slots_are_filled_from_json(folder):
    built = system(folder, "two")
    source = json.dumps({"a": "rain", "b": "snow"})
    other = json.dumps({"a": "rain", "b": "wind"})
    assert len(answers(built, [source, other])) == 2
    for wrong in ("rain", '{"a": "rain"}', '{"a": "rain", "b": 3}', "[]"):
        with pytest.raises(UserError, match="fill the template of task 'two'"):
            answers(built, [wrong])


def test_what_is_not_there_is_refused(folder):
    with pytest.raises(UserError, match="no such task in the table"):
        _ = system(folder, "three").signature
    long = replace(system(folder, "one"), setting=system(folder, "one").setting)
    with pytest.raises(UserError, match="answer source 0"):
        answers(long, ["rain " * 200])
