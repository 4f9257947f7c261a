"""Edit distance as a share of the longer text, and ParaScore's divergence term."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from rapidfuzz.distance import Levenshtein


def normalised_edits(a: Sequence[Hashable], b: Sequence[Hashable]) -> float:
    """Return Levenshtein distance over the length of the longer sequence, 0 to 1; 0 if both are
    empty.
    """
    return Levenshtein.normalized_distance(a, b)


def divergence(source: str, text: str, gamma: float) -> float:
    """Return ParaScore's DS of a ``text`` to its ``source``.

    ``gamma`` where the texts differ by at least that share of their characters, then falling
    straight to -1 for a copy. Characters are compared with case and outer spaces. Shen et al. 2022,
    section 4; shadowkiller33/ParaScore.
    """
    distance = normalised_edits(source, text)
    if distance >= gamma:
        return gamma
    return -1 + distance * (gamma + 1) / gamma
