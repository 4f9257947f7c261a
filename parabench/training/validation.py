"""What a training is judged by: the loss on held-out pairs, answer tokens alone, and texts
generated from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import torch

from parabench.contracts import Decoding, Example, Runtime, Scorer, UserError
from parabench.inference.continuous_batching import Completion
from parabench.inference.decoding import decode_causal, decode_seq2seq
from parabench.inference.prompt_ids import PromptIds as Prompt
from parabench.prompts import encoders
from parabench.prompts.rendering import render
from parabench.prompts.table import split_prompts
from parabench.prompts.templates import Template
from parabench.training.encoding import Pair
from parabench.training.kinds import Learner
from parabench.training.ranks import ALONE, Ranks
from parabench.training.steps import target_tokens
from parabench.training.trainees import Trainee


def mean_loss(
    trainee: Trainee, pairs: Sequence[Any], rows: int = 16, ranks: Ranks = ALONE
) -> float:
    """Nats per target token over all pairs, without dropout; the pairs are dealt out to the
    processes.
    """
    encoded = [
        row for row in trainee.encode(pairs) if len(row.source) + len(row.target) <= trainee.room
    ]
    encoded.sort(key=lambda row: len(row.source) + len(row.target))
    if not encoded:
        raise UserError(
            "validate",
            "no held-out pair fits the model",
            mend="give other --data or a longer model",
        )
    groups = [encoded[start : start + rows] for start in range(0, len(encoded), rows)]
    training, total = trainee.module.training, 0.0
    trainee.module.eval()
    with torch.no_grad():
        for group in ranks.share(groups):
            total += trainee.loss(group).item() * target_tokens(group)
    trainee.module.train(training)
    return ranks.sum(total)[0] / target_tokens(encoded)


def examples(pairs: Sequence[Pair], count: int) -> list[Example]:
    """The first ``count`` sources with all their targets as references."""
    grouped: dict[str, list[str]] = {}
    for source, target in pairs:
        grouped.setdefault(source, []).append(target)
    return [
        Example(str(number), source, tuple(grouped[source]))
        for number, source in enumerate(islice(grouped, count))
    ]


def scores(judge: Scorer, examples: Sequence[Example], texts: Sequence[str]) -> dict[str, float]:
    """A scorer's columns over generated texts."""
    values = judge.combine(judge.measure(examples, texts))
    return {column.name: float(value) for column, value in zip(judge.columns, values, strict=True)}


def generate(
    learner: Learner,
    template: Template,
    sources: Sequence[str],
    decoding: Decoding,
    runtime: Runtime,
) -> list[str]:
    """What the learner as it stands writes for one of its tasks, one text for each source."""
    model, tokenizer, texts = learner.model, learner.tokenizer, [""] * len(sources)
    training = model.training
    model.eval()
    with torch.no_grad():
        for batch in _decode(learner, template, sources, decoding, runtime):
            for done in batch:
                texts[done.position] = str(
                    tokenizer.decode(list(done.ids), skip_special_tokens=True)
                ).strip()
    model.train(training)
    return texts


def _decode(
    learner: Learner,
    template: Template,
    sources: Sequence[str],
    decoding: Decoding,
    runtime: Runtime,
) -> Iterator[list[Completion]]:
    model, tokenizer = learner.model, learner.tokenizer
    positions: int = model.config.max_position_embeddings
    if learner.kind.base == "seq2seq":
        ids = tokenizer(list(sources), truncation=True, max_length=positions).input_ids
        return decode_seq2seq(model, [tuple(row) for row in ids], decoding, runtime)
    virtual = None
    if learner.kind.length:
        virtual = split_prompts(
            encoders.evaluate_prompt(learner.trainee.module), learner.templates
        )[template.taskname]
    room = positions - decoding.max_new_tokens
    rows = [
        Prompt(render(template, {"source": text}, tokenizer, room).ids, virtual) for text in sources
    ]
    stops = {tokenizer.eos_token_id, *tokenizer.encode("\n", add_special_tokens=False)}
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    return decode_causal(model, rows, decoding, runtime, stops, pad)
