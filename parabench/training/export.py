"""What a training leaves behind: adapters, or a model's folder, where ``parabench run`` looks for
them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from parabench.prompts import adapters, encoders
from parabench.prompts.encoders import PromptEncoder
from parabench.prompts.facts import AdapterFacts, BaseIdentity
from parabench.prompts.table import split_prompts
from parabench.prompts.templates import Template
from parabench.training.resumable import TrainingOutcome, loss_curve
from parabench.training.setup import TrainingSetup


def export_result(
    setup: TrainingSetup, folder: Path, facts: Mapping[str, Any], outcome: TrainingOutcome
) -> None:
    """Store what was learned in ``folder``; of several tasks, each beside it in ``folder-task``."""
    if setup.kind.family in ("finetuned", "bart"):
        _keep_model(setup, folder)
        return
    base = BaseIdentity.of(setup.checkpoint)
    base = replace(base, name=Path(base.name).name if Path(base.name).is_dir() else base.name)
    places = result_folders(folder, setup.templates if setup.several else ())
    for place, (template, prompt, settings, state) in zip(places, _parts(setup), strict=True):
        known = AdapterFacts(
            template, base, settings, setup.initialiser, loss=loss_curve(outcome), **facts
        )
        _clear(place)
        adapters.save_adapter(place, prompt, known, state)


def result_folders(folder: Path, tasks: Sequence[Template]) -> list[Path]:
    """Where results are stored: in the training's own folder, or beside it for each of the tasks
    that were named.
    """
    return [folder.with_name(f"{folder.name}-{template.taskname}") for template in tasks] or [
        folder
    ]


def _parts(
    setup: TrainingSetup,
) -> Iterator[tuple[Template, Tensor, Mapping[str, Any], Mapping[str, Tensor]]]:
    """For each task: its template and prompt, its encoder's settings, and the state from which
    training could go on.
    """
    module, templates = setup.objective.module, setup.templates
    prompts = split_prompts(encoders.evaluate_prompt(module), templates)
    initial = {} if setup.initial is None else split_prompts(setup.initial, templates)
    settings, tensors = (
        encoders.encoder_state(module) if isinstance(module, PromptEncoder) else ({}, {})
    )
    for number, template in enumerate(templates):
        name = template.taskname
        state = {"initial": initial[name]} if initial else {}
        if tensors:
            state |= _alone(tensors, number, len(prompts[name]))
        yield template, prompts[name], settings, state


def _alone(tensors: Mapping[str, Tensor], task: int, length: int) -> dict[str, Tensor]:
    """The state of an encoder of several tasks as that of one task's encoder, whose output is that
    task's prompt.
    """
    shared = {
        name: value for name, value in tensors.items() if not name.startswith("encoder.condition_")
    }
    return shared | {
        "encoder.lengths": torch.tensor([length]),
        "encoder.embedding.weight": tensors["encoder.embedding.weight"][:length],
        "encoder.condition_0": tensors[f"encoder.condition_{task}"],
    }


def _keep_model(setup: TrainingSetup, folder: Path) -> None:
    """A transformers folder; its configuration is put there last, so that half a model is never
    taken for one.
    """
    fresh = folder / "training" / "model"
    setup.model.save_pretrained(fresh)
    setup.tokenizer.save_pretrained(fresh)
    for path in sorted(fresh.iterdir(), key=lambda path: path.name == "config.json"):
        os.replace(path, folder / path.name)
    fresh.rmdir()


def _clear(folder: Path) -> None:
    """Take away what a writer that was killed has left of a result."""
    for stray in folder.glob(".*.tmp"):
        stray.unlink()
