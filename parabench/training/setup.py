"""Training kinds, by the names that ``parabench train`` knows, and the loaded setup of one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from parabench.contracts import Runtime, UserError
from parabench.models.loading import load_causal, load_seq2seq
from parabench.models.local import Checkpoint
from parabench.prompts import encoders, initialisers
from parabench.prompts.chat_tokens import warn_of_token_names
from parabench.prompts.encoders import PromptEncoder
from parabench.prompts.soft import SoftPrompt, vocabulary_rows
from parabench.prompts.templates import Template, paraphrase_template
from parabench.training import lora, objectives
from parabench.training.config import TrainingConfig
from parabench.training.objectives import Objective

KindFamily = Literal["softprompt", "ptuning", "finetuned", "bart", "lora"]
KIND_CHOICES = ("softprompt-N", "ptuning-N", "ptuning-mlp-N", "lora-R", "finetuned", "bart")


@dataclass(frozen=True)
class TrainingKind:
    """What a name asks for.

    ``length`` counts virtual tokens (0 for whole models); ``encoder`` is the kind of p-tuning's
    prompt encoder, empty for all else; ``rank`` is that of a low-rank adapter, 0 for all else.
    """

    name: str
    family: KindFamily
    length: int = 0
    encoder: str = ""
    rank: int = 0

    @property
    def base(self) -> Literal["causal", "seq2seq"]:
        """Which of the suite's base models it starts from."""
        return "seq2seq" if self.family == "bart" else "causal"

    @property
    def trains_whole_model(self) -> bool:
        """Whether all weights learn, and the result is a model and no adapter."""
        return self.family in ("finetuned", "bart")

    @property
    def initialiser(self) -> str:
        """The default initialiser of its prompt; empty for what has no free prompt."""
        return "sampled:1000" if self.family == "softprompt" else ""

    @property
    def defaults(self) -> TrainingConfig:
        """Default settings: a prompt needs a rate that would ruin a whole model's weights."""
        rates = {
            "softprompt": 1e-2,
            "ptuning": 1e-3,
            "lora": 2e-4,
            "finetuned": 2e-5,
            "bart": 3e-5,
        }
        return TrainingConfig(
            steps=2000,
            learning_rate=rates[self.family],
            weight_decay=0.01 if self.trains_whole_model else 0.0,
            schedule="cosine",
            warmup=100,
        )


_PROMPT_NAME = re.compile(r"(softprompt|ptuning)(?:-(lstm|mlp|tpmlp))?-(\d{1,5})")
_LONGEST_PROMPT = 10_000
_HIGHEST_RANK = 9_999
_SIZED_NAME = re.compile(r"(softprompt|ptuning(?:-lstm|-mlp|-tpmlp)?|lora)-(-?\d+)")
_LORA_NAME = re.compile(r"lora-([1-9]\d{0,3})")


def parse_kind(name: str) -> TrainingKind:
    """The kind of ``softprompt-111``, ``ptuning-mlp-20``, ``lora-8``, ``finetuned`` or ``bart``.

    Raises UserError, with the choices, for any other ``name``.
    """
    if name in ("finetuned", "bart"):
        return TrainingKind(name, name)  # type: ignore[arg-type]
    if adapted := _LORA_NAME.fullmatch(name):
        return TrainingKind(name, "lora", rank=int(adapted[1]))
    match = _PROMPT_NAME.fullmatch(name)
    known = match is not None and not (match[1] == "softprompt" and match[2])
    _check_size(name)
    if match is None or not known:
        raise UserError(
            f"train {name!r}",
            "no such kind of system",
            KIND_CHOICES,
            "parabench train softprompt-20",
        )
    family = match[1]
    length = int(match[3])
    encoder = (match[2] or "lstm") if family == "ptuning" else ""
    return TrainingKind(name, family, length, encoder)  # type: ignore[arg-type]


def _check_size(name: str) -> None:
    """Raise UserError where the number in a name is no length of a prompt, or no rank."""
    sized = _SIZED_NAME.fullmatch(name)
    if sized is None:
        return
    size, usual = int(sized[2]), 8 if sized[1] == "lora" else 20
    what = f"updates of rank {size}" if sized[1] == "lora" else f"a prompt of {size} virtual tokens"
    longest = _HIGHEST_RANK if sized[1] == "lora" else _LONGEST_PROMPT
    if not 1 <= size <= longest:
        found = f"{what}, in which nothing can learn" if size < 1 else what
        mend = f"from 1 to {longest}: parabench train {sized[1]}-{usual}"
        raise UserError(f"train {name!r}", found, mend=mend)


@dataclass(frozen=True)
class TrainingSetup:
    """A loaded model with what learns on it, and all that has to be known to store the result.

    ``templates`` has one template for each task. ``named_tasks`` says that the user named them, so
    that each is stored by itself. ``initial`` are the untrained rows, ``[P, E]``.
    """

    kind: TrainingKind
    checkpoint: Checkpoint
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    objective: Objective
    templates: tuple[Template, ...]
    named_tasks: bool = False
    initialiser: str = ""
    initial: Float[Tensor, "P E"] | None = None


def load_setup(
    kind: TrainingKind,
    checkpoint: Checkpoint,
    runtime: Runtime,
    initialiser: str | None = None,
    gradient_checkpointing: bool = False,
    tasks: tuple[Template, ...] = (),
    template: Template | None = None,
) -> TrainingSetup:
    """Load the base model and build what is to be trained, from ``runtime.seed``.

    ``initialiser`` None is the default of the ``kind``; without ``tasks`` the one task is to
    paraphrase, in ``template`` or the usual one. A prompt is in float32 before a base in
    ``runtime.dtype``; weights that are trained stay in float32. With ``gradient_checkpointing`` a
    whole model's activations are computed again for the gradients instead of stored. Raises
    UserError where these do not go together, and where ``checkpoint`` cannot be loaded.
    """
    if runtime.dtype not in ("float32", "bfloat16"):
        raise UserError(
            f"train in {runtime.dtype}", "gradients would vanish", ("float32", "bfloat16")
        )
    if kind.trains_whole_model or kind.rank:
        if initialiser or tasks:
            asked = f"by {initialiser!r}" if initialiser else f"on {len(tasks)} tasks"
            raise UserError(
                f"train {kind.name!r} {asked}",
                "it has no prompt",
                mend="parabench train ptuning-20",
            )
        text = template or paraphrase_template(0)
        return _load_weights(kind, checkpoint, runtime, gradient_checkpointing, text)
    if gradient_checkpointing:
        raise UserError(
            f"train {kind.name!r} with --gradient-checkpointing",
            "its rows share the prompt's activations",
        )
    model, tokenizer = load_causal(checkpoint, runtime)
    # Without tasks the one template is that of the sentence to be paraphrased.
    templates = tasks or (template or paraphrase_template(kind.length),)
    for one in templates:
        warn_of_token_names(one, tokenizer)
    name = kind.initialiser if initialiser is None else initialiser
    module = _make_prompt(kind, templates, model, tokenizer, name, runtime.seed).to(model.device)
    if tasks:
        objective = objectives.task_objective(model, tokenizer, module, tasks)
    else:
        objective = objectives.prompt_objective(model, tokenizer, module, templates[0])
    # What is trained from is stored beside the result, to tell how far a prompt has moved.
    initial = encoders.evaluate_prompt(module)
    return TrainingSetup(
        kind, checkpoint, model, tokenizer, objective, templates, bool(tasks), name, initial
    )


def _load_weights(
    kind: TrainingKind,
    checkpoint: Checkpoint,
    runtime: Runtime,
    gradient_checkpointing: bool,
    template: Template,
) -> TrainingSetup:
    """A model whose weights are trained, all of them or low-rank updates."""
    # Small updates of bfloat16 weights would be rounded away, so the weights are in float32; a run
    # in bfloat16 computes under autocast.
    in_float32 = replace(runtime, dtype="float32")
    if kind.family == "bart":
        model, tokenizer = load_seq2seq(checkpoint, in_float32)
        objective = objectives.seq2seq_objective(model, tokenizer)
    else:
        model, tokenizer = load_causal(checkpoint, in_float32)
        if kind.rank:
            lora.add_lora(model, kind.rank, runtime.seed)
        objective = objectives.causal_objective(model, tokenizer, template, not kind.rank)
    if gradient_checkpointing:
        model.gradient_checkpointing_enable()
        if kind.rank:
            # the inputs of a block need gradients, or its factors, being inside, would get none
            model.enable_input_require_grads()
    return TrainingSetup(kind, checkpoint, model, tokenizer, objective, (template,))


def _make_prompt(
    kind: TrainingKind,
    templates: tuple[Template, ...],
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    initialiser: str,
    seed: int,
) -> nn.Module:
    """The prompts of all tasks, one under the other.

    An encoder of several tasks tells them apart by the embeddings of their names.
    """
    # [V, H] in float32, whatever the base is in: a prompt is trained in float32.
    vocabulary = vocabulary_rows(model).float().cpu()
    width = vocabulary.shape[1]
    lengths = [template.total_virtual_tokens for template in templates]
    if kind.family == "softprompt":
        initialise = initialisers.parse_initialiser(initialiser, tokenizer, seed)
        return SoftPrompt(torch.cat([initialise(vocabulary, length) for length in lengths]))
    if initialiser:
        found = "its prompt is written by an encoder, which starts from random weights"
        raise UserError(
            f"initialise {kind.name!r} by {initialiser!r}", found, mend="leave --initialiser out"
        )
    conditions: Sequence[Tensor] = ()
    if len(templates) > 1:
        names = [template.taskname for template in templates]
        conditions = encoders.name_conditions(names, tokenizer, vocabulary)
    config = encoders.encoder_config(kind.encoder, width)
    # Weights are drawn from torch's global generator, which is left as it was found.
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return PromptEncoder(config, width, lengths, conditions)
