"""What every plug-in is: ``System`` or ``Scorer``, with what its builder is handed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from parabench.contracts.values import Column, Decoding, Example, Paraphrase, Runtime, Signature

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

_Made = TypeVar("_Made")
_Combine = TypeVar("_Combine", bound=Callable[..., Any])


class ModelCache:
    """Cache of the last model loaded; loading another one evicts it first.

    Two systems with the same model load it once, and two models are never in memory together.
    """

    def __init__(self) -> None:
        self._made: tuple[Any, Any] | None = None

    def get(self, make: Callable[..., _Made], *given: Any) -> _Made:
        """What ``make(*given)`` returns, cached.

        The cached value is returned if ``make`` and ``given`` are the same as in the last call.
        """
        if self._made is None or self._made[0] != (make, *given):
            # Evicted before the next is made, or both would be in memory for a moment.
            self.clear()
            self._made = (make, *given), make(*given)
        made: _Made = self._made[1]
        return made

    def clear(self) -> None:
        """Free the cached value."""
        self._made = None


@dataclass(frozen=True)
class BuildContext:
    """All that a builder of systems or scorers is handed.

    Builders read nothing from globals or the environment. ``options`` is the suite's table for this
    plug-in (model paths, templates, layers). ``human_answers`` is, for each of ``sources``, what
    people wrote, one text a turn, for the control ``human`` alone; empty where there are no turns.
    ``key`` is the secret of an endpoint; it is never printed and never written. ``models`` is where
    systems get their model from, so that one that several share is loaded once.
    """

    runtime: Runtime = field(default_factory=Runtime)
    decoding: Decoding = field(default_factory=Decoding)
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    sources: Sequence[str] = ()
    human_answers: Sequence[tuple[str, ...]] = ()
    key: str = field(default="", repr=False)
    models: ModelCache = field(default_factory=ModelCache, repr=False, compare=False)


class System(Protocol):
    """Anything that paraphrases sentences.

    Building one is free; reading ``signature`` finds and checks every file it needs (UserError if
    one is missing); ``paraphrase`` loads models and yields batches in any order as they finish,
    each position exactly once. What else may be asked of it: ``HasRole``, ``NamesModels``,
    ``HasTrainingRecord``, ``HasRuntime``, ``HasSoftPrompt``, ``EstimatesCost``, ``Releasable``.
    """

    @property
    def signature(self) -> Signature: ...

    def paraphrase(self, sources: Sequence[str]) -> Iterator[Sequence[Paraphrase]]: ...


class Scorer(Protocol):
    """Anything that measures paraphrases: expensive statistics first, then cheap columns.

    Building one is free; ``signature`` finds and checks every file; ``measure`` may load models and
    returns one row of K numbers per example; ``combine`` is a pure function of any subset of those
    rows, NaN where undefined. What else may be asked of it: ``NamesModels``, ``HasBatchSize``,
    ``SharesEncodings``, ``ExplainsUndefined``, ``Releasable``.
    """

    @property
    def columns(self) -> tuple[Column, ...]: ...

    @property
    def signature(self) -> Signature: ...

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N K"]: ...

    def combine(self, statistics: Float[np.ndarray, "N K"]) -> Float[np.ndarray, " C"]: ...


def additive(combine: _Combine) -> _Combine:
    """Declare that ``combine`` depends on the sum of its rows alone.

    It reads only ``statistics.sum(axis=-2)`` and keeps any axes before the last two. Then ten
    thousand samples of the rows cost one matrix product and one call, instead of ten thousand
    calls.
    """
    combine.additive = True  # type: ignore[attr-defined]
    return combine


def is_additive(combine: Callable[..., Any]) -> bool:
    """Whether ``combine`` is declared ``additive``."""
    return bool(getattr(combine, "additive", False))


SystemBuilder = Callable[[str, BuildContext], System]
"""Called with the variant, ``"111"`` of ``softprompt-111`` (empty when there is none)."""

ScorerBuilder = Callable[[str, BuildContext], Scorer]
"""Called with the variant, as a ``SystemBuilder`` is."""
