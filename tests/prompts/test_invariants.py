"""The three invariants of prompt tuning that fail silently (google-research/prompt-tuning
``train_test.py``).
"""

import pytest
import torch
from safetensors.torch import load_file

from parabench.contracts import Runtime
from parabench.inference.prompt_ids import PromptIds, embed
from parabench.models.checkpoints import locate
from parabench.models.loading import load_causal
from parabench.prompts.initialisers import first_vocabulary
from parabench.prompts.rendering import render
from parabench.prompts.templates import paraphrase_template
from parabench.training.config import TrainingConfig
from tests.support import tiny
from tests.support.prompts import embedding_width, tune_prompt

PAIRS = [
    ("The rain stopped.", "It stopped."),
    ("Nobody knew why.", "No one knew."),
    ("The dog walks.", "A walk."),
]


@pytest.fixture(scope="module", params=["opt", "opt350"])
def folder(request, tmp_path_factory):
    return tiny.CAUSAL[request.param](tmp_path_factory.mktemp(request.param))


def test_a_step_changes_the_prompt_and_nothing_else(folder):
    model, tokenizer = load_causal(locate(str(folder)), Runtime())
    config = TrainingConfig(steps=2, learning_rate=0.1)
    prompt = tune_prompt(model, tokenizer, PAIRS, 4, first_vocabulary(), config)
    stored = load_file(folder / "model.safetensors")
    state = model.state_dict()
    assert set(stored) <= set(state)
    assert all(torch.equal(state[name], weight) for name, weight in stored.items())
    assert not torch.equal(
        prompt.embedding, first_vocabulary()(stored["model.decoder.embed_tokens.weight"], 4)
    )
    assert (prompt.embedding != stored["model.decoder.embed_tokens.weight"][:4]).any(dim=1).all()
    assert [name for name, weight in model.named_parameters() if weight.grad is not None] == []


def test_a_prompt_of_length_0_leaves_logits_unchanged(folder):
    model, tokenizer = load_causal(locate(str(folder)), Runtime())
    row = render(paraphrase_template(0), {"source": PAIRS[0][0]}, tokenizer, 64)
    plain = tokenizer(PAIRS[0][0] + "\n", return_tensors="pt")
    with torch.no_grad():
        expected = model(**plain).logits
        found = model(
            inputs_embeds=embed(
                model, [PromptIds(row.ids, torch.zeros(0, embedding_width(model)))]
            )[None]
        ).logits
    assert torch.equal(found, expected)
