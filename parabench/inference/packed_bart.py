"""BART over packed sequences: the sources of a batch end to end, then the targets, no padding.

Targets of one source that begin alike share the states of their beginning: a table of systems,
which often copy the source or say the same, has a third fewer tokens so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from parabench.contracts import UserError
from parabench.inference.attention import KeysValues, Queries, block_diagonal, spans, use_plan
from parabench.inference.prefix_trie import PrefixTrie, prefix_trie

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
    tokens = [token for source in sources for token in source]
    positions = [position for source in sources for position in range(len(source))]
    with use_plan(model), _positions(encoder, positions):
        flat = torch.tensor([tokens], device=model.device)
        return encoder(input_ids=flat, plan=attend).last_hidden_state[0]


def packed_bart(
    model: PreTrainedModel, pairs: Sequence[SourceTarget], states: SourceStates
) -> tuple[Float[Tensor, "N H"], list[int], list[int]]:
    """Return N hidden states of the decoder, and for each target token its state and its id.

    Target tokens of ``pairs`` lie end to end; those that stand behind the same source and the same
    tokens have one state. ``states`` encodes the sources, of which several pairs may share one.
    Raises UserError for other architectures than BART, whose positions and shifted targets are made
    otherwise.
    """
    if model.config.model_type != "bart":
        raise UserError(f"score with the architecture {model.config.model_type}", choices=("bart",))
    # teacher forcing: each target shifted right, behind the model's start token
    start = model.config.decoder_start_token_id
    shifted = [(start, *target[:-1]) for _, target in pairs]
    trie = prefix_trie([source for source, _ in pairs], shifted)
    # each source once, in the order of its first pair, as in the trie
    sources = list(dict.fromkeys(source for source, _ in pairs))
    plan = _DecoderPlan(sources, trie, model.device)
    encoded = states.read(sources)
    decoder = model.get_decoder()
    with use_plan(model), _positions(decoder, trie.positions):
        hidden = decoder(
            input_ids=torch.tensor([trie.tokens], device=model.device),
            encoder_hidden_states=encoded[None],
            use_cache=False,
            plan=plan,
        ).last_hidden_state
    places = [node for path in trie.paths for node in path]
    labels = [token for _, target in pairs for token in target]
    return hidden[0], places, labels  # a batch of one: all states lie end to end in it


class _DecoderPlan:
    """Attention of the nodes of a trie to those on their paths, and to their source."""

    def __init__(
        self, sources: Sequence[Sequence[int]], trie: PrefixTrie, device: torch.device
    ) -> None:
        source = spans([len(ids) for ids in sources])
        self.decoder = block_diagonal(
            trie.paths,
            [[path] for path in trie.paths],
            True,
            device,
        )
        self.cross = block_diagonal(
            trie.of_contexts,
            [[span] for span in source],
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
def _positions(stack: Any, positions: Sequence[int]) -> Iterator[None]:
    """Give the position embeddings of an encoder or decoder each token's position in its own row.

    By a hook, for BART itself takes no ``position_ids``.
    """
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
