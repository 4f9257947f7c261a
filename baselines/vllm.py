"""The same decoder-only models, soft prompts too, decoded by vLLM, where it is installed."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from parabench.contracts import BuildContext, Decoding, Paraphrase, Runtime, Signature, UserError
from parabench.models.checkpoints import checkpoint_folder
from parabench.models.loading import load_causal
from parabench.models.local import Checkpoint

from . import options
from .causal import CHAT_INSTRUCTION, INSTRUCTION, Causal

if TYPE_CHECKING:
    from parabench.inference.end_of_text import EndOfText

_PROMPTS_AT_ONCE = 256
"""Prompts handed over together: their embeddings are all in memory."""


@dataclass(frozen=True)
class Vllm:
    """A causal system whose rows go to vLLM as ``prompt_embeds``, virtual and real tokens alike.

    Its signature names the engine: kernels and batches of its own give other last digits, and now
    and then other words.
    """

    causal: Causal

    @property
    def model_names(self) -> tuple[str, ...]:
        """The base model, as the suite names it."""
        return options.suite_models(self.causal)

    @property
    def checkpoint(self) -> Checkpoint:
        """The base model."""
        return self.causal.checkpoint

    @property
    def signature(self) -> Signature:
        """That of the causal system, and the engine; UserError where vLLM is not installed."""
        try:
            engine = version("vllm")
        except PackageNotFoundError:
            raise UserError(
                "use the system 'vllm'", "vLLM is not installed", mend="pip install vllm"
            ) from None
        return Signature("vllm", (*self.causal.signature.items, ("engine", f"vllm-{engine}")))

    @property
    def role(self) -> str:
        """A system, or a sentinel where the suite says so."""
        return options.suite_role(self.causal)

    def paraphrase(self, sources: Sequence[str]) -> Iterator[Sequence[Paraphrase]]:
        """Yield blocks in order; a text ends at a declared end id or at the first line break."""
        from parabench.inference.prompt_ids import embed

        setting = self.causal.setting
        model, tokenizer, engine = setting.models.get(_started, self.checkpoint, setting.runtime)
        rows = self.causal.rows(model, tokenizer, sources, self.causal.adapter)
        end = self.causal.end_of_text(model, tokenizer)
        parameters = _parameters(setting, end)
        for start in range(0, len(rows), _PROMPTS_AT_ONCE):
            prompts = []
            for row in rows[start : start + _PROMPTS_AT_ONCE]:
                # [T, H]: virtual rows and the embeddings of real tokens in one matrix
                embeddings = embed(model, [row])
                prompts.append({"prompt_embeds": embeddings})
            outputs = engine.generate(prompts, parameters, use_tqdm=False)
            # vLLM answers in the order of the prompts
            answers = []
            for place, output in enumerate(outputs, start):
                answers.append(_read(place, output.outputs, end))
            yield answers

    def release(self) -> None:
        """Let go of the engine and the memory it holds; the next ``paraphrase`` starts another."""
        self.causal.setting.models.clear()
        gc.collect()


def _started(checkpoint: Checkpoint, runtime: Runtime) -> tuple[Any, Any, Any]:
    """The model on the CPU, which makes the embeddings, its tokenizer, and the engine."""
    from vllm import LLM

    model, tokenizer = load_causal(checkpoint, replace(runtime, device="cpu"))
    folder = str(checkpoint_folder(checkpoint))
    engine = LLM(
        model=folder,
        dtype=runtime.dtype,
        seed=runtime.seed,
        enable_prompt_embeds=True,
        trust_remote_code=False,
    )
    return model, tokenizer, engine


def _parameters(setting: BuildContext, end: EndOfText) -> Any:
    from vllm import SamplingParams

    decoding = setting.decoding
    runtime = setting.runtime
    chance: dict[str, Any] = {"temperature": 0.0}  # greedy, to vLLM
    if decoding.do_sample:
        chance = {
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            # -1 is all tokens to vLLM, 0 to us
            "top_k": decoding.top_k or -1,
        }
        if decoding.samples > 1:
            chance["n"] = decoding.samples
    return SamplingParams(
        max_tokens=decoding.max_new_tokens,
        min_tokens=decoding.min_new_tokens,
        stop=list(end.stop_strings),
        stop_token_ids=sorted(end.ids),
        seed=runtime.seed,
        **chance,
    )


def _read(position: int, outputs: Sequence[Any], end: EndOfText) -> Paraphrase:
    """One answer of the several samples that vLLM wrote for a prompt, in whatever order."""
    in_order = sorted(outputs, key=lambda output: getattr(output, "index", 0))
    # cut by our own rules, as vLLM's stop strings are left in or out by its version
    ended = [end.cut(list(output.token_ids)) for output in in_order]
    texts = tuple(one.text.strip() for one in ended)
    samples = texts if len(texts) > 1 else ()
    return Paraphrase(position, texts[0], ended[0].finished, samples=samples)


def build_vllm(variant: str, setting: BuildContext) -> Vllm:
    """OPT and its like through vLLM: vllm for a template, vllm-softprompt-111 for a soft prompt.

    Raises UserError for other families, and for ways of decoding that vLLM does in its own manner.
    """
    setting = options.model_context("vllm", setting, "template", "adapters", "chat", "system")
    family = variant.rpartition("-")[0] or "zeroshot"
    if family.split("-")[0] not in ("zeroshot", "softprompt", "ptuning"):
        asked = f"use the system 'vllm-{variant}'"
        found = "vLLM runs templates and soft prompts"
        raise UserError(asked, found, ("vllm", "vllm-softprompt-111", "vllm-ptuning-20"))
    # What is left at its default is not asked for.
    decoding = setting.decoding
    plain = Decoding()
    for name in ("num_beams", "repetition_penalty", "no_repeat_ngram_size"):
        if getattr(decoding, name) == getattr(plain, name):
            continue
        found = "it has none, or counts the prompt in"
        raise UserError(f"use {name} with vLLM", found, mend=f"leave {name} out")
    usual = CHAT_INSTRUCTION if setting.options.get("chat") else INSTRUCTION
    template = str(setting.options.get("template", usual))
    return Vllm(Causal(family, variant, setting, template))
