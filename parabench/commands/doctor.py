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
    """Each thing checked: its name, whether it is fine, and what was found."""
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
        if not chosen.data:
            return f"suite {name}", True, "; ".join(["give it your --data", *_needs(name)])
        faults = plan.plan_problems(plan.make_plan(plan.RunRequest(chosen)))
    except UserError as error:
        return f"suite {name}", False, str(error)
    return (
        f"suite {name}",
        not faults,
        "; ".join(faults.values()) or "every model and adapter present and intact",
    )


def _needs(name: str) -> list[str]:
    models = suites.hub_models(name)
    return [f"parabench models fetch --suite {name} gets {', '.join(models)}"] if models else []
