"""Low-rank adapters against PEFT: what it writes is merged as it merges, to the last bit."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from parabench.cli import app
from parabench.contracts import Runtime, UserError
from parabench.models.checkpoints import locate
from parabench.models.loading import load_causal
from parabench.prompts.lora import export_lora, import_lora, is_lora, load_lora, merge_lora
from parabench.prompts.templates import Template
from tests.support import tiny

peft = pytest.importorskip("peft")
IDS = torch.tensor([[3, 70, 71, 72, 90, 8]])
EVERY_LINEAR = {
    "opt": ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"],
    "gpt2": ["c_attn", "c_proj", "c_fc"],
    "llama": ["q_proj", "v_proj", "o_proj", "gate_proj", "down_proj"],
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    place = tmp_path_factory.mktemp("bases")
    for name in EVERY_LINEAR:
        tiny.CAUSAL[name](place / name)
    return place


def trained(base, folder, dtype=torch.float32, **settings):
    """A PEFT folder with random factors, and the logits of the model that PEFT merges."""
    given = {"r": 4, "lora_alpha": 6, "task_type": "CAUSAL_LM", **settings}
    given.setdefault("target_modules", EVERY_LINEAR[base.name])
    model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    adapted = peft.get_peft_model(model, peft.LoraConfig(**given))
    torch.manual_seed(3)
    for name, weight in adapted.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, std=0.2)
    adapted.save_pretrained(folder)
    merged = adapted.merge_and_unload().eval()
    with torch.no_grad():
        return merged(IDS).logits


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("llama", {}),
        ("opt", {"lora_alpha": 5, "r": 3}),
        ("gpt2", {"fan_in_fan_out": True}),
        ("llama", {"use_rslora": True}),
        ("llama", {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"layers.1.mlp.gate_proj": 9}}),
        ("llama", {"layers_to_transform": [1]}),
        ("llama", {"target_modules": "all-linear", "lora_dropout": 0.1}),
        ("llama", {"target_modules": r".*\.(q|v)_proj"}),
    ],
)
def test_merged_logits_equal_those_of_peft(bases, tmp_path, name, settings):
    expected = trained(bases / name, tmp_path / "peft", **settings)
    base = locate(str(bases / name))
    import_lora(tmp_path / "peft", tmp_path / "own", base)
    model, _ = load_causal(base, Runtime())
    with torch.no_grad():
        plain = model(IDS).logits
        merge_lora(model, load_lora(tmp_path / "own", base))
        found = model(IDS).logits
    assert torch.equal(found, expected)
    assert (found - plain).abs().max() > 0.1


def test_bfloat16_logits_equal_those_of_peft(bases, tmp_path):
    expected = trained(bases / "llama", tmp_path / "peft", torch.bfloat16)
    base = locate(str(bases / "llama"))
    import_lora(tmp_path / "peft", tmp_path / "own", base)
    model, _ = load_causal(base, Runtime(dtype="bfloat16"))
    merge_lora(model, load_lora(tmp_path / "own", base))
    with torch.no_grad():
        assert torch.equal(model(IDS).logits, expected)


def test_what_is_exported_peft_reads(bases, tmp_path):
    expected = trained(bases / "llama", tmp_path / "peft")
    import_lora(tmp_path / "peft", tmp_path / "own", locate(str(bases / "llama")))
    export_lora(tmp_path / "own", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    model = AutoModelForCausalLM.from_pretrained(bases / "llama")
    merged = peft.PeftModel.from_pretrained(model, tmp_path / "out").merge_and_unload().eval()
    with torch.no_grad():
        assert torch.equal(merged(IDS).logits, expected)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"bias": "all"}, "biases of the base"),
        ({"modules_to_save": ["lm_head"]}, "whole modules"),
        ({"lora_bias": True}, "biases of the low-rank"),
        ({"trainable_token_indices": [1, 2]}, "rows of the embeddings"),
        ({"init_lora_weights": "olora"}, "base's own weights"),
    ],
)
def test_what_cannot_be_merged_is_refused_in_words(bases, tmp_path, settings, words):
    trained(bases / "opt", tmp_path / "peft", **settings)  # its linear layers have biases
    with pytest.raises(UserError, match=words):
        import_lora(tmp_path / "peft", tmp_path / "own", locate(str(bases / "opt")))
    assert not (tmp_path / "own").exists()


@pytest.fixture
def own(bases, tmp_path):
    trained(bases / "llama", tmp_path / "peft")
    import_lora(tmp_path / "peft", tmp_path / "own", locate(str(bases / "llama")))
    return tmp_path / "own"


def changed(folder, name, **settings):
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**content, **settings}))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"r": 5}, "the settings say 5"),
        ({"r": "4"}, "rank '4'"),
        ({"r": True}, "rank True"),
        ({"lora_alpha": None}, "alpha None"),
        ({"lora_alpha": float("nan")}, "alpha nan"),
        ({"task_type": "SEQ_2_SEQ_LM"}, "SEQ_2_SEQ_LM"),
        ({"rank_pattern": {"(a+)+b": 4}}, "the pattern"),
        ({"invented_setting": 1}, "does not know"),
    ],
)
def test_settings_that_make_no_sense_are_refused(bases, tmp_path, settings, words):
    trained(bases / "llama", tmp_path / "peft")
    changed(tmp_path / "peft", "adapter_config.json", **settings)
    with pytest.raises(UserError, match=words):
        import_lora(tmp_path / "peft", tmp_path / "own", locate(str(bases / "llama")))


def test_another_base_is_refused(bases, own, tmp_path):
    other = tiny.llama(tmp_path / "other", rms_norm_eps=1e-5)
    with pytest.raises(UserError, match="made for"):
        load_lora(own, locate(str(other)))
    model, _ = load_causal(locate(str(bases / "opt")), Runtime())
    with pytest.raises(UserError, match="no model"):
        merge_lora(model, load_lora(own))
    model, _ = load_causal(locate(str(tiny.llama(tmp_path / "wide", hidden_size=64))), Runtime())
    with pytest.raises(UserError, match="its update"):
        merge_lora(model, load_lora(own))


@pytest.mark.parametrize(
    "name", ["adapter_config.json", "adapter_model.safetensors", "parabench.json"]
)
def test_a_changed_file_is_refused(own, name):
    path = own / name
    if name == "adapter_model.safetensors":
        tensors = load_file(path)
        first = next(iter(tensors))
        tensors[first] = tensors[first] + 1
        save_file(tensors, path)
    elif name == "adapter_config.json":
        changed(own, name, lora_alpha=7)
    else:
        changed(own, name, seed=7)
    with pytest.raises(UserError, match="not those that were saved"):
        load_lora(own)


def test_numbers_not_finite_and_half_an_update_are_refused(bases, tmp_path):
    base = locate(str(bases / "llama"))
    trained(bases / "llama", tmp_path / "peft")
    path = tmp_path / "peft" / "adapter_model.safetensors"
    tensors = load_file(path)
    first = min(tensors)
    save_file({**tensors, first: tensors[first] * float("nan")}, path)
    with pytest.raises(UserError, match="not finite"):
        import_lora(tmp_path / "peft", tmp_path / "own", base)
    save_file({name: tensor for name, tensor in tensors.items() if name != first}, path)
    with pytest.raises(UserError, match="one factor"):
        import_lora(tmp_path / "peft", tmp_path / "own", base)


def test_pickles_are_never_read(bases, tmp_path):
    trained(bases / "llama", tmp_path / "peft")
    (tmp_path / "peft" / "adapter_model.safetensors").unlink()
    torch.save({}, tmp_path / "peft" / "adapter_model.bin")
    with pytest.raises(UserError, match="can run code"):
        import_lora(tmp_path / "peft", tmp_path / "own", locate(str(bases / "llama")))


def test_weights_tied_to_the_embeddings_are_refused(tmp_path):
    base = tiny.llama(tmp_path / "llama", tie_word_embeddings=True)
    with pytest.warns(UserWarning, match="tie"):
        trained(base, tmp_path / "peft", target_modules=["lm_head"])
    path = tmp_path / "peft" / "adapter_model.safetensors"
    # PEFT stores the head itself beside its factors, here in front of a model that has one
    save_file({name: one for name, one in load_file(path).items() if "lora_" in name}, path)
    import_lora(tmp_path / "peft", tmp_path / "own", locate(str(base)))
    model, _ = load_causal(locate(str(base)), Runtime())
    with pytest.raises(UserError, match="shares its weights"):
        merge_lora(model, load_lora(tmp_path / "own"))


def test_an_import_keeps_facts_and_a_template_replaces_them(bases, own, tmp_path):
    base = locate(str(bases / "llama"))
    template = Template("paraphrase", "Say: {source}{target}", 0, (), "source", "target", True)
    made = import_lora(own, tmp_path / "again", base, template)
    assert load_lora(tmp_path / "again").facts == made.facts
    assert made.facts.template == template
    assert made.facts.origin == load_lora(own).facts.origin
    assert is_lora(own)
    shutil.rmtree(own)
    assert not is_lora(own)


def test_the_commands_import_verify_and_export(bases, tmp_path):
    trained(bases / "llama", tmp_path / "peft")
    base = str(bases / "llama")

    def run(*words):
        return CliRunner().invoke(app, ["prompt", *map(str, words)])

    done = run("import", tmp_path / "peft", tmp_path / "lora-4", "--base", base)
    assert done.exit_code == 0, done.output
    assert "low-rank updates of 10 layers" in done.output
    done = run("verify", tmp_path / "lora-4", "--base", base)
    assert load_lora(tmp_path / "lora-4").digest in done.output
    done = run("export", tmp_path / "lora-4", tmp_path / "out")
    assert done.exit_code == 0, done.output
    found = load_file(tmp_path / "out" / "adapter_model.safetensors")
    expected = load_file(tmp_path / "peft" / "adapter_model.safetensors")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)
    done = run("export", tmp_path / "lora-4", tmp_path / "again", "--format", "safetensors")
    assert isinstance(done.exception, UserError) or done.exit_code == 2
