"""What is read out of a prompt, against rows whose neighbours are known by construction."""

import pytest
import torch

from parabench.explore.nearest import describe_adapter, nearest_tokens
from parabench.prompts import adapters
from parabench.prompts.adapters import Adapter
from parabench.prompts.facts import AdapterFacts, BaseIdentity
from parabench.prompts.templates import paraphrase_template
from tests.support.tiny import tokenizer as tiny_tokenizer

TOKENIZER = tiny_tokenizer()
VOCABULARY = torch.randn(384, 32, generator=torch.Generator().manual_seed(0))
PROMPT = torch.stack([VOCABULARY[300], VOCABULARY[301] * 3, VOCABULARY[301] * 3.1, torch.zeros(32)])
FACTS = AdapterFacts(
    paraphrase_template(4), BaseIdentity("toy", 32, 384, 1, 1), loss=((1, 3.0), (20, 2.5)), seed=4
)


def adapter(**state):
    return Adapter(PROMPT, FACTS, "d" * 64, state)


def token(identifier):
    return TOKENIZER.convert_ids_to_tokens(identifier)


def test_a_copied_row_is_nearest_to_its_token():
    first = nearest_tokens(adapter(), VOCABULARY, TOKENIZER)[0]
    assert first.cosine[0] == (token(300), pytest.approx(1.0, abs=1e-6))
    assert first.euclidean[0] == (token(300), 0.0)
    assert [value for _, value in first.euclidean] == sorted(value for _, value in first.euclidean)


def test_cosine_ignores_length_and_distance_does_not():
    second = nearest_tokens(adapter(), VOCABULARY, TOKENIZER, nearest=3)[1]
    assert second.cosine[0].token == token(301)
    distances = torch.cdist(PROMPT[1:2].double(), VOCABULARY.double())[0]
    assert [name for name, _ in second.euclidean] == [
        token(i) for i in distances.topk(3, largest=False).indices.tolist()
    ]
    assert second.relative_norm == pytest.approx(
        3 * VOCABULARY[301].norm().item() / VOCABULARY.norm(dim=1).mean().item()
    )


def test_near_duplicates_are_found_in_pairs():
    assert [
        position.near_duplicate for position in nearest_tokens(adapter(), VOCABULARY, TOKENIZER)
    ] == [
        None,
        2,
        1,
        None,
    ]


def test_distance_from_the_start_where_it_was_kept():
    initial = PROMPT.clone()
    initial[3, :2] = torch.tensor([3.0, 4.0])
    moved = [
        position.distance_from_init
        for position in nearest_tokens(adapter(initial=initial), VOCABULARY, TOKENIZER)
    ]
    assert moved == [0.0, 0.0, 0.0, 5.0]
    assert nearest_tokens(adapter(), VOCABULARY, TOKENIZER)[0].distance_from_init is None


@pytest.mark.parametrize("length", [0, 1])
def test_short_prompts_can_be_read(length):
    one = Adapter(PROMPT[:length], FACTS, "d")
    assert len(nearest_tokens(one, VOCABULARY, TOKENIZER)) == length


def test_facts_are_told(tmp_path):
    told = dict(describe_adapter(adapters.save_adapter(tmp_path, PROMPT, FACTS)))
    assert told["loss"] == "3.0000 to 2.5000 in 20 steps"
    assert told["splits"] == "4"
    assert (told["seed"], told["origin"]) == ("4", "trained here")
