"""Validation of a training: the loss on held-out pairs, and scores of texts generated from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from parabench.contracts import Decoding, Example, Runtime, Scorer, UserError
from parabench.data.filters import TextPair
from parabench.inference.continuous_batching import Completion
from parabench.inference.decoding import decode_causal, decode_seq2seq
from parabench.inference.end_of_text import LINE_BREAK, EndOfText, declared_end_ids, padding_id
from parabench.inference.prompt_ids import PromptIds
from parabench.prompts import encoders
from parabench.prompts.chat import answer_end
from parabench.prompts.rendering import render
from parabench.prompts.table import split_prompts
from parabench.prompts.templates import Template
from parabench.training.losses import row_length, target_tokens
from parabench.training.objectives import Objective
from parabench.training.ranks import NO_OTHERS, Ranks
from parabench.training.setup import TrainingSetup


def mean_loss(
    objective: Objective, pairs: Sequence[Any], rows: int = 16, ranks: Ranks = NO_OTHERS
) -> float:
    """Nats a target token over all ``pairs``, without dropout, ``rows`` of them at a time.

    The pairs are dealt out to the processes of ``ranks``. Pairs that are longer than the model
    reads are left out; raises UserError where that leaves none.
    """
    encoded = [row for row in objective.encode(pairs) if row_length(row) <= objective.max_length]
    # Rows of similar length share a batch, so that little of it is padding.
    encoded.sort(key=row_length)
    if not encoded:
        raise UserError(
            "validate",
            "no held-out pair fits the model",
            mend="give other --data or a longer model",
        )
    groups = [encoded[start : start + rows] for start in range(0, len(encoded), rows)]
    was_training = objective.module.training
    total = 0.0
    objective.module.eval()
    with torch.no_grad():
        for group in ranks.process.share(groups):
            total += objective.loss(group).item() * target_tokens(group)
    objective.module.train(was_training)
    return ranks.sum(total)[0] / target_tokens(encoded)


def validation_examples(pairs: Sequence[TextPair], count: int) -> list[Example]:
    """The first ``count`` sources of ``pairs``, each with all its targets as references."""
    targets: dict[str, list[str]] = {}
    for source, target in pairs:
        targets.setdefault(source, []).append(target)
    examples = []
    for number, source in enumerate(list(targets)[:count]):
        examples.append(Example(str(number), source, tuple(targets[source])))
    return examples


def score_texts(
    scorer: Scorer, examples: Sequence[Example], texts: Sequence[str]
) -> dict[str, float]:
    """The columns of a ``scorer`` over ``texts``, one for each of the ``examples``."""
    values = scorer.combine(scorer.measure(examples, texts))
    names = [column.name for column in scorer.columns]
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def generate_texts(
    setup: TrainingSetup,
    template: Template,
    sources: Sequence[str],
    decoding: Decoding,
    runtime: Runtime,
) -> list[str]:
    """What ``setup`` writes at present for one task's ``sources``, one text for each.

    ``template`` is the task's; ``decoding`` and ``runtime`` are as in a run.
    """
    model = setup.model
    texts = [""] * len(sources)
    # an encoder-decoder's text is whole at its end id, as a chat's is at the end of the turn; a
    # language model goes on to the next line
    whole = setup.kind.base == "seq2seq" or template.chat
    ends = declared_end_ids(model, setup.tokenizer)
    ends |= {answer_end(template, setup.tokenizer)} if template.chat else set()
    end = EndOfText(setup.tokenizer, ends, () if whole else LINE_BREAK)
    was_training = model.training
    model.eval()
    with torch.no_grad():
        for batch in _decode(setup, template, sources, decoding, runtime, end):
            for done in batch:
                texts[done.position] = end.cut(done.ids).text.strip()
    model.train(was_training)
    return texts


def _decode(
    setup: TrainingSetup,
    template: Template,
    sources: Sequence[str],
    decoding: Decoding,
    runtime: Runtime,
    end: EndOfText,
) -> Iterator[list[Completion]]:
    model = setup.model
    tokenizer = setup.tokenizer
    positions: int = model.config.max_position_embeddings
    if setup.kind.base == "seq2seq":
        encoded = tokenizer(
            list(sources), truncation=True, max_length=positions, split_special_tokens=True
        )
        ids = encoded.input_ids
        return decode_seq2seq(model, [tuple(row) for row in ids], decoding, runtime)
    virtual = None
    if setup.kind.length:
        prompts = split_prompts(encoders.evaluate_prompt(setup.objective.module), setup.templates)
        virtual = prompts[template.taskname]
    # A source is shortened rather than the answer.
    longest = positions - decoding.max_new_tokens
    rows = []
    for source in sources:
        rendered = render(template, {"source": source}, tokenizer, longest)
        rows.append(PromptIds(rendered.ids, virtual))
    return decode_causal(model, rows, decoding, runtime, end.ids, padding_id(tokenizer), end)
