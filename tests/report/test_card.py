"""The model card of an adapter: read back by huggingface_hub's own parser, its code run, hostile
names kept as text.
"""

import json
import re
from dataclasses import replace

import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from typer.testing import CliRunner

from parabench.contracts import UserError
from parabench.models.checkpoints import locate
from parabench.prompts import adapters
from parabench.prompts.adapters import Adapter
from parabench.prompts.facts import AdapterFacts, BaseIdentity
from parabench.prompts.templates import paraphrase_template
from parabench.report.board import board_to_json, main_columns
from parabench.report.card import to_card
from tests.support import tiny
from tests.support.boards import small
from tests.support.pages import PAYLOADS

NAME = "softprompt-111"


def adapter(base: str = "facebook/opt-125m", **facts) -> Adapter:
    made = AdapterFacts(
        paraphrase_template(4),
        BaseIdentity(base, 32, 384, 2, 4),
        loss=((1, 3.0), (20, 2.5)),
        seed=4,
        **facts,
    )
    return Adapter(torch.zeros(4, 32), made, "d" * 64)


def test_huggingface_hub_reads_the_results_back():
    board = small()
    card = ModelCard(to_card(adapter(data="some pairs"), NAME, board, "apache-2.0", "cc-by-4.0"))
    assert (card.data.base_model, card.data.library_name, card.data.license) == (
        "facebook/opt-125m",
        "peft",
        "apache-2.0",
    )
    row = next(row for row in board.rows if row.system == NAME)
    wanted = {
        column.name: row.scores[column.name]
        for column in main_columns(board)
        if column.name in row.scores
    }
    found = {result.metric_type: result for result in card.data.eval_results}
    assert found.keys() <= wanted.keys()
    assert found
    for name, result in found.items():
        assert result.metric_value == wanted[name].value
        assert result.metric_args["interval"] == [wanted[name].low, wanted[name].high]
        assert result.metric_config == wanted[name].signature
    assert card.data.model_name == NAME
    assert ModelCard(str(card)).data.to_dict() == card.data.to_dict()
    assert "some pairs" in card.text
    assert "cc-by-4.0" in card.text


def test_undefined_scores_are_no_results():
    board = small()
    row = next(row for row in board.rows if row.system == NAME)
    name = main_columns(board)[0].name
    scores = {**row.scores, name: replace(row.scores[name], value=float("nan"))}
    changed = replace(board, rows=(replace(row, scores=scores),))
    assert name not in {
        one.metric_type for one in ModelCard(to_card(adapter(), NAME, changed)).data.eval_results
    }


def test_without_results_it_says_so():
    card = ModelCard(to_card(adapter(), NAME))
    assert card.data.eval_results is None
    assert card.text.rstrip().endswith("Not evaluated.")


def test_another_system_is_refused():
    with pytest.raises(UserError, match="no such system"):
        to_card(adapter(), "softprompt-9", small())


def test_scores_of_another_prompt_are_refused():
    board = small()
    for digest, fine in (("dddddddddddd", True), ("0123456789ab", False)):
        facts = {
            **board.provenance,
            f"system {NAME}": f"softprompt|model:opt@1|adapter:{digest}|P:4",
        }
        scored = replace(board, provenance=facts)
        if fine:
            to_card(adapter(), NAME, scored)
        else:
            with pytest.raises(UserError, match="results are of the adapter 0123456789ab"):
                to_card(adapter(), NAME, scored)


def test_the_code_of_the_card_runs_and_says_what_the_prompt_says(tmp_path, monkeypatch, capsys):
    """huggingface/peft loads the export in front of the base; with our adapter's rows as its
    prompt.
    """
    pytest.importorskip("peft", reason="peft is not installed")
    base = tiny.opt(tmp_path / "base")
    checkpoint = locate(str(base))
    prompt = torch.randn(4, 32, generator=torch.Generator().manual_seed(0))
    facts = AdapterFacts(
        paraphrase_template(4), replace(BaseIdentity.of(checkpoint), name=str(base))
    )
    saved = adapters.save_adapter(tmp_path / "a", prompt, facts)
    code = re.search(r"```python\n(.*?)```", to_card(saved, str(tmp_path / "a")), re.DOTALL)[1]
    names: dict = {}
    exec(compile(code, "card", "exec"), names)
    assert torch.equal(names["model"].get_prompt(1)[0].float(), prompt)
    assert (
        names["inputs"]["input_ids"][0].tolist()
        == names["tokenizer"]("The old man sold his boat.\n").input_ids
    )
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("payload", [*PAYLOADS, "```\n---\nlicense: mit\n---", "a\n---\nb: |"])
def test_hostile_facts_stay_text(payload):
    markdown_it = pytest.importorskip("markdown_it")
    made = adapter(f"base{payload}", data=payload, origin=payload, initialiser=payload)
    card = ModelCard(to_card(made, f"name{payload}", None, "", payload))
    assert card.data.to_dict().keys() == ModelCard(to_card(adapter(), "name")).data.to_dict().keys()
    parser = markdown_it.MarkdownIt("commonmark", {"html": True}).enable("table")

    def kinds(text):
        return [token.type for token in parser.parse(text)]

    assert kinds(card.text) == kinds(ModelCard(to_card(adapter(), "name")).text)


def test_the_command_writes_it_beside_the_export(tmp_path):
    from parabench import cli

    folder = tmp_path / NAME
    facts = AdapterFacts(paraphrase_template(4), BaseIdentity("toy", 32, 384, 1, 1))
    adapters.save_adapter(folder, torch.randn(4, 32), facts)
    (tmp_path / "leaderboard.json").write_text(board_to_json(small()))
    runner, common = CliRunner(), ["prompt", "export", str(folder), str(tmp_path / "out")]
    done = runner.invoke(
        cli.app, [*common, "--card", "--results", str(tmp_path), "--license", "mit"]
    )
    assert done.exit_code == 0, done.output
    card = (tmp_path / "out" / "README.md").read_text()
    assert yaml.safe_load(card.split("---")[1])["license"] == "mit"
    assert (
        json.loads((tmp_path / "out" / "adapter_config.json").read_text())["num_virtual_tokens"]
        == 4
    )
    done = runner.invoke(cli.app, [*common, "--card", "--format", "safetensors"])
    assert isinstance(done.exception, UserError)
