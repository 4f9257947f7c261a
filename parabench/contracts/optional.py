"""What the core may ask of systems and scorers beyond ``System`` and ``Scorer``.

Each is a Protocol that a plug-in may satisfy, with a function beside it that gives the default
where a plug-in does not; the core asks by these functions alone. Nothing is inherited. Facts are
read by ``getattr``, because a property may raise UserError, which is passed on.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

from parabench.contracts.plugins import Scorer, System
from parabench.contracts.values import Example, Role, Runtime, UserError

_ROLES: tuple[Role, ...] = ("system", "sentinel", "human")


class HasRole(Protocol):
    """A system that is a control.

    It is drawn apart and is not ranked; columns that prefer it to an honest system are invalid.
    """

    @property
    def role(self) -> Role: ...


def system_role(system: System) -> Role:
    """The role of a system; ``"system"`` where it declares none.

    Raises UserError where it is none of ``Role``.
    """
    role = getattr(system, "role", "system")
    if role not in _ROLES:
        asked = f"use the role {role!r} of {system.signature.name}"
        raise UserError(asked, "no such role", _ROLES)
    return cast(Role, role)


class NamesModels(Protocol):
    """A system or scorer that loads models: they are fetched before a run, and counted in its plan.

    Each is named as in a suite: a folder, or ``org/name@revision`` of a hub.
    """

    @property
    def model_names(self) -> Sequence[str]: ...


def model_names(part: object) -> list[str]:
    """The models that a system or scorer loads on this machine, each once.

    Where it does not declare ``model_names``, they are what its dataclass fields called ``model``
    hold as text, its own and those of its parts (a scorer made of scorers).
    """
    declared = getattr(part, "model_names", None)
    # An empty list is declared too: a part that loads nothing, whatever its fields are called.
    found = _model_fields(part) if declared is None else declared
    return list(dict.fromkeys(found))


def _model_fields(part: Any) -> Iterator[str]:
    if getattr(part, "model_names", None) is not None:
        yield from part.model_names
        return
    # What is neither declared nor a dataclass cannot be looked into.
    if not is_dataclass(part):
        return
    for one in fields(part):
        value = getattr(part, one.name)
        if one.name == "model" and isinstance(value, str):
            yield value
        else:
            yield from _model_fields(value)


class HasTrainingRecord(Protocol):
    """A system that knows what it learned from: the table tells which test examples are among that.

    ``trained`` is the folder with ``training-data.json``, as ``parabench train`` writes it.
    """

    @property
    def trained(self) -> Path | None: ...


def training_record(system: System) -> Path | None:
    """The folder with the record of a system's training data; None where it is not known."""
    return cast("Path | None", getattr(system, "trained", None))


class HasRuntime(Protocol):
    """A system that computes in another arithmetic than its run, as its suite says."""

    @property
    def runtime(self) -> Runtime: ...


def runtime_of(system: System, of_run: Runtime) -> Runtime:
    """Where and how a system's model runs; as the run says where it declares nothing."""
    return cast(Runtime, getattr(system, "runtime", of_run))


class HasSoftPrompt(Protocol):
    """A system with a learned prompt in front of the first of its models, which can be explained.

    ``adapter_folder`` holds it in the PEFT format; None where this one has no prompt.
    """

    @property
    def adapter_folder(self) -> Path | None: ...


def adapter_folder(system: System) -> Path | None:
    """The folder of a system's soft prompt; None where it has none."""
    return cast("Path | None", getattr(system, "adapter_folder", None))


@runtime_checkable
class EstimatesCost(Protocol):
    """A system that can tell what it will take without trying, as an endpoint can."""

    def estimate_cost(self, examples: int) -> str:
        """Time, tokens or money for so many source sentences, as a line for people."""
        ...


def estimated_cost(system: System, examples: int) -> str | None:
    """What a system says that so many sentences will take; None where it does not."""
    if isinstance(system, EstimatesCost):
        return system.estimate_cost(examples)
    return None


@runtime_checkable
class Releasable(Protocol):
    """A system or scorer that holds models between calls."""

    def release(self) -> None:
        """Free the models; the next call may load them again."""
        ...


def release_models(*parts: object) -> None:
    """Free the models held by these systems and scorers."""
    for part in parts:
        if isinstance(part, Releasable):
            part.release()


class HasBatchSize(Protocol):
    """A scorer whose rows do not depend on one another's, so that it may be given more at once."""

    @property
    def block(self) -> int: ...


def examples_per_call(scorer: Scorer, default: int) -> int:
    """How many examples ``measure`` is given in one call."""
    return int(getattr(scorer, "block", default))


class SharesEncodings(Protocol):
    """A scorer that keeps what its model makes of a block's texts, for others with that model.

    Scorers of a run whose ``encodings`` are equal measure each block one after another, so that the
    model is loaded once and each text encoded once. They get the model from
    ``BuildContext.models``, and each must get the same numbers where it is alone.
    """

    @property
    def encodings(self) -> Hashable: ...


def shared_encodings(scorer: Scorer) -> Hashable | None:
    """What a scorer shares with those that declare the same; None where it shares nothing."""
    return cast("Hashable | None", getattr(scorer, "encodings", None))


@runtime_checkable
class ExplainsUndefined(Protocol):
    """A scorer that leaves examples out on purpose."""

    def why(self, example: Example, text: str) -> str:
        """The reason why the text has no value; empty where the scorer knows of none."""
        ...


def undefined_reason(
    scorer: Scorer,
    example: Example,
    text: str,
) -> str:
    """Why a scorer gives a text no value, in its own words; empty where it does not say."""
    if isinstance(scorer, ExplainsUndefined):
        return scorer.why(example, text)
    return ""
