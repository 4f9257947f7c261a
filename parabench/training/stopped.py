"""Export of a training that has not ended: its best parameters so far, as an adapter or a model."""

from __future__ import annotations

import json
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
    if spec["base"]["digest"] != base.digest:
        found = f"it is of {spec['base']['name']}, of another digest than {base.reference}"
        raise UserError(asked, found, mend="give the model that it started from with --base")
    if "tasks" in spec["data"]:
        raise UserError(asked, "it is of several tasks", mend="run the training to its end")
    stored = [folder / path for path in _CHECKPOINTS if (folder / path).exists()]
    if not stored:
        found = "it has stored no checkpoint yet"
        raise UserError(asked, found, mend=f"parabench train {spec['name']} --save-every 10")
    seed = spec["config"]["seed"]
    kind = parse_kind(spec["name"])
    template = parse_template(spec["template"]) if "template" in spec else None
    setup = load_setup(kind, base, Runtime(seed=seed), spec["initialiser"], template=template)
    state.load_parameters(setup.objective.module, state.read_parameters(stored[0]))
    step = state.read_step(stored[0])
    data = [f"{name}: {value}" for name, value in spec["data"].items()]
    facts = {"seed": seed, "data": "; ".join(data), "origin": f"a training stopped at step {step}"}
    export_result(setup, target, facts, _outcome_so_far(folder, step))
    return step


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
