"""Systems of low-rank adapters against PEFT's merged model under transformers' generate."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from parabench import registry
from parabench.contracts import BuildContext, Decoding, ModelCache, UserError
from parabench.inference.end_of_text import EndOfText
from parabench.models.checkpoints import locate
from parabench.prompts.lora import import_lora
from tests.support import tiny

peft = pytest.importorskip("peft")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lora")
    base = tiny.llama(folder / "base")
    for seed, rank in ((1, 4), (2, 8)):
        model = AutoModelForCausalLM.from_pretrained(base)
        config = peft.LoraConfig(
            r=rank, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"
        )
        adapted = peft.get_peft_model(model, config)
        torch.manual_seed(seed)
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(weight, std=0.2)
        adapted.save_pretrained(folder / f"peft-{rank}")
        import_lora(
            folder / f"peft-{rank}", folder / "adapters" / f"lora-{rank}", locate(str(base))
        )
    return folder


def system(place, name="4", models=None, **given):
    table = {"model": str(place / "base"), "adapters": str(place / "adapters"), **given}
    setting = BuildContext(
        decoding=Decoding(max_new_tokens=12), options=table, models=models or ModelCache()
    )
    return registry.plugin_builder("system", "lora")(name, setting)


def answers(built):
    done = [one for batch in built.paraphrase(tiny.SENTENCES) for one in batch]
    return [one.text for one in sorted(done)]


def by_peft(place, rank):
    tokenizer = AutoTokenizer.from_pretrained(place / "base")
    model = AutoModelForCausalLM.from_pretrained(place / "base")
    merged = peft.PeftModel.from_pretrained(model, place / f"peft-{rank}").merge_and_unload()
    config = GenerationConfig(max_new_tokens=12, min_new_tokens=1, eos_token_id=2, pad_token_id=1)
    found = []
    for text in tiny.SENTENCES:
        ids = tokenizer(f"{text}\n", return_tensors="pt").input_ids
        new = merged.generate(ids, generation_config=config)[0, ids.shape[1] :]
        found.append(EndOfText(tokenizer, {2}).cut(new.tolist()).text.strip())
    return found


def test_answers_equal_those_of_pefts_merged_model(place):
    models = ModelCache()
    four, eight = (system(place, name, models) for name in ("4", "8"))
    assert answers(four) == by_peft(place, 4)
    assert answers(eight) == by_peft(place, 8) != by_peft(place, 4)
    assert answers(four) == by_peft(place, 4)  # the merged model of the other is not taken


def test_the_base_itself_is_not_changed(place):
    models = ModelCache()
    plain = registry.plugin_builder("system", "finetuned")
    setting = BuildContext(
        decoding=Decoding(max_new_tokens=12), options={"model": str(place / "base")}, models=models
    )
    before = answers(plain("", setting))
    answers(system(place, models=models))
    assert answers(plain("", setting)) == before != answers(system(place, models=models))


def test_the_signature_names_the_adapter(place):
    four, eight = (dict(system(place, name).signature.items) for name in ("4", "8"))
    assert (four["r"], eight["r"]) == ("4", "8")
    assert four["lora"] != eight["lora"]
    assert four["model"] == eight["model"]
    assert system(place).adapter_folder is None


def test_what_is_missing_or_makes_no_sense_is_refused(place):
    with pytest.raises(UserError, match="parabench train lora-16"):
        _ = system(place, "16").signature
    with pytest.raises(UserError, match="lora-8"):
        system(place, "")
    with pytest.raises(UserError, match="no such option"):
        system(place, template="{source}")
    with pytest.raises(UserError, match="soft prompts"):
        registry.plugin_builder("system", "vllm")(
            "lora-4", BuildContext(options={"model": str(place / "base")})
        )
