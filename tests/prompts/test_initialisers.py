"""Every initialiser against plain indexing of the vocabulary matrix."""

import pytest
import torch

from parabench.contracts import UserError
from parabench.prompts.initialisers import (
    class_labels,
    from_text,
    parse_initialiser,
    sampled_vocabulary,
)
from parabench.prompts.soft import SoftPrompt
from tests.support.prompts import embedding_width
from tests.support.tiny import tokenizer as tiny_tokenizer

VOCABULARY = torch.randn(384, 16, generator=torch.Generator().manual_seed(1))
TOKENIZER = tiny_tokenizer("</s> $A")


def test_first_vocabulary():
    assert torch.equal(parse_initialiser("vocabulary", TOKENIZER, 0)(VOCABULARY, 5), VOCABULARY[:5])


def test_sampled_vocabulary_draws_distinct_frequent_rows():
    drawn = sampled_vocabulary(3, most_frequent=50)(VOCABULARY, 50)
    assert {tuple(row) for row in drawn.tolist()} == {
        tuple(row) for row in VOCABULARY[:50].tolist()
    }
    assert torch.equal(drawn, sampled_vocabulary(3, most_frequent=50)(VOCABULARY, 50))
    assert not torch.equal(drawn, sampled_vocabulary(4, most_frequent=50)(VOCABULARY, 50))


@pytest.mark.parametrize(
    ("length", "expected"), [(2, [9, 8]), (3, [9, 8, 7]), (7, [9, 8, 7, 9, 8, 7, 9]), (0, [])]
)
def test_text_is_tiled_as_a_whole_or_cut(length, expected):
    assert torch.equal(from_text([9, 8, 7])(VOCABULARY, length), VOCABULARY[expected])


def test_text_has_no_special_tokens():
    first = parse_initialiser("text:The committee", TOKENIZER, 0)(VOCABULARY, 1)
    assert torch.equal(
        first[0], VOCABULARY[TOKENIZER("The", add_special_tokens=False).input_ids[0]]
    )


def test_class_labels_are_means_and_the_rest_is_drawn():
    prompt = class_labels([[5], [6, 7]], seed=0)(VOCABULARY, 4)
    assert torch.equal(prompt[0], VOCABULARY[5])
    assert torch.allclose(prompt[1], (VOCABULARY[6] + VOCABULARY[7]) / 2)
    assert all((row == VOCABULARY).all(dim=1).any() for row in prompt[2:])
    assert len(class_labels([[5], [6]], seed=0)(VOCABULARY, 1)) == 1


def test_uniform_stays_in_its_range():
    prompt = parse_initialiser("uniform:0.25,0.5", TOKENIZER, 0)(VOCABULARY, 40)
    assert prompt.shape == (40, 16)
    assert 0.25 <= prompt.min() < 0.27 < 0.48 < prompt.max() < 0.5


def test_xavier_has_glorots_deviation():
    prompt = parse_initialiser("xavier", TOKENIZER, 0)(torch.zeros(10, 400), 200)
    assert prompt.std().item() == pytest.approx((2 / 600) ** 0.5, rel=0.02)


@pytest.mark.parametrize(
    "name", ["text:", "labels:", "nothing", "uniform:1", "sampled:x", "labels:a,,b"]
)
def test_what_cannot_be_parsed_is_refused(name):
    with pytest.raises(UserError):
        parse_initialiser(name, TOKENIZER, 0)


def test_more_rows_than_the_vocabulary_has_are_refused():
    for name in ("vocabulary", "sampled"):
        with pytest.raises(UserError, match="384 rows"):
            parse_initialiser(name, TOKENIZER, 0)(VOCABULARY, 385)


def test_a_soft_prompt_is_one_float32_parameter_and_may_be_empty():
    prompt = SoftPrompt(VOCABULARY[:3].double())
    assert [(name, tuple(p.shape), p.dtype) for name, p in prompt.named_parameters()] == [
        ("embedding", (3, 16), torch.float32)
    ]
    assert SoftPrompt(VOCABULARY[:0])().shape == (0, 16)


def test_dropout_acts_in_training_only():
    prompt = SoftPrompt(torch.ones(50, 16), dropout=0.5)
    assert (prompt() == 0).any()
    assert torch.equal(prompt.eval()(), torch.ones(50, 16))


def test_embedding_width_is_not_the_hidden_size():
    from transformers import OPTConfig, OPTForCausalLM

    config = OPTConfig(
        vocab_size=20,
        hidden_size=16,
        word_embed_proj_dim=8,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    assert embedding_width(OPTForCausalLM(config)) == 8
