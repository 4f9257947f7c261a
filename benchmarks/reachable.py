"""How probable a prompt could make each token of a task's answers: ``python -m
benchmarks.reachable results/tasks/reachable.json``.

A prompt in front of frozen weights changes the last hidden state and nothing behind it. The final
layer norm and the output embeddings turn that state into probabilities, so the best that any prompt
can do for a token is bounded by the best state that the norm can put out. That state is sought here
by gradient ascent, without a prompt and without data, for the embedded base and the words of
``docs/tasks.md``. A token that no training text held stays near the others of its kind, and hardly
any state tells it from them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from parabench.mini.recipe import load_embedded_base
from parabench.prompts.soft import vocabulary_rows
from parabench.store.files import write_atomically

ANSWERS = (
    "\nIntent: alarm_set\nSlots: time(seven am), place_name(Cairo)",
    "negative",
    "The barber",
)
STEPS = 300


def main(target: Path) -> None:
    """Write and print the highest probability of every token of ``ANSWERS``, into ``target``."""
    model, tokenizer = load_embedded_base()
    embeddings = vocabulary_rows(model).float()
    norm = model.get_decoder().final_layer_norm
    bounds: dict[str, float] = {}
    for text in ANSWERS:
        for token in tokenizer(text, add_special_tokens=False).input_ids:
            word = str(tokenizer.decode([token]))
            if word not in bounds:
                bounds[word] = round(best_probability(embeddings, norm, token), 4)
                print(f"{word!r:12} {bounds[word]:.4f}", flush=True)
    content: dict[str, Any] = {"steps": STEPS, "probability": bounds}
    write_atomically(target, (json.dumps(content, indent=1) + "\n").encode())


def best_probability(
    embeddings: Float[Tensor, "V H"], norm: nn.LayerNorm, token: int, steps: int = STEPS
) -> float:
    """The highest probability of ``token`` over all states that ``norm`` puts out.

    ``embeddings`` are the output's, which are the input's too. Ascent begins at the state that
    points to the token's own row, where a token of the training texts has nearly all probability.
    """
    weight = norm.weight.detach().float()
    bias = norm.bias.detach().float()
    state = nn.Parameter(embeddings[token] * weight)
    optimizer = torch.optim.Adam([state], lr=0.05)
    highest = 0.0
    for _ in range(steps):
        # What the norm does to any state: mean 0 and deviation 1, then scaled and moved.
        centred = state - state.mean()
        normal = centred / centred.std(unbiased=False)
        logits = embeddings @ (normal * weight + bias)
        log_probability = logits.log_softmax(-1)[token]
        highest = max(highest, float(log_probability.detach().exp()))
        optimizer.zero_grad()
        (-log_probability).backward()
        optimizer.step()
    return highest


if __name__ == "__main__":
    main(Path(sys.argv[1]))
