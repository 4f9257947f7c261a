"""A small world for tests of whole runs: a suite of tiny random models, and systems that fail on
purpose.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from parabench.contracts import Paraphrase, Signature
from tests.support import tiny

SOURCES = (
    "The old man walks his dog.",
    "She bought seven books.",
    "The rain ruined the picnic.",
    "Nobody knew why.",
)


def examples_file(folder: Path, count: int = 12) -> Path:
    """Examples with a varying number of references, as JSONL."""
    lines = []
    for number in range(count):
        source = f"{SOURCES[number % 4]} {number}"
        references = [f"{source} indeed", f"in fact {source}", f"{number} again: {source}"][
            : 2 + number % 2
        ]
        lines.append(json.dumps({"id": f"e{number}", "source": source, "references": references}))
    path = folder / "examples.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def suite_file(folder: Path) -> Path:
    """A suite of tiny models: zero-shot OPT, BART, and the likelihood of a BART."""
    tiny.opt(folder / "opt")
    tiny.bart(folder / "bart")
    examples_file(folder)
    path = folder / "tiny.toml"
    path.write_text(
        """
name = "tiny"
title = "Tiny"
data = "./examples.jsonl"
systems = ["zeroshot", "bart"]
controls = ["human", "copy"]
scorers = ["ibleu", "bartscore"]
headline = "ibleu"
decoding = { max_new_tokens = 8 }
[system.zeroshot]
model = "./opt"
[system.finetuned]
model = "./opt"
[system.softprompt]
model = "./opt"
adapters = "./adapters"
[system.bart]
model = "./bart"
[scorer.bartscore]
model = "./bart"
""",
        encoding="utf-8",
    )
    return path


@dataclass
class Upper:
    """Answers in capitals, ``size`` at a time, longest first, and dies after ``batches`` batches
    (never if None).
    """

    size: int = 2
    batches: int | None = None
    asked: int = 0
    signature: Signature = Signature("upper")  # noqa: RUF009

    def paraphrase(self, sources: Sequence[str]) -> Iterator[Sequence[Paraphrase]]:
        order = sorted(
            range(len(sources)), key=lambda position: (-len(sources[position]), position)
        )
        for number, start in enumerate(range(0, len(order), self.size)):
            if number == self.batches:
                raise KeyboardInterrupt
            chosen = order[start : start + self.size]
            self.asked += len(chosen)
            yield [Paraphrase(position, sources[position].upper()) for position in chosen]
