"""What drafts win where few rows are in flight: ``python -m benchmarks.few_rows``.

Systems of the suite smollm2 answer its sources one, four or eight at a time, without drafts and
with them; the texts must be equal. Beside them transformers' own ``generate``, one sentence at a
time, with and without its prompt lookup. Seconds of the faster of two rounds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from parabench.contracts import BuildContext, Runtime
from parabench.data.test_sets import read_test_set
from parabench.inference.drafts import DRAFTED_ROWS
from parabench.inference.end_of_text import StopAtEnd, padding_id
from parabench.inference.prompt_ids import embed
from parabench.pipeline.plan import build_plugin
from parabench.suites.suite import load_suite

SYSTEMS = ("softprompt-111", "lora-8", "zeroshot", "zeroshot-chat")
ROWS = (1, 4, 8)
ROUNDS = 2
LOOKED_UP = 5
"""Tokens of a draft, by transformers too."""

HEADS = (
    "system",
    "rows in flight",
    "transformers, s",
    "with its prompt lookup, s",
    "without drafts, s",
    "with drafts, s",
    "faster",
    "equal texts",
)

Texts = Mapping[int, str]


@contextmanager
def drafts(allowed: bool) -> Iterator[None]:
    """Let the decoder try drafts, or keep it from them."""
    before = dict(DRAFTED_ROWS)
    if not allowed:
        DRAFTED_ROWS.update(dict.fromkeys(before, 0))
    try:
        yield
    finally:
        DRAFTED_ROWS.update(before)


def answers(system: Any, sources: Sequence[str]) -> Texts:
    """What a system writes, by the place of its source."""
    return {one.position: one.text for batch in system.paraphrase(sources) for one in batch}


def by_transformers(system: Any, sources: Sequence[str], lookup: int | None) -> Texts:
    """The same by transformers' ``generate``, a sentence at a time."""
    model, tokenizer = system._load()
    end = system.end_of_text(model, tokenizer)
    new_tokens = system.setting.decoding.max_new_tokens
    found = {}
    for place, row in enumerate(system.rows(model, tokenizer, sources, system.adapter)):
        if row.virtual is None:
            prompt = torch.tensor([row.ids])
            given, begin = {"input_ids": prompt}, len(row.ids)
        else:
            # of a prompt in vectors only the new ids come back, and only they are looked up
            prompt = embed(model, [row])[None]
            given, begin = {"inputs_embeds": prompt}, 0
        made = model.generate(
            **given,
            attention_mask=torch.ones(prompt.shape[:2], dtype=torch.long),
            do_sample=False,
            max_new_tokens=new_tokens,
            eos_token_id=sorted(end.ids),
            pad_token_id=padding_id(tokenizer),
            stopping_criteria=[StopAtEnd(end, begin)],
            prompt_lookup_num_tokens=lookup,
        )
        found[place] = end.cut(made[0, begin:].tolist()).text.strip()
    return found


def seconds(work: Callable[[], Texts]) -> tuple[float, Texts]:
    """The faster of two rounds, and what came of it."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        made = work()
        times.append(time.perf_counter() - start)
    return min(times), made


def line(name: str, rows: int, sources: Sequence[str]) -> list[str]:
    """One system with so many rows in flight."""
    suite = load_suite("smollm2")
    context = BuildContext(Runtime(batch_size=rows), suite.decoding)
    system: Any = build_plugin("system", name, suite, context)
    answers(system, sources[:1])  # loads the model

    def ours(allowed: bool) -> tuple[float, Texts]:
        with drafts(allowed):
            return seconds(lambda: answers(system, sources))

    plain, written = ours(False)
    drafted, with_drafts = ours(True)
    equal = sum(with_drafts[place] == text for place, text in written.items())
    peers = ["", ""]
    if rows == 1:
        for at, lookup in enumerate((None, LOOKED_UP)):
            taken, texts = seconds(partial(by_transformers, system, sources, lookup))
            same = sum(texts[place] == text for place, text in written.items())
            peers[at] = f"{taken:.1f} ({same} of {len(sources)} equal)"
    times = f"{plain / drafted:.2f} x"
    all_equal = "all" if equal == len(sources) else str(equal)
    return [name, str(rows), *peers, f"{plain:.1f}", f"{drafted:.1f}", times, all_equal]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.few_rows", description=__doc__)
    parser.add_argument("--sentences", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    suite = load_suite("smollm2")
    examples = list(read_test_set(Path(suite.data)))
    step = max(1, len(examples) // chosen.sentences)
    sources = [example.source for example in examples[::step][: chosen.sentences]]
    print(f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}")
    for name in SYSTEMS:
        for rows in ROWS:
            print(f"| {' | '.join(line(name, rows, sources))} |", flush=True)


if __name__ == "__main__":
    main()
