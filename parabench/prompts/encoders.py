"""P-tuning: a small network writes the soft prompt while it is trained, and its output is what is
kept.

Sources: Liu et al. 2021, section 3.2; NeMo v1.10 to v1.22 ``prompt_encoder.py``; huggingface/peft
``tuners/p_tuning/model.py``. All of their encoders are three structures with different sizes.
Parameters are named as PEFT names them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from parabench.contracts import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

EncoderKind = Literal["lstm", "mlp", "tpmlp"]
ENCODER_NAMES = ("lstm", "mlp", "tpmlp", "peft-lstm", "peft-mlp")
INIT_STD = 0.023


@dataclass(frozen=True)
class EncoderConfig:
    """The structure of a prompt encoder: ``hidden`` is e below, ``layers`` L.

    lstm: bidirectional LSTM of L layers H to 2e, then linear 2e, ReLU, linear H. mlp: L linear
    layers H to e, ..., e to H with ReLU between. tpmlp: linear e, GELU (tanh), linear H, weights
    drawn with deviation 0.023. Only the LSTM has dropout.
    """

    kind: EncoderKind
    hidden: int
    layers: int = 2
    dropout: float = 0.0


def encoder_config(name: str, width: int) -> EncoderConfig:
    """The settings of an encoder by its name, with the defaults of where it comes from.

    ``lstm``, ``mlp`` and ``tpmlp`` are NeMo's, ``peft-lstm`` and ``peft-mlp`` PEFT's; ``width`` is
    that of the embeddings. Raises UserError for another name.
    """
    half = max(width // 2, 1)
    known = {
        "lstm": EncoderConfig("lstm", half),
        "mlp": EncoderConfig("mlp", half),
        "tpmlp": EncoderConfig("tpmlp", 2048),
        "peft-lstm": EncoderConfig("lstm", width),
        "peft-mlp": EncoderConfig("mlp", width, layers=3),
    }
    if name not in known:
        raise UserError(f"use the prompt encoder {name!r}", "no such encoder", ENCODER_NAMES)
    return known[name]


class PromptEncoder(nn.Module):
    """The prompts of one or several tasks, from one encoder; ``forward`` gives them one under the
    other.

    ``conditions`` are the frozen word embeddings of each task's name, ``[L, H]``: they take the
    place of the first L input rows, which are otherwise shared. Of a name of more tokens than its
    prompt has rows, the first count, as in NeMo. The stored prompt is that of ``evaluate_prompt``,
    never a training forward. Raises UserError for a structure that cannot be built, and for two
    tasks that the encoder could not tell apart.
    """

    lengths: Tensor

    def __init__(
        self,
        config: EncoderConfig,
        width: int,
        lengths: Sequence[int],
        conditions: Sequence[Float[Tensor, "_ H"]] = (),
    ) -> None:
        super().__init__()
        _check(config, lengths, conditions)
        self.config = config
        self.register_buffer("lengths", torch.tensor(lengths))
        self.embedding = nn.Embedding(max(lengths), width)
        self.lstm_head = _lstm(config, width) if config.kind == "lstm" else None
        self.mlp_head = _mlp(config, width)
        nothing = torch.empty(0, width)
        given = conditions or [nothing] * len(lengths)
        for task, (condition, length) in enumerate(zip(given, lengths, strict=True)):
            seen = condition[:length].detach().clone()
            # A buffer is stored with the weights, and no optimiser changes it.
            self.register_buffer(f"condition_{task}", seen)

    def forward(self) -> Float[Tensor, "P H"]:
        prompts = []
        for task, length in enumerate(self.lengths.tolist()):
            prompts.append(self._encode(task, length))
        return torch.cat(prompts)

    def _encode(self, task: int, length: int) -> Float[Tensor, "L H"]:
        """One task's prompt: the words of its name, then shared rows, through the network."""
        condition: Tensor = self.get_buffer(f"condition_{task}")
        # Shared rows keep their places: row k is shared row k, whatever stands before it.
        shared = self.embedding.weight[len(condition) : length]
        rows = torch.cat([condition, shared])
        if self.lstm_head is not None:
            rows, _ = self.lstm_head(rows)  # [L, 2e]: both directions
        return self.mlp_head(rows)


def evaluate_prompt(prompt: nn.Module) -> Float[Tensor, "P H"]:
    """The prompt that a module gives in evaluation mode, which is what is stored.

    Without dropout: NeMo stored a random sample of it. The module's mode stays as it was.
    """
    training = prompt.training
    prompt.eval()
    with torch.no_grad():
        rows = prompt()
    prompt.train(training)
    # A plain prompt gives its own parameter, which training goes on to change.
    return rows.clone()


def name_conditions(
    tasknames: Sequence[str], tokenizer: PreTrainedTokenizerBase, vocabulary: Float[Tensor, "V H"]
) -> list[Float[Tensor, "_ H"]]:
    """The word embeddings of each of ``tasknames``, rows of ``vocabulary``.

    Each name is tokenised by itself, where NeMo padded them to the longest of the batch, so that a
    prompt depended on the tasks beside it.
    """
    conditions = []
    for name in tasknames:
        encoded = tokenizer(name, add_special_tokens=False, split_special_tokens=True)
        ids = torch.tensor(encoded.input_ids)
        conditions.append(vocabulary[ids])
    return conditions


def encoder_state(
    encoder: PromptEncoder,
) -> tuple[dict[str, str | int | float | bool], dict[str, Tensor]]:
    """The facts and tensors that ``restore_encoder`` needs, for ``adapters.save_adapter``."""
    tensors = {}
    for name, value in encoder.state_dict().items():
        tensors[f"encoder.{name}"] = value
    return asdict(encoder.config), tensors


def restore_encoder(
    facts: Mapping[str, str | int | float | bool], state: Mapping[str, Tensor]
) -> PromptEncoder:
    """The encoder of a saved adapter with its whole state, to go on training; UserError where none
    was kept.
    """
    tensors = {}
    for name, tensor in state.items():
        if name.startswith("encoder."):
            tensors[name.removeprefix("encoder.")] = tensor
    if not tensors:
        asked = "go on training a prompt encoder"
        raise UserError(asked, "the adapter keeps no encoder", mend="train it again")
    config = EncoderConfig(**facts)  # type: ignore[arg-type]
    lengths = tensors["lengths"].tolist()
    _, width = tensors["embedding.weight"].shape
    conditions = [tensors[f"condition_{task}"] for task in range(len(lengths))]
    encoder = PromptEncoder(config, width, lengths, conditions)
    # The weights drawn above are all replaced.
    encoder.load_state_dict(tensors)
    return encoder


def _lstm(config: EncoderConfig, width: int) -> nn.LSTM:
    return nn.LSTM(
        width,
        config.hidden,
        config.layers,
        dropout=config.dropout,
        bidirectional=True,
        batch_first=True,
    )


def _mlp(config: EncoderConfig, width: int) -> nn.Sequential:
    """The network behind the LSTM, or the whole encoder where there is none.

    The order in which layers are made is the order in which their weights are drawn: it decides
    what a seed gives.
    """
    hidden = config.hidden
    if config.kind == "lstm":
        both = 2 * hidden  # the two directions of the LSTM, side by side
        inner = nn.Linear(both, both)
        outer = nn.Linear(both, width)
        return nn.Sequential(inner, nn.ReLU(), outer)
    if config.kind == "tpmlp":
        first = nn.Linear(width, hidden)
        second = nn.Linear(hidden, width)
        # NeMo draws these two itself; the other structures start as torch's layers do.
        for layer in (first, second):
            nn.init.normal_(layer.weight, std=INIT_STD)
            nn.init.zeros_(layer.bias)
        return nn.Sequential(first, nn.GELU(approximate="tanh"), second)
    between: list[nn.Module] = []
    # The first and the last of the L linear layers stand outside; a ReLU follows all but the last.
    for _ in range(config.layers - 2):
        between.append(nn.Linear(hidden, hidden))
        between.append(nn.ReLU())
    first = nn.Linear(width, hidden)
    last = nn.Linear(hidden, width)
    return nn.Sequential(first, nn.ReLU(), *between, last)


def _check(config: EncoderConfig, lengths: Sequence[int], conditions: Sequence[Tensor]) -> None:
    asked = f"build the prompt encoder {config.kind}"
    structures = ("lstm", "mlp", "tpmlp")
    if config.kind not in structures:
        raise UserError(asked, "no such structure", structures)
    if config.kind == "mlp" and config.layers < 2:
        raise UserError(asked, f"{config.layers} layers", mend="use 2 layers or more")
    if not lengths or min(lengths) < 1:
        raise UserError(asked, f"prompt lengths {list(lengths)}", mend="use lengths of 1 or more")
    if not conditions:
        return
    # Of a name of more tokens than its prompt has rows, the encoder sees the first ones.
    seen = []
    for condition, length in zip(conditions, lengths, strict=True):
        seen.append(condition[:length])
    _check_distinct(asked, seen)


def _check_distinct(asked: str, inputs: Sequence[Float[Tensor, "_ H"]]) -> None:
    """Refuse tasks whose names begin alike for as long as their prompts are.

    From equal inputs the encoder writes equal rows, so that two prompts would be one.
    """
    for one, other in combinations(inputs, 2):
        if torch.equal(one, other):
            found = f"two tasks whose names agree in their first {len(one)} tokens"
            raise UserError(asked, found, mend="rename one, or use more virtual tokens")
