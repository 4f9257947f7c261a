"""Where numbers come from: versions, code revision, device, data and signatures.

The fields are a fixed list. Nothing is copied wholesale from the environment, so no secret and no
path of the machine can enter a report.
"""

from __future__ import annotations

import json
import platform
import subprocess
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import parabench
from parabench.contracts import adapter_folder, training_record
from parabench.data.sketches import training_facts
from parabench.models.torch_build import torch_version
from parabench.pipeline.identity import run_identity
from parabench.pipeline.plan import RunPlan
from parabench.store.files import write_atomically
from parabench.store.log import finished_predictions, log_names

_PACKAGES = (
    "transformers", "tokenizers", "bert-score", "sacrebleu", "rouge-score",
    "numpy", "scipy", "pandas",
)  # fmt: skip


def write_provenance(plan: RunPlan, folder: Path) -> None:
    """Leave ``provenance.json`` in a run folder."""
    device = plan.runtime.device
    record = {
        **run_identity(plan.suite, plan.data, plan.runtime),
        "command": plan.command,
        "parabench": parabench.__version__,
        "git": code_revision(Path(parabench.__file__).parent),
        "python": platform.python_version(),
        "packages": package_versions(),
        "device": device_name(device),
        "tf32": tf32(device),
    }
    record["suite"] |= {"table": list(plan.suite.table)}
    if plan.suite.gates:
        record["suite"]["gates"] = list(plan.suite.gates)
    record["training"] = training_provenance(plan, folder)
    unanswered = unanswered_counts(folder)
    if unanswered:
        record["unanswered"] = unanswered
    text = json.dumps(record, indent=2, sort_keys=True) + "\n"
    write_atomically(folder / "provenance.json", text.encode())


def training_provenance(plan: RunPlan, folder: Path) -> dict[str, Any]:
    """What is known of the data that systems learned from, by system.

    Systems of earlier runs in the folder are among them: their records are in it still.
    """
    try:
        text = (folder / "provenance.json").read_text()
        earlier = json.loads(text)["training"]
    except (OSError, ValueError, KeyError, TypeError):
        earlier = {}  # the first run in the folder, or one that nobody can read
    found = dict(earlier)
    for name, system in plan.systems.items():
        facts = training_facts(training_record(system), plan.data.examples)
        prompt = adapter_folder(system)
        if prompt:
            # imports torch, which a run without models does not need
            from parabench.prompts.adapters import read_adapter_facts

            # A soft prompt's own record says in words what it was trained on; checkpoints have
            # none.
            data = read_adapter_facts(prompt).data
            if data:
                facts["data"] = data
        if facts:
            found[name] = facts
    return found


def unanswered_counts(folder: Path) -> dict[str, dict[str, int]]:
    """How many examples each system of a run ``folder`` left unanswered, by system and reason.

    A reason is cut at its first colon: what follows are the server's own words, which may differ
    from row to row.
    """
    found = {}
    for (system,) in log_names(folder, "predictions"):
        reasons = Counter[str]()
        for _, record in finished_predictions(folder, system).records:
            reason = record.get("reason")
            if reason:
                reasons[str(reason).split(":")[0]] += 1
        if reasons:
            found[system] = dict(sorted(reasons.items()))
    return found


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that decide numbers, ``absent`` for one that is not there.

    Torch says of itself which build it is (``2.13.0+cpu``, ``2.13.0+cu130``); the installed
    package's own version need not.
    """
    found = {"torch": torch_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def code_revision(folder: Path) -> dict[str, Any]:
    """The commit of the code, and whether files differ from it; None where git cannot tell."""

    def git(*arguments: str) -> str | None:
        command = ["git", "-C", str(folder), *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    # Files that git does not know are results and notes more often than code.
    changed = git("status", "--porcelain", "--untracked-files=no")
    if commit is None:
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": bool(changed)}


def tf32(device: str) -> bool | None:
    """Whether a CUDA device may round float32 products to TF32; None elsewhere."""
    if not device.startswith("cuda"):
        return None
    import torch

    return bool(torch.backends.cuda.matmul.allow_tf32)


def device_name(device: str) -> str:
    """The device kind, with the model's name on CUDA."""
    if not device.startswith("cuda"):
        return device
    import torch

    return f"cuda: {torch.cuda.get_device_name(device)}"
