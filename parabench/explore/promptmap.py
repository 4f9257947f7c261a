"""The prompt map: learned virtual tokens among the vocabulary, on its two principal axes.

Rows are scaled to unit length, since cosines compare directions, and projected (PCA of the
vocabulary's rows alone). The plane of a base model is fitted once and kept by the hash of its
embedding, so that prompts of any seed and training are on the same map.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from parabench.explore.nearest import PromptPosition, nearest_tokens
from parabench.prompts import snapshots
from parabench.store.files import read_bytes, write_atomically

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

    from parabench.prompts.adapters import Adapter

_PLANE_TENSORS = {"center", "axes", "shares"}


@dataclass(frozen=True, eq=False)
class VocabularyPlane:
    """Two orthonormal ``axes`` through ``center``, the mean direction of a vocabulary.

    ``shares`` are the parts of its variance that they hold.
    """

    center: Float[np.ndarray, " H"]
    axes: Float[np.ndarray, "2 H"]
    shares: Float[np.ndarray, " 2"]

    def place(self, rows: Float[np.ndarray, "N H"]) -> Float[np.ndarray, "N 2"]:
        """Project rows; a row of zeros has no direction and is placed as the origin is."""
        return (_units(rows) - self.center) @ self.axes.T


@dataclass(frozen=True, eq=False)
class MappedPrompt:
    """One prompt on the map: the way of its P rows through ``steps``, from the initial one to the
    one that was kept.

    ``steps`` has a label for each of the S stages of ``path``; ``positions`` are those of
    ``nearest.nearest_tokens``.
    """

    name: str
    steps: tuple[str, ...]
    path: Float[np.ndarray, "S P 2"]
    positions: Sequence[PromptPosition]


@dataclass(frozen=True, eq=False)
class PromptMap:
    """All that a map shows: the vocabulary's tokens and places, the same for every prompt of
    ``base``, and prompts.
    """

    base: str
    digest: str
    tokens: Sequence[str]
    anchors: Float[np.ndarray, "V 2"]
    shares: tuple[float, float]
    prompts: tuple[MappedPrompt, ...]


def fit_plane(vocabulary: Float[np.ndarray, "V H"]) -> VocabularyPlane:
    """The plane of a vocabulary, by the eigenvectors of its unit rows' covariance.

    Each axis points to where its largest entry is positive, so that the same embedding gives the
    same map.
    """
    units = _units(vocabulary)
    center = units.mean(axis=0)
    centered = units - center
    # eigh gives eigenvalues in ascending order: the last two vectors hold the most variance.
    values, vectors = np.linalg.eigh(centered.T @ centered)
    axes = vectors[:, [-1, -2]].T
    # An eigenvector's sign is arbitrary and differs between machines: one is chosen.
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    return VocabularyPlane(center, axes * np.sign(largest), values[[-1, -2]] / values.sum())


def load_or_fit_plane(
    vocabulary: Float[np.ndarray, "V H"], folder: Path
) -> tuple[VocabularyPlane, str]:
    """The plane of a vocabulary and the SHA-256 of its embedding.

    Read from ``folder`` where it was kept before, else fitted and kept there.
    """
    digest = hashlib.sha256(np.ascontiguousarray(vocabulary, dtype="<f4").tobytes()).hexdigest()
    path = folder / f"plane-{digest[:12]}.safetensors"
    if (plane := _kept(path, vocabulary.shape[1])) is None:
        plane = fit_plane(vocabulary)
        write_atomically(
            path,
            safetensors.save(
                {
                    "center": plane.center,
                    "axes": plane.axes,
                    "shares": plane.shares,
                }
            ),
        )
    return plane, digest


def _kept(path: Path, width: int) -> VocabularyPlane | None:
    """A kept plane that is whole; None otherwise: it is a cache, and is then fitted again."""
    if not path.exists():
        return None
    try:
        found = safetensors.load(read_bytes(path))
    except (SafetensorError, ValueError):
        return None
    if (
        found.keys() != _PLANE_TENSORS
        or found["axes"].shape != (2, width)
        or found["center"].shape != (width,)
    ):
        return None
    return VocabularyPlane(found["center"], found["axes"], found["shares"])


def _units(rows: Float[np.ndarray, "N H"]) -> Float[np.ndarray, "N H"]:
    exact = np.asarray(rows, dtype=np.float64)
    # A row of zeros has no direction: divided by 1 it stays where it is.
    norms = np.linalg.norm(exact, axis=1, keepdims=True)
    return exact / np.where(norms > 0, norms, 1)


def readable_token(token: str) -> str:
    """A token of a byte-level vocabulary with ``␣`` for a blank and ``⏎`` for a line feed."""
    return token.replace("Ġ", "␣").replace("Ċ", "⏎")


def place_prompt(
    name: str,
    adapter: Adapter,
    folder: Path,
    plane: VocabularyPlane,
    vocabulary: Float[Tensor, "V H"],
    tokenizer: PreTrainedTokenizerBase,
    nearest: int,
) -> MappedPrompt:
    """An adapter on the map, with the way it went as far as its ``folder`` has kept it."""
    way = prompt_stages(adapter, folder)
    # Every stage has as many rows, or it would be of another training and left out.
    path = np.stack([plane.place(rows.numpy()) for _, rows in way])
    return MappedPrompt(
        name,
        tuple(label for label, _ in way),
        path,
        nearest_tokens(adapter, vocabulary, tokenizer, nearest),
    )


def prompt_stages(adapter: Adapter, folder: Path) -> list[tuple[str, Float[Tensor, "P H"]]]:
    """The prompt's rows over its training: initial, at each snapshot of ``folder``, and as kept.

    Each stage has its label; snapshots of another shape, of an earlier training, are left out.
    """
    shape = adapter.prompt.shape
    initial = adapter.state.get("initial")
    found = [("initial", initial)] if initial is not None and initial.shape == shape else []
    for step, rows in snapshots.read_snapshots(folder):
        if rows.shape == shape:
            found.append((f"step {step}", rows))
    return [*found, ("kept", adapter.prompt)]
