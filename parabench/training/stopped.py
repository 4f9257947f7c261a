"""Export of a training that has not ended: its best parameters so far, as an adapter or a model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from parabench.contracts import Runtime, UserError
from parabench.models.local import Checkpoint
from parabench.prompts.templates import parse_template
from parabench.store.files import read_bytes
from parabench.training import state
from parabench.training.export import export_result
from parabench.training.resumable import TrainingOutcome
from parabench.training.setup import load_setup, parse_kind

_SPEC = Path("training/spec.json")
_LOG = Path("training/log.jsonl")
_CHECKPOINTS = (Path("training/best.safetensors"), Path("training/last.safetensors"))
"""What is taken, in this order: there is no best before the first validation."""


def is_stopped_training(folder: Path) -> bool:
    """Whether ``folder`` has a training without a result."""
    result = (folder / "adapter_config.json").exists() or (folder / "config.json").exists()
    return (folder / _SPEC).is_file() and not result


def export_stopped(folder: Path, target: Path, base: Checkpoint) -> int:
    """Store the best parameters of the training in ``folder`` in ``target``; returns their step.

    ``base`` is the model that the training started from. The training itself is not touched, and
    can be resumed. Raises UserError where nothing is stored yet, the base is another one, or the
    training is of several tasks.
    """
    asked = f"take the training in {folder} as it is"
    spec = json.loads(read_bytes(folder / _SPEC))
    _check_spec(asked, spec, base)
    checkpoint = _newest_best(folder)
    if checkpoint is None:
        found = "it has stored no checkpoint yet"
        raise UserError(asked, found, mend=f"parabench train {spec['name']} --save-every 10")
    seed = spec["config"]["seed"]
    kind = parse_kind(spec["name"])
    template = parse_template(spec["template"]) if "template" in spec else None
    # The module is built as it was in the training, then its parameters are replaced.
    setup = load_setup(kind, base, Runtime(seed=seed), spec["initialiser"], template=template)
    weights = state.read_parameters(checkpoint)
    state.load_parameters(setup.objective.module, weights)
    step = state.read_step(checkpoint)
    data = [f"{name}: {value}" for name, value in spec["data"].items()]
    facts = {
        "seed": seed,
        "data": "; ".join(data),
        "origin": f"a training stopped at step {step}",
    }
    export_result(setup, target, facts, _outcome_so_far(folder, step))
    return step


def _check_spec(asked: str, spec: Mapping[str, Any], base: Checkpoint) -> None:
    """Refuse a training of another base model, and one that is no single prompt or model."""
    if spec["base"]["digest"] != base.digest:
        found = f"it is of {spec['base']['name']}, of another digest than {base.reference}"
        raise UserError(asked, found, mend="give the model that it started from with --base")
    # A training into a task table has its tasks in the record, one on pairs in its data.
    if "tasks" in spec or "tasks" in spec["data"]:
        found = "it is a training of tasks, which are stored together"
        raise UserError(asked, found, mend="run the training to its end")


def _newest_best(folder: Path) -> Path | None:
    """The checkpoint to take: the best one, or the last where none was validated yet."""
    for path in _CHECKPOINTS:
        if (folder / path).exists():
            return folder / path
    return None


def _outcome_so_far(folder: Path, step: int) -> TrainingOutcome:
    """What the loss log says up to ``step``; its last line may be cut off, and is not needed."""
    history: list[dict[str, Any]] = []
    for line in read_bytes(folder / _LOG).splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            break
        if record["step"] <= step:
            history.append(record)
    return TrainingOutcome(step, step, float("inf"), {}, tuple(history))
