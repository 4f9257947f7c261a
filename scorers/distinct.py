"""Scoring each distinct thing once: the same text meets the same reference again in every turn that keeps both."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import numpy as np
from jaxtyping import Float

Item = TypeVar("Item", bound=Hashable)


def once_each(
    items: Sequence[Item], score: Callable[[list[Item]], Float[np.ndarray, "M ..."]]
) -> Float[np.ndarray, "N ..."]:
    """The rows of ``score`` for all items, asked once about each distinct one, in order of first appearance."""
    places = {item: place for place, item in enumerate(dict.fromkeys(items))}
    return score(list(places))[[places[item] for item in items]]
