"""The installation looked over: versions, device, models, suites."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from parabench.contracts import UserError
from parabench.pipeline import plan
from parabench.pipeline.provenance import package_versions
from parabench.suites import suite as suites

_Check = tuple[str, bool, str]


def check_installation() -> Iterator[_Check]:
    """Each check: its name, whether it is fine, and what was found."""
    yield "python", True, platform.python_version()
    for name, number in package_versions().items():
        yield name, number != "absent", number
    yield _check_device()
    for name in suites.built_in_suites():
        yield _check_suite(name)


def _check_device() -> _Check:
    """The accelerator that ``--device auto`` would take."""
    from parabench.models.loading import resolve_device

    found = resolve_device("auto")
    return "device", True, found if found != "cpu" else "cpu (no CUDA device found)"


def _check_suite(name: str) -> _Check:
    """Whether everything a suite needs is here and intact."""
    try:
        chosen = suites.load_suite(name)
        absent = _absent_models(name)
        if not chosen.data:
            return f"suite {name}", True, "; ".join(["give it your --data", *absent])
        # a plan would fetch them
        if absent:
            return f"suite {name}", True, "; ".join(absent)
        faults = plan.plan_problems(plan.make_plan(plan.RunRequest(chosen)))
    except UserError as error:
        return f"suite {name}", False, str(error)
    found = list(faults.values()) or ["every model and adapter present and intact"]
    return f"suite {name}", not faults, "; ".join(found)


def _absent_models(name: str) -> list[str]:
    """What fetches the models of a suite that are not here yet; neither hub nor index is asked."""
    absent = [model for model in suites.fetched_models(name) if not _is_here(name, model)]
    if absent:
        return [f"parabench models fetch --suite {name} gets {', '.join(absent)}"]
    return []


def _is_here(suite: str, model: str) -> bool:
    """Whether a model of a suite, at its locked version where there is one, is in the cache."""
    from parabench.models import hub, packages
    from parabench.suites.lock import read_lock

    pin = read_lock(suites.find_lock(suite)).get(model)
    if packages.is_package(model):
        return packages.is_installed(packages.parse(pin.reference if pin else model))
    if pin is not None:
        return hub.is_fetched(pin.name, pin.commit)
    return hub.is_resolved(model)
