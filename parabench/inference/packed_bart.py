"""BART on packed sequences: every source of a batch end to end, then every target, padding computed
nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from parabench.contracts import UserError
from parabench.inference.attention import Flat, block_diagonal, spans, use_plan

SourceTarget = tuple[tuple[int, ...], tuple[int, ...]]


def packed_bart(
    model: PreTrainedModel, pairs: Sequence[SourceTarget]
) -> tuple[Float[Tensor, "T H"], list[int]]:
    """The decoder's states that predict each target token, and those tokens, targets end to end.

    A source that several pairs share is encoded once. Raises UserError for other architectures,
    whose positions and shifted targets are made otherwise.
    """
    if model.config.model_type != "bart":
        raise UserError(f"score with the architecture {model.config.model_type}", choices=("bart",))
    sources = list(dict.fromkeys(source for source, _ in pairs))
    places = {source: place for place, source in enumerate(sources)}
    targets = [target for _, target in pairs]
    shifted = [(model.config.decoder_start_token_id, *target[:-1]) for target in targets]
    plan = _BartPlan(sources, [places[source] for source, _ in pairs], targets, model.device)
    encoder, decoder = model.get_encoder(), model.get_decoder()
    with use_plan(model):
        with _positions(encoder, sources):
            encoded = encoder(input_ids=_flat(sources, model.device), plan=plan).last_hidden_state
        with _positions(decoder, shifted):
            ids = _flat(shifted, model.device)
            hidden = decoder(
                input_ids=ids, encoder_hidden_states=encoded, use_cache=False, plan=plan
            ).last_hidden_state
    return hidden[0], [token for target in targets for token in target]


class _BartPlan:
    """Sources attend to themselves, targets causally to themselves, and each target to its own
    source.
    """

    def __init__(
        self,
        sources: Sequence[Sequence[int]],
        owners: Sequence[int],
        targets: Sequence[Sequence[int]],
        device: Any,
    ) -> None:
        source, target = spans([len(ids) for ids in sources]), spans([len(ids) for ids in targets])
        self.encoder = block_diagonal(source, [[span] for span in source], False, device)
        self.decoder = block_diagonal(target, [[span] for span in target], True, device)
        self.cross = block_diagonal(target, [[source[owner]] for owner in owners], False, device)

    def __call__(
        self, module: Any, query: Flat, key: Flat, value: Flat, scaling: float | None
    ) -> Flat:
        own = self.decoder if module.is_causal else self.cross
        return (own if module.is_decoder else self.encoder).attend(query, key, value, scaling)


@contextmanager
def _positions(stack: Any, rows: Sequence[Sequence[int]]) -> Iterator[None]:
    """Hand the position embeddings each token's place in its own row; BART takes no
    ``position_ids`` itself.
    """
    places = torch.tensor([place for row in rows for place in range(len(row))], device=stack.device)

    def insert(_: Any, arguments: Any, settings: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return arguments, {**settings, "position_ids": places}

    hook = stack.embed_positions.register_forward_pre_hook(insert, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


def _flat(rows: Sequence[Sequence[int]], device: torch.device) -> Int[Tensor, "1 T"]:
    return torch.tensor([[token for row in rows for token in row]], device=device)
