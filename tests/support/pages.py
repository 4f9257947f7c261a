"""Page data for the tests: small and readable, or with one hostile text in every place that a name
or a model fills.
"""

import math
import random
from dataclasses import replace

from parabench.contracts import Column, Example, Score
from parabench.report.board import Comparison, LeaderboardRow
from parabench.report.pagedata import PageData
from tests.support.boards import small

PAYLOADS = (
    "</script><script>alert(1)</script><img src=x onerror=alert(1)><!--<script>]]><b>x</b>",
    "\" onmouseover=\"alert(1) ' style='x &lt;b&gt; "
    "</style><style>*{display:none} javascript:alert(1)",
    "{{ 7 * 7 }}{% raw %}\x1b[31m\u202e\u2028\x00$\\frac{1}{2}$\ud800",
)


def large(
    systems: int = 10, controls: int = 15, examples: int = 500, columns: int = 24
) -> PageData:
    """A page as large as a large run: sentences of 18 words, five references, texts all differ."""
    generator = random.Random(0)
    words = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in ("n", "re", "st", "d")]

    def sentence() -> str:
        return " ".join(generator.choices(words, k=18)).capitalize() + "."

    def variant(text: str) -> str:
        kept = [
            one if generator.random() < 0.6 else generator.choice(words) for one in text.split()
        ]
        return " ".join(kept)

    names = [f"system-{n}" for n in range(systems)] + ["human", "copy"]
    names += [f"attacker-{n}" for n in range(controls - 2)]
    against = ("both", "reference", "source", "reference")
    made = tuple(
        Column(f"column{n}", "up", against[n % 4], 2, "what it says") for n in range(columns)
    )
    rows, texts, values = [], {}, {}
    shown = [
        Example(f"e{n}", source := sentence(), tuple(variant(source) for _ in range(5)))
        for n in range(examples)
    ]
    for place, name in enumerate(names):
        numbers = {c.name: [generator.random() * 100 for _ in shown] for c in made}
        scores = {c: Score(one := sum(n) / len(n), one - 3, one + 3, c) for c, n in numbers.items()}
        rank = (place + 1, place + 1) if place < systems else None
        rows.append(LeaderboardRow(name, rank, scores, examples, examples, rank is None))
        texts[name] = [[variant(example.source)] for example in shown]
        values[name] = numbers
    board = small(title="Large", headline="column0", columns=made, rows=tuple(rows), invalid={})
    return PageData(board, tuple(shown), texts, values, anchors=["human", "copy"])


def page(text: str = "") -> PageData:
    """Three examples, four systems; ``text`` is added to everything that a person or a model
    writes.
    """
    board = small()
    names = {row.system: f"{row.system}{text}" for row in board.rows}
    columns = {column.name: f"{text}{column.name}" for column in board.columns}
    rows = tuple(
        replace(
            row,
            system=names[row.system],
            scores={
                columns[name]: replace(score, signature=text) for name, score in row.scores.items()
            },
        )
        for row in board.rows
    )
    board = replace(
        board,
        title=f"A title{text}",
        note=f"A note{text}",
        headline=columns["ibleu"],
        columns=tuple(
            Column(columns[c.name], c.better, c.against, c.digits, f"about{text}")
            for c in board.columns
        ),
        rows=rows,
        invalid={columns["bleu"]: f"copy beats human{text}"},
        signatures={columns["bleu"]: f"bleu|refs:4{text}"},
        provenance={"command": f"parabench run{text}", "packages": {f"torch{text}": f"2{text}"}},
    )
    examples = tuple(
        Example(f"e{i}{text}", f"The cat {i} sat.{text}", (f"A cat {i} was sitting.{text}",))
        for i in range(3)
    )
    texts = {
        name: [[f"The cat 0 sat.{text}"], [f"A dog ran{text}."], []] for name in names.values()
    }
    texts[names["bart"]] = [["  "], [f"The feline rested.{text}"], [f"A zebra.{text}"]]
    values = {
        name: {column: [1.0 + place, 3.0, math.nan] for column in columns.values()}
        for place, name in enumerate(names.values())
    }
    pair = Comparison(
        names["softprompt-111"], names["bart"], 0.75, -0.5, 2.0, 0.2, columns["ibleu"]
    )
    other = Comparison(names["copy"], names["bart"], -9.0, -10.0, -8.0, 0.001, columns["ibleu"])
    return PageData(board, examples, texts, values, (pair, other), {names["bart"]: {2}})
