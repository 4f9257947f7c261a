"""BART over packed sequences: the sources of a batch end to end, then the targets, no padding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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


class SourceStates:
    """What BART's encoder makes of sources, each encoded once.

    ``sources``: distinct token ids, in the order in which batches will ask for them; one of a batch
    may be asked for again by the next batch, and none that came before. So many are encoded
    together as have ``budget`` tokens, or those of one batch where it has more.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        sources: Sequence[tuple[int, ...]],
        budget: Callable[[], int],
    ) -> None:
        self.model = model
        self.sources = sources
        self.budget = budget
        self.places = {source: place for place, source in enumerate(sources)}
        self.held: dict[tuple[int, ...], Float[Tensor, "_ H"]] = {}

    def read(self, wanted: Sequence[tuple[int, ...]]) -> Float[Tensor, "S H"]:
        """Return the states of the ``wanted`` sources, end to end."""
        missing = [source for source in wanted if source not in self.held]
        if missing:
            # those of earlier batches are not asked for any more
            self.held = {source: self.held[source] for source in wanted if source in self.held}
            together = self._next(missing)
            states = encode_sources(self.model, together)
            for source, span in zip(together, spans([len(ids) for ids in together]), strict=True):
                self.held[source] = states[span.start : span.stop]
        return torch.cat([self.held[source] for source in wanted])

    def _next(self, missing: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """The missing sources, and as many behind them as the budget has room for."""
        together = list(missing)
        tokens = sum(map(len, missing))
        budget = self.budget()
        for place in range(self.places[missing[-1]] + 1, len(self.sources)):
            source = self.sources[place]
            tokens += len(source)
            if tokens > budget:
                break
            together.append(source)
        return together


def encode_sources(
    model: PreTrainedModel, sources: Sequence[tuple[int, ...]]
) -> Float[Tensor, "S H"]:
    """Return the encoder's states of sources, end to end without padding."""
    own = spans([len(ids) for ids in sources])
    groups = block_diagonal(
        own,
        [[span] for span in own],
        False,
        model.device,
    )

    def attend(_: Any, *states: Any) -> Queries:
        return groups.attend(*states)

    encoder = model.get_encoder()
    with use_plan(model), _positions(encoder, sources):
        flat = _flat(sources, model.device)
        return encoder(input_ids=flat, plan=attend).last_hidden_state[0]


def packed_bart(
    model: PreTrainedModel, pairs: Sequence[SourceTarget], states: SourceStates
) -> tuple[Float[Tensor, "T H"], list[int]]:
    """Return the decoder's hidden states that predict each target token, and those T tokens.

    Targets of ``pairs`` lie end to end. ``states`` encodes their sources, of which several pairs
    may share one. Raises UserError for other architectures than BART, whose positions and shifted
    targets are made otherwise.
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
    plan = _DecoderPlan(
        sources,
        sources_of_targets,
        targets,
        model.device,
    )
    encoded = states.read(sources)
    decoder = model.get_decoder()
    with use_plan(model), _positions(decoder, shifted):
        hidden = decoder(
            input_ids=_flat(shifted, model.device),
            encoder_hidden_states=encoded[None],
            use_cache=False,
            plan=plan,
        ).last_hidden_state
    flat_targets = [token for target in targets for token in target]
    return hidden[0], flat_targets  # a batch of one: the rows lie end to end in it


class _DecoderPlan:
    """Attention of targets to themselves causally, and to their source.

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
