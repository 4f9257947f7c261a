"""Prompt encoders against numpy, written from Hochreiter and Schmidhuber's equations and NeMo's
structures.
"""

import numpy as np
import pytest
import torch

from parabench.contracts import UserError
from parabench.prompts import encoders
from parabench.prompts.encoders import EncoderConfig, PromptEncoder
from tests.support.tiny import tokenizer as tiny_tokenizer

WIDTH = 12


def numbers(encoder):
    return {name: value.detach().double().numpy() for name, value in encoder.state_dict().items()}


def linear(state, name, rows):
    return rows @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(state, rows, layer, suffix):
    """One direction of one layer; gates in the order input, forget, cell, output."""
    names = [
        f"lstm_head.{part}_l{layer}{suffix}"
        for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    ]
    w_ih, w_hh, b_ih, b_hh = (state[name] for name in names)
    hidden = cell = np.zeros(w_hh.shape[1])
    outputs = []
    for row in rows:
        i, f, g, o = np.split(w_ih @ row + b_ih + w_hh @ hidden + b_hh, 4)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        hidden = sigmoid(o) * np.tanh(cell)
        outputs.append(hidden)
    return np.array(outputs)


def reference(kind, state, rows, layers):
    if kind == "lstm":
        for layer in range(layers):
            back = lstm(state, rows[::-1], layer, "_reverse")[::-1]
            rows = np.concatenate([lstm(state, rows, layer, ""), back], axis=1)
        return linear(state, "mlp_head.2", np.maximum(linear(state, "mlp_head.0", rows), 0))
    if kind == "tpmlp":
        x = linear(state, "mlp_head.0", rows)
        return linear(
            state, "mlp_head.2", 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
        )
    for layer in range(layers - 1):
        rows = np.maximum(linear(state, f"mlp_head.{2 * layer}", rows), 0)
    return linear(state, f"mlp_head.{2 * (layers - 1)}", rows)


@pytest.mark.parametrize(
    "config",
    [
        EncoderConfig("lstm", 6),
        EncoderConfig("lstm", 5, 1),
        EncoderConfig("mlp", 6),
        EncoderConfig("mlp", 7, 4),
        EncoderConfig("tpmlp", 9),
    ],
    ids=str,
)
@pytest.mark.parametrize("names", [(), (2, 1)])
def test_output_is_numpys(config, names):
    torch.manual_seed(0)
    conditions = [torch.randn(length, WIDTH) for length in names]
    lengths = [4, 3] if names else [4]
    encoder = PromptEncoder(config, WIDTH, lengths, conditions)
    state = numbers(encoder)
    expected = []
    for task, length in enumerate(lengths):
        rows = state["embedding.weight"][:length].copy()
        if names:
            rows[: names[task]] = conditions[task].numpy()
        expected.append(reference(config.kind, state, rows, config.layers))
    np.testing.assert_allclose(
        encoders.evaluate_prompt(encoder).numpy(), np.concatenate(expected), atol=2e-6
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "lstm",
            {
                "embedding": (20, 64),
                "lstm_head.weight_ih_l0": (128, 64),
                "lstm_head.weight_ih_l1": (128, 64),
                "mlp_head.0": (64, 64),
                "mlp_head.2": (64, 64),
            },
        ),
        ("mlp", {"embedding": (20, 64), "mlp_head.0": (32, 64), "mlp_head.2": (64, 32)}),
        ("tpmlp", {"embedding": (20, 64), "mlp_head.0": (2048, 64), "mlp_head.2": (64, 2048)}),
        (
            "peft-lstm",
            {
                "embedding": (20, 64),
                "lstm_head.weight_ih_l0": (256, 64),
                "mlp_head.0": (128, 128),
                "mlp_head.2": (64, 128),
            },
        ),
        (
            "peft-mlp",
            {
                "embedding": (20, 64),
                "mlp_head.0": (64, 64),
                "mlp_head.2": (64, 64),
                "mlp_head.4": (64, 64),
            },
        ),
    ],
)
def test_defaults_have_the_shapes_of_nemo_and_peft(name, expected):
    shapes = {
        key: tuple(p.shape)
        for key, p in PromptEncoder(encoders.encoder_config(name, 64), 64, [20]).named_parameters()
    }
    assert {key: shapes.get(key, shapes.get(f"{key}.weight")) for key in expected} == expected
    if name == "tpmlp":
        weight = PromptEncoder(encoders.encoder_config(name, 64), 64, [20]).mlp_head[0].weight
        assert weight.std().item() == pytest.approx(0.023, rel=0.02)


def test_tasks_share_the_encoder_and_differ_by_their_names():
    torch.manual_seed(0)
    tokenizer, vocabulary = tiny_tokenizer(), torch.randn(384, WIDTH)
    conditions = encoders.name_conditions(["sentiment", "qa"], tokenizer, vocabulary)
    lengths = [len(conditions[0]) + 3, len(conditions[1]) + 1]
    encoder = PromptEncoder(EncoderConfig("lstm", 6), WIDTH, lengths, conditions)
    assert encoder().shape == (sum(lengths), WIDTH)
    alone = PromptEncoder(EncoderConfig("lstm", 6), WIDTH, lengths[1:], conditions[1:])
    with torch.no_grad():
        alone.embedding.weight.copy_(encoder.embedding.weight[: lengths[1]])
    alone.lstm_head, alone.mlp_head = encoder.lstm_head, encoder.mlp_head
    torch.testing.assert_close(
        encoder()[lengths[0] :], alone(), msg="a task's prompt depends on the tasks beside it"
    )
    encoder().sum().backward()
    assert encoder.embedding.weight.grad[lengths[0] - 1].abs().sum() > 0
    assert not any("condition" in name for name, _ in encoder.named_parameters())


def test_the_stored_prompt_has_no_dropout_and_leaves_the_mode():
    encoder = PromptEncoder(EncoderConfig("lstm", 6, dropout=0.5), WIDTH, [4])
    assert torch.equal(encoders.evaluate_prompt(encoder), encoders.evaluate_prompt(encoder))
    assert encoder.training
    assert not torch.equal(encoder(), encoder())


@pytest.mark.parametrize("name", encoders.ENCODER_NAMES)
def test_a_restored_encoder_goes_on_exactly(name):
    torch.manual_seed(3)
    conditions = [torch.randn(2, WIDTH), torch.randn(1, WIDTH)]
    encoder = PromptEncoder(encoders.encoder_config(name, WIDTH), WIDTH, [5, 3], conditions)
    again = encoders.restore_encoder(*encoders.encoder_state(encoder))
    for one in (encoder, again):
        optimiser = torch.optim.SGD(one.parameters(), lr=0.1)
        one().square().sum().backward()
        optimiser.step()
    assert torch.equal(encoders.evaluate_prompt(encoder), encoders.evaluate_prompt(again))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: encoders.encoder_config("gru", 8), "no such encoder"),
        (lambda: PromptEncoder(EncoderConfig("mlp", 4, layers=1), 8, [4]), "1 layers"),
        (lambda: PromptEncoder(EncoderConfig("mlp", 4), 8, [0]), "prompt lengths"),
        (
            lambda: PromptEncoder(
                EncoderConfig("mlp", 4), 8, [3, 3], [torch.zeros(3, 8), torch.zeros(4, 8)]
            ),
            "names agree in their first 3 tokens",
        ),
        (lambda: encoders.restore_encoder({}, {}), "keeps no encoder"),
    ],
)
def test_what_cannot_be_built_is_refused(build, message):
    with pytest.raises(UserError, match=message):
        build()


@pytest.mark.parametrize("kind", ["lstm", "mlp", "tpmlp"])
def test_a_name_longer_than_the_prompt_trains_and_is_nemos_input(kind):
    """NeMo v1.10 ``prompt_encoder.py:80-83``: the first min(L, P) input rows are the name's."""
    torch.manual_seed(0)
    names = [torch.randn(5, 8), torch.randn(2, 8)]
    encoder = PromptEncoder(EncoderConfig(kind, 4), 8, [3, 3], names)
    rows = torch.cat([names[0][:3]])
    body = rows if encoder.lstm_head is None else encoder.lstm_head(rows)[0]
    torch.testing.assert_close(encoder()[:3], encoder.mlp_head(body))
    encoder().square().sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in encoder.mlp_head.parameters())
    state = encoders.encoder_state(encoder)
    again = encoders.restore_encoder(*state)
    assert torch.equal(encoders.evaluate_prompt(again), encoders.evaluate_prompt(encoder))
