"""The Hugging Face model card of an adapter: what it is, how to load it, and its results.

The metadata block is huggingface_hub's own (``model-index``, source: huggingface/hub-docs,
modelcard.md); intervals, which it has no place for, are in each metric's arguments and in the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from parabench.contracts import Signature, UserError
from parabench.render.escape import markdown, visible
from parabench.report.board import CONFIDENCE_LEVEL, Leaderboard, LeaderboardRow, main_columns
from parabench.report.cells import AGAINST, interval_ends, rank_text, score_text
from parabench.report.notes import interval_note

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

    from parabench.prompts.adapters import Adapter
    from parabench.prompts.facts import AdapterFacts

_USAGE = """\
```python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

base = AutoModelForCausalLM.from_pretrained({base})
model = PeftModel.from_pretrained(base, {name})
tokenizer = AutoTokenizer.from_pretrained({base})
inputs = tokenizer({prompt}, return_tensors="pt")
output = model.generate(**inputs, max_new_tokens=64, do_sample=False)
print(tokenizer.decode(output[0], skip_special_tokens=True))
```"""


def to_card(
    adapter: Adapter,
    name: str,
    board: Leaderboard | None = None,
    licence: str = "",
    data_licence: str = "",
) -> str:
    """The ``README.md`` of an adapter.

    Args:
        adapter: that the card describes.
        name: of the adapter, which is also its row of the leaderboard.
        board: with its results; "Not evaluated" without.
        licence: of the adapter.
        data_licence: of the data it was trained on.

    Raises:
        UserError: where ``board`` has no row of that name, or has scored another prompt under it.
    """
    from huggingface_hub import ModelCardData

    facts = adapter.facts
    row = _row(board, name, adapter) if board else None
    data = ModelCardData(
        base_model=visible(facts.base.name),
        library_name="peft",
        pipeline_tag="text-generation",
        license=visible(licence) or None,
        tags=["p-tuning" if facts.encoder else "prompt-tuning", "paraphrase", "parabench"],
        model_name=visible(name),
        eval_results=_results(board, row) if board and row else None,
    )
    parts = [
        f"# {markdown(name)}",
        _about(facts),
        f"## Load it\n\n{_usage(facts, name)}",
        f"## Training\n\n{_training(adapter, licence, data_licence)}",
        f"## Results\n\n{_table(board, row) if board and row else 'Not evaluated.'}",
    ]
    body = "\n\n".join(parts)
    return f"---\n{data.to_yaml()}\n---\n\n{body}\n"


def _row(
    board: Leaderboard,
    name: str,
    adapter: Adapter,
) -> LeaderboardRow:
    row = next((row for row in board.rows if row.system == name), None)
    if row is None:
        known = [row.system for row in board.rows]
        raise UserError(f"write a card for {name!r}", "no such system in the results", known)
    text = board.provenance.get(f"system {name}", name)
    signature = Signature.parse(str(text))
    # The signature holds the beginning of the adapter's hash; a board without one is believed.
    scored = dict(signature.items).get("adapter", "")
    if not adapter.digest.startswith(scored):
        found = f"the results are of the adapter {scored}, this one is {adapter.digest[:12]}"
        raise UserError(f"write a card for {name!r}", found, mend="run the suite with this adapter")
    return row


def _results(board: Leaderboard, row: LeaderboardRow) -> list[EvalResult]:
    """One for each main column that is defined; the value is that of the table, unrounded."""
    from huggingface_hub import EvalResult

    # The fingerprint of the examples stands for a revision of the data set.
    data = board.provenance.get("data") or {}
    found = []
    for column in main_columns(board):
        score = row.scores.get(column.name)
        # The hub takes numbers alone: a score without an interval is in the text below.
        if score is None or not interval_ends(score):
            continue
        arguments = {
            "interval": [score.low, score.high],
            "level": CONFIDENCE_LEVEL,
            "better": column.better,
        }
        found.append(
            EvalResult(
                task_type="text-generation",
                task_name="Paraphrase generation",
                dataset_type="parabench",
                dataset_name=visible(board.title),
                dataset_revision=str(data.get("fingerprint", "")) or None,
                metric_type=visible(column.name),
                metric_name=f"{visible(column.name)} against {AGAINST[column.against]}",
                metric_value=score.value,
                metric_config=visible(score.signature),
                metric_args=arguments,
            )
        )
    return found


def _about(facts: AdapterFacts) -> str:
    count, base = facts.template.total_virtual_tokens, facts.base
    revision = f" at revision {markdown(base.revision)}" if base.revision else ""
    return (
        f"A soft prompt of {count} virtual tokens that makes {markdown(base.name)}{revision} "
        "paraphrase English sentences. The model itself is unchanged; only "
        f"{count * base.width:,} numbers were learned. It is of no use with any other model."
    )


def _usage(facts: AdapterFacts, name: str) -> str:
    """Code that loads the adapter with PEFT, which puts the virtual tokens in itself."""
    # PEFT puts the virtual tokens first by itself, so their marks are taken out of the text.
    template = re.sub(r"<\|VIRTUAL_PROMPT_\d+\|>", "", facts.template.prompt_template)
    prompt = template.replace(f"{{{facts.template.answer_field}}}", "")
    prompt = prompt.replace("{source}", "The old man sold his boat.")
    base = _literal(facts.base.name)
    return _USAGE.format(base=base, name=_literal(name), prompt=_literal(prompt))


def _literal(text: str) -> str:
    """A Python string literal that ends neither itself nor the code block around it."""
    # A JSON string is a Python string too; three backticks would end the block of code.
    return json.dumps(text).replace("`", "\\u0060")


def _training(
    adapter: Adapter,
    licence: str,
    data_licence: str,
) -> str:
    facts = adapter.facts
    # Pairs of update and loss: the first and the last say how far the training came.
    losses = [loss for _, loss in facts.loss]
    loss = f"{losses[0]:.3f} to {losses[-1]:.3f}" if losses else "not recorded"
    rows = {
        "data": facts.data or "not recorded",
        "licence of the data": data_licence or "not stated",
        "licence of this prompt": licence or "not stated",
        "encoder": _pairs(facts.encoder) or "none",
        "initialiser": facts.initialiser or "not recorded",
        "seed": "not recorded" if facts.seed is None else str(facts.seed),
        "loss, nats a target token": loss,
        "origin": facts.origin or "trained with parabench",
        "versions": _pairs(facts.versions) or "not recorded",
        "SHA-256 of the weights": adapter.digest,
    }
    cells = [(key, markdown(value)) for key, value in rows.items()]
    return _markdown_table(("what", "value"), cells)


def _pairs(facts: Mapping[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in facts.items())


def _table(board: Leaderboard, row: LeaderboardRow) -> str:
    lines = []
    for column in main_columns(board):
        value, interval = score_text(row.scores.get(column.name), column)
        why = board.invalid.get(column.name, "")
        cells = (
            column.name,
            f"{value} {interval}".strip(),
            AGAINST[column.against],
            column.better,
            board.signatures.get(column.name, ""),
            f"does not rank here: {why}" if why else "",
        )
        lines.append(tuple(map(markdown, cells)))
    rank = f"Rank {rank_text(row)} by {markdown(board.headline)}. " if row.rank else ""
    note = f"\n\n{markdown(board.note)}" if board.note else ""
    head = (
        f"{markdown(board.title)}: {row.scored} of {row.asked} examples. {rank}"
        f"{interval_note(board)} A column with a warning prefers some control to a human."
    )
    heads = ("column", "value", "compared with", "better", "signature", "warning")
    return f"{head}{note}\n\n{_markdown_table(heads, lines)}"


def _markdown_table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
