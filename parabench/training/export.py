"""Export of a training's result: adapters, or a model's folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from parabench.prompts import adapters, encoders
from parabench.prompts.encoders import PromptEncoder
from parabench.prompts.facts import AdapterFacts, BaseIdentity
from parabench.prompts.lora import LoraFacts, save_lora
from parabench.prompts.table import split_prompts
from parabench.prompts.templates import Template
from parabench.training import lora
from parabench.training.resumable import TrainingOutcome, loss_curve
from parabench.training.setup import TrainingSetup


def export_result(
    setup: TrainingSetup, folder: Path, facts: Mapping[str, Any], outcome: TrainingOutcome
) -> None:
    """Store what ``setup`` has learned in ``folder``; named tasks in ``folder-TASK`` each.

    ``facts`` are further fields of an adapter's facts (seed, data, versions); ``outcome`` gives the
    loss curve.
    """
    if setup.kind.trains_whole_model:
        _export_model(setup, folder)
        return
    base = BaseIdentity.of(setup.checkpoint)
    if Path(base.name).is_dir():
        # A path of this computer says nothing to whoever reads the adapter elsewhere.
        base = replace(base, name=Path(base.name).name)
    # The whole log stays in the training's folder; an adapter elsewhere has the curve with it.
    curve = loss_curve(outcome)
    if setup.kind.rank:
        settings = lora.lora_settings(setup.kind.rank, base.name)
        told = LoraFacts(setup.templates[0], base, loss=curve, **facts)
        _remove_stray_files(folder)
        save_lora(folder, settings, lora.lora_tensors(setup.model), told)
        return
    places = result_folders(folder, setup.templates if setup.named_tasks else ())
    for place, part in zip(places, _prompts_by_task(setup), strict=True):
        known = AdapterFacts(
            part.template, base, part.encoder, setup.initialiser, loss=curve, **facts
        )
        _remove_stray_files(place)
        adapters.save_adapter(place, part.prompt, known, part.state)


def result_folders(folder: Path, tasks: Sequence[Template]) -> list[Path]:
    """The folders of the results: the training's own, or one beside it for each of ``tasks``."""
    if not tasks:
        return [folder]
    return [folder.with_name(f"{folder.name}-{template.taskname}") for template in tasks]


class _TaskPrompt(NamedTuple):
    """One task's prompt: its encoder's settings, and the state a training could go on from."""

    template: Template
    prompt: Float[Tensor, "P E"]
    encoder: Mapping[str, Any]
    state: Mapping[str, Tensor]


def _prompts_by_task(setup: TrainingSetup) -> Iterator[_TaskPrompt]:
    module = setup.objective.module
    templates = setup.templates
    # [sum of P, H], the prompts of all tasks one under the other.
    stacked = encoders.evaluate_prompt(module)
    prompts = split_prompts(stacked, templates)
    initial: Mapping[str, Tensor] = {}
    if setup.initial is not None:
        initial = split_prompts(setup.initial, templates)
    settings: Mapping[str, Any] = {}
    tensors: Mapping[str, Tensor] = {}
    if isinstance(module, PromptEncoder):
        settings, tensors = encoders.encoder_state(module)
    for number, template in enumerate(templates):
        name = template.taskname
        prompt = prompts[name]
        state = {"initial": initial[name]} if initial else {}
        if tensors:
            state |= _encoder_of_task(tensors, number, len(prompt))
        yield _TaskPrompt(template, prompt, settings, state)


def _encoder_of_task(tensors: Mapping[str, Tensor], task: int, length: int) -> dict[str, Tensor]:
    """An encoder of several tasks as one task's encoder, whose output is that task's prompt.

    ``task`` is the task's number, ``length`` the rows of its prompt.
    """
    shared = {}
    for name, value in tensors.items():
        # The conditions of the other tasks are left out.
        if not name.startswith("encoder.condition_"):
            shared[name] = value
    own = {
        "encoder.lengths": torch.tensor([length]),
        # Every task reads the embeddings of the first places, as many as its prompt is long.
        "encoder.embedding.weight": tensors["encoder.embedding.weight"][:length],
        "encoder.condition_0": tensors[f"encoder.condition_{task}"],
    }
    return shared | own


def _export_model(setup: TrainingSetup, folder: Path) -> None:
    """Write a transformers folder; its configuration last, as without it there is no model."""
    fresh = folder / "training" / "model"
    setup.model.save_pretrained(fresh)
    setup.tokenizer.save_pretrained(fresh)
    for path in sorted(fresh.iterdir(), key=_is_configuration):
        os.replace(path, folder / path.name)
    fresh.rmdir()


def _is_configuration(path: Path) -> bool:
    return path.name == "config.json"


def _remove_stray_files(folder: Path) -> None:
    """Remove temporary files of a writer that was killed."""
    for stray in folder.glob(".*.tmp"):
        stray.unlink()
