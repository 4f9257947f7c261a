"""vLLM as it documents itself, played by a stand-in that checks what it is given and answers with
transformers.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from parabench.baselines import vllm as family
from transformers import AutoModelForCausalLM, AutoTokenizer

from parabench.contracts import BuildContext, Decoding, Runtime, UserError
from tests.support import tiny

SOURCES = (
    "The old man walks his dog.",
    "It rained.",
    "She bought seven books on the third of May.",
)
DECODING = Decoding(max_new_tokens=12)


class SamplingParams(SimpleNamespace):
    """The settings of vllm.SamplingParams that are used."""


class LLM:
    """vllm.LLM of one model: greedy, from ``prompt_embeds`` of shape [T, H] alone."""

    def __init__(
        self,
        *,
        model: str,
        dtype: str,
        seed: int,
        enable_prompt_embeds: bool,
        trust_remote_code: bool,
    ) -> None:
        assert enable_prompt_embeds
        assert not trust_remote_code
        self.tokenizer: Any = AutoTokenizer.from_pretrained(model)
        self.model: Any = AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype))

    def generate(self, prompts: Any, sampling_params: Any, *, use_tqdm: bool) -> list[Any]:
        settings = {"max_tokens", "min_tokens", "stop", "stop_token_ids", "seed", "temperature"}
        if getattr(sampling_params, "n", 1) > 1:  # as vLLM: one request, its outputs numbered
            assert set(vars(sampling_params)) == settings | {"n", "top_p", "top_k"}
            return [self.several(prompt, sampling_params) for prompt in prompts]
        assert set(vars(sampling_params)) == settings
        assert sampling_params.temperature == 0.0
        return [self.answer(prompt, sampling_params) for prompt in prompts]

    def several(self, prompt: Any, settings: Any) -> Any:
        (greedy,) = self.answer(prompt, settings).outputs
        cut = [
            SimpleNamespace(index=at, token_ids=greedy.token_ids[at:]) for at in range(settings.n)
        ]
        return SimpleNamespace(outputs=cut[::-1])

    def ended(self, ids: list[int], settings: Any) -> bool:
        text = self.tokenizer.decode(ids, skip_special_tokens=True)
        at_string = any(stop in text for stop in settings.stop)
        return at_string or bool(set(ids) & set(settings.stop_token_ids))

    def answer(self, prompt: Any, settings: Any) -> Any:
        assert set(prompt) == {"prompt_embeds"}
        embeds = prompt["prompt_embeds"]
        assert embeds.ndim == 2
        assert embeds.shape[1] == self.model.get_input_embeddings().embedding_dim
        ids: list[int] = []
        with torch.inference_mode():
            while len(ids) < settings.max_tokens and not self.ended(ids, settings):
                new = self.model.get_input_embeddings()(torch.tensor(ids, dtype=torch.long))
                logits = self.model(inputs_embeds=torch.cat([embeds, new])[None]).logits[0, -1]
                ids.append(int(logits.argmax()))  # as vLLM, with the stop token among the ids
        ended = "stop" if self.ended(ids, settings) else "length"
        return SimpleNamespace(outputs=[SimpleNamespace(token_ids=ids, finish_reason=ended)])


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BuildContext:
    module: Any = ModuleType("vllm")
    module.LLM, module.SamplingParams = LLM, SamplingParams
    monkeypatch.setitem(sys.modules, "vllm", module)
    monkeypatch.setattr(family, "version", lambda name: "0.0")
    monkeypatch.setattr(family, "_PROMPTS_AT_ONCE", 2)
    tiny.opt(tmp_path / "opt")
    from parabench.prompts import adapters
    from parabench.prompts.templates import paraphrase_template

    prompt = torch.randn(20, 32, generator=torch.Generator().manual_seed(1))
    facts = adapters.AdapterFacts(
        paraphrase_template(20), adapters.BaseIdentity("opt", 32, tiny.VOCABULARY, 2, 4)
    )
    adapters.save_adapter(tmp_path / "adapters" / "softprompt-20", prompt, facts)
    return BuildContext(
        Runtime(),
        DECODING,
        {"model": str(tmp_path / "opt"), "adapters": str(tmp_path / "adapters")},
    )


def answers(system: Any) -> dict[int, Any]:
    return {done.position: done for batch in system.paraphrase(SOURCES) for done in batch}


def test_a_soft_prompt_gets_the_texts_it_gets_without_the_engine(setting: BuildContext) -> None:
    from parabench.baselines import causal

    ours = answers(causal.build_softprompt("20", setting))
    assert answers(family.build_vllm("softprompt-20", setting)) == ours
    assert len({done.text for done in ours.values()}) == 3


def test_samples_are_asked_for_at_once_and_kept_in_their_order(setting: BuildContext) -> None:
    alone = answers(family.build_vllm("softprompt-20", setting))
    sampled = replace(setting, decoding=replace(DECODING, do_sample=True, samples=3))
    several = answers(family.build_vllm("softprompt-20", sampled))
    assert {place: done.text for place, done in several.items()} == {
        place: done.text for place, done in alone.items()
    }
    for done in several.values():
        assert len(set(done.samples)) == 3
        assert done.text == done.samples[0]
        assert done.text.endswith(done.samples[2])


def test_the_signature_names_the_engine_and_the_adapter(setting: BuildContext) -> None:
    signature = str(family.build_vllm("softprompt-20", setting).signature)
    assert "engine:vllm-0.0" in signature
    assert "P:20" in signature


def test_without_vllm_it_says_what_to_install() -> None:
    system = family.build_vllm("", BuildContext(options={"model": "facebook/opt-1.3b"}))
    with pytest.raises(UserError, match="pip install vllm"):
        _ = system.signature


def test_settings_that_it_counts_otherwise_are_refused() -> None:
    with pytest.raises(UserError, match="repetition_penalty"):
        family.build_vllm(
            "", BuildContext(decoding=Decoding(repetition_penalty=1.2), options={"model": "x"})
        )
