"""A small prompt map for the tests: twelve tokens, two prompts of three rows, a hostile text where
asked for.
"""

import numpy as np

from parabench.explore.nearest import Neighbour, PromptPosition
from parabench.explore.promptmap import MappedPrompt, PromptMap, fit_plane


def vocabulary(rows: int = 12, width: int = 5) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(rows, width)) + np.linspace(0, 1, width)


def small(text: str = "") -> PromptMap:
    words, draw = vocabulary(), np.random.default_rng(4)
    plane = fit_plane(words)
    tokens = ["Ġcat", "=1+2", "Ċ", *(f"tok{number}{text}" for number in range(9))]
    near = (Neighbour(f"Ġcat{text}", 0.5), Neighbour("=1+2", 0.25))
    positions = [PromptPosition(row, 2.0, 1.5, 0.5, None, near, near) for row in range(3)]
    prompts = tuple(
        MappedPrompt(
            f"{name}{text}",
            steps,
            np.stack([plane.place(draw.normal(size=(3, 5))) for _ in steps]),
            positions,
        )
        for name, steps in (
            ("softprompt-3", ("initial", "step 10", "kept")),
            ("imported", ("kept",)),
        )
    )
    return PromptMap(f"opt{text}", "d" * 64, tokens, plane.place(words), (0.5, 0.25), prompts)
