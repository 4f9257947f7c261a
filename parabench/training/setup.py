"""The names that ``parabench train`` knows: what each trains, and from what it starts."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from parabench.contracts import Runtime, UserError
from parabench.models.loading import load_causal, load_seq2seq
from parabench.models.local import Checkpoint
from parabench.prompts import encoders, initialisers
from parabench.prompts.encoders import PromptEncoder
from parabench.prompts.soft import SoftPrompt, vocabulary_rows
from parabench.prompts.templates import Template, paraphrase_template
from parabench.training import objectives
from parabench.training.config import TrainingConfig
from parabench.training.objectives import Objective

KindFamily = Literal["softprompt", "ptuning", "finetuned", "bart"]
KIND_CHOICES = ("softprompt-N", "ptuning-N", "ptuning-mlp-N", "finetuned", "bart")


@dataclass(frozen=True)
class TrainingKind:
    """What a name asks for; ``length`` counts virtual tokens, ``encoder`` writes them in
    p-tuning.
    """

    name: str
    family: KindFamily
    length: int = 0
    encoder: str = ""

    @property
    def base(self) -> Literal["causal", "seq2seq"]:
        """Which of the suite's base models it starts from."""
        return "seq2seq" if self.family == "bart" else "causal"

    @property
    def initialiser(self) -> str:
        """Where its prompt starts unless told otherwise; nothing for what has no free prompt."""
        return "sampled:1000" if self.family == "softprompt" else ""

    @property
    def defaults(self) -> TrainingConfig:
        """Settings that work for the kind: a prompt needs a rate that would ruin a whole model's
        weights.
        """
        rate = {"softprompt": 1e-2, "ptuning": 1e-3, "finetuned": 2e-5, "bart": 3e-5}[self.family]
        decay = 0.01 if self.family in ("finetuned", "bart") else 0.0
        return TrainingConfig(
            steps=2000, learning_rate=rate, weight_decay=decay, schedule="cosine", warmup=100
        )


def parse_kind(name: str) -> TrainingKind:
    """The kind of ``softprompt-111``, ``ptuning-mlp-20``, ``finetuned`` or ``bart``; UserError
    lists the choices.
    """
    if name in ("finetuned", "bart"):
        return TrainingKind(name, name)  # type: ignore[arg-type]
    match = re.fullmatch(r"(softprompt|ptuning)(?:-(lstm|mlp|tpmlp))?-(\d{1,5})", name)
    if match is None or (match[1] == "softprompt" and match[2]) or int(match[3]) > 10_000:
        raise UserError(
            f"train {name!r}",
            "no such kind of system",
            KIND_CHOICES,
            "parabench train softprompt-20",
        )
    if match[1] == "ptuning" and not int(match[3]):
        raise UserError(
            f"train {name!r}", "an encoder with nothing to write", mend="parabench train ptuning-20"
        )
    encoder = (match[2] or "lstm") if match[1] == "ptuning" else ""
    return TrainingKind(name, match[1], int(match[3]), encoder)  # type: ignore[arg-type]


@dataclass(frozen=True)
class TrainingSetup:
    """A loaded model with what learns on it, and all that has to be known to store the result.

    ``templates`` has one for each task; ``several`` where the tasks were named, and so each is
    stored by itself.
    """

    kind: TrainingKind
    checkpoint: Checkpoint
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    objective: Objective
    templates: tuple[Template, ...]
    several: bool = False
    initialiser: str = ""
    initial: torch.Tensor | None = None


def load_setup(
    kind: TrainingKind,
    checkpoint: Checkpoint,
    runtime: Runtime,
    initialiser: str | None = None,
    recompute: bool = False,
    tasks: tuple[Template, ...] = (),
) -> TrainingSetup:
    """Load the base model and build what is to be trained, from ``runtime.seed``: for paraphrase,
    or for ``tasks``.

    A prompt is kept in float32 in front of a base in ``runtime.dtype``; weights that are trained
    stay in float32. With ``recompute`` the activations of a whole model are made again for the
    gradients instead of kept.
    """
    if runtime.dtype not in ("float32", "bfloat16"):
        raise UserError(
            f"train in {runtime.dtype}", "gradients would vanish", ("float32", "bfloat16")
        )
    if kind.family in ("finetuned", "bart"):
        if initialiser or tasks:
            asked = f"by {initialiser!r}" if initialiser else f"on {len(tasks)} tasks"
            raise UserError(
                f"train {kind.name!r} {asked}",
                "it has no prompt",
                mend="parabench train ptuning-20",
            )
        setup = _whole(kind, checkpoint, replace(runtime, dtype="float32"))
        if recompute:
            setup.model.gradient_checkpointing_enable()
        return setup
    if recompute:
        raise UserError(
            f"train {kind.name!r} with --gradient-checkpointing",
            "its rows share the prompt's activations",
        )
    model, tokenizer = load_causal(checkpoint, runtime)
    templates, name = (
        tasks or (paraphrase_template(kind.length),),
        kind.initialiser if initialiser is None else initialiser,
    )
    prompt = _prompt(kind, templates, model, tokenizer, name, runtime.seed).to(model.device)
    if tasks:
        objective = objectives.task_objective(model, tokenizer, prompt, tasks)
    else:
        objective = objectives.prompt_objective(model, tokenizer, prompt, templates[0])
    initial = encoders.evaluate_prompt(prompt)
    return TrainingSetup(
        kind, checkpoint, model, tokenizer, objective, templates, bool(tasks), name, initial
    )


def _whole(kind: TrainingKind, checkpoint: Checkpoint, runtime: Runtime) -> TrainingSetup:
    template = paraphrase_template(0)
    if kind.family == "bart":
        model, tokenizer = load_seq2seq(checkpoint, runtime)
        return TrainingSetup(
            kind,
            checkpoint,
            model,
            tokenizer,
            objectives.seq2seq_objective(model, tokenizer),
            (template,),
        )
    model, tokenizer = load_causal(checkpoint, runtime)
    return TrainingSetup(
        kind,
        checkpoint,
        model,
        tokenizer,
        objectives.causal_objective(model, tokenizer, template),
        (template,),
    )


def _prompt(
    kind: TrainingKind,
    templates: tuple[Template, ...],
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    initialiser: str,
    seed: int,
) -> nn.Module:
    """The prompts of all tasks, one under the other; an encoder is told them apart by their names'
    embeddings.
    """
    rows, lengths = (
        vocabulary_rows(model).float().cpu(),
        [template.total_virtual_tokens for template in templates],
    )
    if kind.family == "softprompt":
        begin = initialisers.parse_initialiser(initialiser, tokenizer, seed)
        return SoftPrompt(torch.cat([begin(rows, length) for length in lengths]))
    if initialiser:
        found = "its prompt is written by an encoder, which starts from random weights"
        raise UserError(
            f"initialise {kind.name!r} by {initialiser!r}", found, mend="leave --initialiser out"
        )
    names = [template.taskname for template in templates]
    conditions = encoders.name_conditions(names, tokenizer, rows) if len(names) > 1 else ()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return PromptEncoder(
            encoders.encoder_config(kind.encoder, rows.shape[1]), rows.shape[1], lengths, conditions
        )
