"""Training of low-rank adapters: PEFT reads the result, and it is the model that was trained."""

from __future__ import annotations

import builtins
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from parabench.contracts import BuildContext, Decoding, Runtime, UserError
from parabench.models.loading import load_causal
from parabench.prompts.lora import load_lora, merge_lora
from parabench.prompts.templates import paraphrase_template
from parabench.registry import plugin_builder
from parabench.training import validation
from parabench.training.objectives import causal_objective
from parabench.training.requests import load_request, run_training
from parabench.training.setup import TrainingKind, parse_kind
from parabench.training.state import trainable_parameters
from tests.support import chatting, jobs, tiny

peft = pytest.importorskip("peft")
IDS = torch.tensor([[0, 70, 71, 72, 90, 8]])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    place = tmp_path_factory.mktemp("lora")
    request = jobs.request("lora-4", place, "lora-4", steps=8, learning_rate=0.02)
    run_training(request)
    return request


def test_a_name_has_a_rank():
    assert parse_kind("lora-8") == TrainingKind("lora-8", "lora", rank=8)


def test_peft_reads_the_result_and_merges_the_same(trained):
    model = AutoModelForCausalLM.from_pretrained(trained.base.path)
    with torch.no_grad():
        plain = model(IDS).logits
        merged = peft.PeftModel.from_pretrained(model, trained.folder).merge_and_unload().eval()
        own, _ = load_causal(trained.base, Runtime())
        merge_lora(own, load_lora(trained.folder, trained.base))
        assert torch.equal(own(IDS).logits, merged(IDS).logits)
        assert (merged(IDS).logits - plain).abs().max() > 0.01


def test_the_merged_model_has_the_loss_of_the_trained_one(trained):
    setup = load_request(trained)
    found = load_lora(trained.folder)
    parameters = trainable_parameters(setup.objective.module)
    assert len(parameters) == 2 * len(found.factors)
    with torch.no_grad():
        for name, value in parameters.items():
            module, _, part = name.removesuffix(".default.weight").rpartition(".")
            value.copy_(found.factors[module][part == "lora_B"])
    dev = list(trained.data.dev)
    adapted = validation.mean_loss(setup.objective, dev)
    start = validation.mean_loss(load_request(trained).objective, dev)
    own, tokenizer = load_causal(trained.base, Runtime())
    merge_lora(own, found)
    merged = validation.mean_loss(causal_objective(own, tokenizer, paraphrase_template(0)), dev)
    assert merged == pytest.approx(adapted, rel=1e-5)
    assert adapted < start


def test_the_base_is_frozen_and_the_facts_are_kept(trained):
    facts = load_lora(trained.folder, trained.base).facts
    assert facts.base.digest == trained.base.digest
    assert facts.loss
    assert facts.seed == 0
    assert (trained.folder / "training-data.json").is_file()
    assert not Path(facts.base.name).is_absolute()


def test_a_system_finds_the_training(trained):
    options = {"model": trained.base.path, "adapters": str(trained.folder.parent)}
    setting = BuildContext(decoding=Decoding(max_new_tokens=4), options=options)
    built = plugin_builder("system", "lora")("4", setting)
    assert dict(built.signature.items)["r"] == "4"
    assert sum(len(batch) for batch in built.paraphrase(tiny.SENTENCES)) == len(tiny.SENTENCES)


def test_a_stopped_training_goes_on_to_the_same_bits(trained, tmp_path):
    half = jobs.request("lora-4", tmp_path, "lora-4", steps=8, learning_rate=0.02)

    def watch(log):
        if log.step == 4:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        run_training(half, watch)
    run_training(half)
    assert load_lora(half.folder).digest == load_lora(trained.folder).digest


def test_in_a_chat_the_end_of_the_turn_is_learned(tmp_path):
    tokenizer = chatting.give_chat(tiny.tokenizer(), "chatml")
    tiny.llama(tmp_path / "base", vocab_size=len(tokenizer))
    tokenizer.save_pretrained(tmp_path / "base")
    template = paraphrase_template(0, "Say: {source}", chat=True, system="Be brief.")
    request = jobs.request("lora-2", tmp_path, "lora-2", steps=2)
    run_training(replace(request, template=template))
    assert load_lora(request.folder).facts.template == template
    options = {"model": str(tmp_path / "base"), "adapters": str(tmp_path)}
    setting = BuildContext(decoding=Decoding(max_new_tokens=4), options=options)
    items = dict(plugin_builder("system", "lora")("2", setting).signature.items)
    assert items["system"] == "Be brief."
    assert items["stop"] == "eos+turn"
    with pytest.raises(UserError, match="another"):
        run_training(request)  # of another template


def test_without_peft_training_says_what_to_install(trained, monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **given):
        if name == "peft":
            raise ImportError(name)
        return real(name, *rest, **given)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match="pip install"):
        load_request(trained)
    merge_lora(load_causal(trained.base, Runtime())[0], load_lora(trained.folder))


def test_a_prompts_options_are_refused(trained):
    with pytest.raises(UserError, match="it has no prompt"):
        load_request(replace(trained, initialiser="uniform"))
    with pytest.raises(UserError, match="snapshots"):
        run_training(replace(trained, snapshots=1))
