"""The loss curve of a training as a picture."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any


def plot(history: Sequence[Mapping[str, Any]]) -> bytes:
    """An SVG of the loss log: every update's loss, their running mean over about fifty, and the
    held-out losses.
    """
    from matplotlib.figure import Figure

    updates = [(line["step"], line["loss"]) for line in history if "loss" in line]
    judged = [
        (line["step"], line["validation"]["loss"]) for line in history if "validation" in line
    ]
    means: list[float] = []
    for _, loss in updates:
        means.append(means[-1] + (loss - means[-1]) / min(len(means) + 1, 50) if means else loss)
    axes = (figure := Figure(figsize=(7, 4))).add_subplot(
        xlabel="update", ylabel="loss, nats a target token"
    )
    axes.plot(*_columns(updates), color="0.8", linewidth=0.8, label="update")
    axes.plot([step for step, _ in updates], means, label="running mean")
    axes.plot(*_columns(judged), "s", label="held-out pairs")
    axes.legend()
    content = io.BytesIO()
    figure.savefig(content, format="svg", metadata={"Date": None})
    return content.getvalue()


def _columns(points: Sequence[tuple[int, float]]) -> tuple[list[int], list[float]]:
    return [step for step, _ in points], [value for _, value in points]
