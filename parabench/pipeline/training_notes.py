"""Which of the user's own trainings answer in a run, and which do not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from parabench.contracts import adapter_folder, model_names
from parabench.pipeline.plan import RunPlan


def own_trainings(plan: RunPlan, skipped: Iterable[str] = ()) -> dict[str, str]:
    """The folders of the user's trainings that replace what the suite has, by system.

    Systems named in ``skipped`` are left out: their signatures cannot be read.
    """
    found = {}
    for name, system in plan.systems.items():
        if name not in skipped:
            folder = dict(system.signature.items).get("trained")
            if folder is not None:
                found[name] = folder
    return found


def training_notes(plan: RunPlan, skipped: Iterable[str] = ()) -> Iterator[str]:
    """What has to be known of own trainings: a line for each that answers, or does not.

    Systems named in ``skipped`` are left out.
    """
    from parabench.prompts.trained import training_passed_over

    own = own_trainings(plan, skipped)
    for name, system in plan.systems.items():
        if name in own:
            yield f"{name} is the training in {own[name]}, not what the suite has"
        elif name not in skipped:
            used = [str(adapter_folder(system)), *model_names(system)]
            if why := training_passed_over(name, used):
                yield f"{name} is what the suite has: {why}"
