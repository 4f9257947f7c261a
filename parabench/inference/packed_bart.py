"""BART over packed sequences: the sources of a batch end to end, then the targets, no padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from parabench.contracts import UserError
from parabench.inference.attention import KeysValues, Queries, block_diagonal, spans, use_plan

SourceTarget = tuple[tuple[int, ...], tuple[int, ...]]
"""Token ids of a source, and of one of its targets."""


def packed_bart(
    model: PreTrainedModel, pairs: Sequence[SourceTarget]
) -> tuple[Float[Tensor, "T H"], list[int]]:
    """The decoder's hidden states that predict each target token, and those T tokens.

    Targets lie end to end. A source that several pairs share is encoded once. Raises UserError for
    other architectures than BART, whose positions and shifted targets are made otherwise.
    """
    if model.config.model_type != "bart":
        raise UserError(f"score with the architecture {model.config.model_type}", choices=("bart",))
    # each source once, in the order of its first pair
    sources = list(dict.fromkeys(source for source, _ in pairs))
    source_index = {source: index for index, source in enumerate(sources)}
    sources_of_targets = [source_index[source] for source, _ in pairs]
    targets = [target for _, target in pairs]
    # teacher forcing: each target shifted right, behind the model's start token
    start = model.config.decoder_start_token_id
    shifted = [(start, *target[:-1]) for target in targets]
    plan = _BartPlan(
        sources,
        sources_of_targets,
        targets,
        model.device,
    )
    encoder, decoder = model.get_encoder(), model.get_decoder()
    with use_plan(model):
        with _positions(encoder, sources):
            encoded = encoder(input_ids=_flat(sources, model.device), plan=plan).last_hidden_state
        with _positions(decoder, shifted):
            hidden = decoder(
                input_ids=_flat(shifted, model.device),
                encoder_hidden_states=encoded,
                use_cache=False,
                plan=plan,
            ).last_hidden_state
    flat_targets = [token for target in targets for token in target]
    return hidden[0], flat_targets  # a batch of one: the rows lie end to end in it


class _BartPlan:
    """Attention of sources to themselves, of targets to themselves causally and to their source.

    ``source_index[i]`` is the source of target i.
    """

    def __init__(
        self,
        sources: Sequence[Sequence[int]],
        source_index: Sequence[int],
        targets: Sequence[Sequence[int]],
        device: Any,
    ) -> None:
        source = spans([len(ids) for ids in sources])
        target = spans([len(ids) for ids in targets])
        own_source = [[source[index]] for index in source_index]
        self.encoder = block_diagonal(
            source,
            [[span] for span in source],
            False,
            device,
        )
        self.decoder = block_diagonal(
            target,
            [[span] for span in target],
            True,
            device,
        )
        self.cross = block_diagonal(
            target,
            own_source,
            False,
            device,
        )

    def __call__(
        self,
        module: Any,
        query: Queries,
        key: KeysValues,
        value: KeysValues,
        scaling: float | None,
    ) -> Queries:
        """See ``AttentionPlan``."""
        # BART's decoder has two attentions a layer, of which only the one to itself is causal
        if not module.is_decoder:
            groups = self.encoder
        else:
            groups = self.decoder if module.is_causal else self.cross
        return groups.attend(
            query,
            key,
            value,
            scaling,
        )


@contextmanager
def _positions(stack: Any, rows: Sequence[Sequence[int]]) -> Iterator[None]:
    """Give the position embeddings of an encoder or decoder each token's position in its own row.

    By a hook, for BART itself takes no ``position_ids``.
    """
    positions = [position for row in rows for position in range(len(row))]
    position_ids = torch.tensor(positions, device=stack.device)

    def insert(
        _: Any,
        arguments: Any,
        settings: dict[str, Any],
    ) -> tuple[Any, dict[str, Any]]:
        return arguments, {**settings, "position_ids": position_ids}

    hook = stack.embed_positions.register_forward_pre_hook(insert, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


def _flat(rows: Sequence[Sequence[int]], device: torch.device) -> Int[Tensor, "1 T"]:
    return torch.tensor([[token for row in rows for token in row]], device=device)
