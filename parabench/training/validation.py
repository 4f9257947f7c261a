"""What a training is judged by: the loss on held-out pairs, answer tokens alone, and texts
generated from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import torch

from parabench.contracts import Decoding, Example, Runtime, Scorer, UserError
from parabench.data.filters import TextPair
from parabench.inference.continuous_batching import Completion
from parabench.inference.decoding import decode_causal, decode_seq2seq
from parabench.inference.prompt_ids import PromptIds as Prompt
from parabench.prompts import encoders
from parabench.prompts.rendering import render
from parabench.prompts.table import split_prompts
from parabench.prompts.templates import Template
from parabench.training.losses import target_tokens
from parabench.training.objectives import Objective
from parabench.training.ranks import SINGLE_PROCESS, Ranks
from parabench.training.setup import TrainingSetup


def mean_loss(
    objective: Objective, pairs: Sequence[Any], rows: int = 16, ranks: Ranks = SINGLE_PROCESS
) -> float:
    """Nats per target token over all pairs, without dropout; the pairs are dealt out to the
    processes.
    """
    encoded = [
        row
        for row in objective.encode(pairs)
        if len(row.source) + len(row.target) <= objective.max_length
    ]
    encoded.sort(key=lambda row: len(row.source) + len(row.target))
    if not encoded:
        raise UserError(
            "validate",
            "no held-out pair fits the model",
            mend="give other --data or a longer model",
        )
    groups = [encoded[start : start + rows] for start in range(0, len(encoded), rows)]
    training, total = objective.module.training, 0.0
    objective.module.eval()
    with torch.no_grad():
        for group in ranks.share(groups):
            total += objective.loss(group).item() * target_tokens(group)
    objective.module.train(training)
    return ranks.sum(total)[0] / target_tokens(encoded)


def validation_examples(pairs: Sequence[TextPair], count: int) -> list[Example]:
    """The first ``count`` sources with all their targets as references."""
    grouped: dict[str, list[str]] = {}
    for source, target in pairs:
        grouped.setdefault(source, []).append(target)
    return [
        Example(str(number), source, tuple(grouped[source]))
        for number, source in enumerate(islice(grouped, count))
    ]


def score_texts(
    judge: Scorer, examples: Sequence[Example], texts: Sequence[str]
) -> dict[str, float]:
    """A scorer's columns over generated texts."""
    values = judge.combine(judge.measure(examples, texts))
    return {column.name: float(value) for column, value in zip(judge.columns, values, strict=True)}


def generate_texts(
    setup: TrainingSetup,
    template: Template,
    sources: Sequence[str],
    decoding: Decoding,
    runtime: Runtime,
) -> list[str]:
    """What the setup as it stands writes for one of its tasks, one text for each source."""
    model, tokenizer, texts = setup.model, setup.tokenizer, [""] * len(sources)
    training = model.training
    model.eval()
    with torch.no_grad():
        for batch in _decode(setup, template, sources, decoding, runtime):
            for done in batch:
                texts[done.position] = str(
                    tokenizer.decode(list(done.ids), skip_special_tokens=True)
                ).strip()
    model.train(training)
    return texts


def _decode(
    setup: TrainingSetup,
    template: Template,
    sources: Sequence[str],
    decoding: Decoding,
    runtime: Runtime,
) -> Iterator[list[Completion]]:
    model, tokenizer = setup.model, setup.tokenizer
    positions: int = model.config.max_position_embeddings
    if setup.kind.base == "seq2seq":
        ids = tokenizer(list(sources), truncation=True, max_length=positions).input_ids
        return decode_seq2seq(model, [tuple(row) for row in ids], decoding, runtime)
    virtual = None
    if setup.kind.length:
        virtual = split_prompts(encoders.evaluate_prompt(setup.objective.module), setup.templates)[
            template.taskname
        ]
    room = positions - decoding.max_new_tokens
    rows = [
        Prompt(render(template, {"source": text}, tokenizer, room).ids, virtual) for text in sources
    ]
    stops = {tokenizer.eos_token_id, *tokenizer.encode("\n", add_special_tokens=False)}
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    return decode_causal(model, rows, decoding, runtime, stops, pad)
