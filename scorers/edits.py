"""Edit distance as a share of the longer text, and the divergence term made of it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from rapidfuzz.distance import Levenshtein


def normalised_edits(a: Sequence[Hashable], b: Sequence[Hashable]) -> float:
    """Levenshtein distance over the length of the longer sequence, 0 to 1; 0 for two empty ones."""
    return Levenshtein.normalized_distance(a, b)


def divergence(source: str, text: str, gamma: float) -> float:
    """ParaScore's DS: ``gamma`` where the texts differ by at least that, then falling straight to
    -1 for a copy.

    Characters, cased, unstripped. Shen et al. 2022, section 4; shadowkiller33/ParaScore.
    """
    distance = normalised_edits(source, text)
    return gamma if distance >= gamma else -1 + distance * (gamma + 1) / gamma
