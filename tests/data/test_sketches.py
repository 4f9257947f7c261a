"""What was trained on is found again, what was cleared is clean, and what nobody recorded is
unknown.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from parabench.contracts import Example, UserError
from parabench.data import sketches
from parabench.data.filters import sentence_key

PAIRS = [
    ("Heavy rain ruined their picnic yesterday.", "Their picnic was ruined."),
    ("One two.", "Three four."),
]
EXAMPLES = [
    Example("exact", "Nothing of the kind", ("heavy  rain ruined their picnic yesterday",)),
    Example("near", "Yesterday a heavy rain, it ruined their picnic!", ("no",)),
    Example("new", "The committee approved another budget.", ("A budget was approved.",)),
]


def test_seen_sentences_are_found_exactly_and_nearly(tmp_path: Path) -> None:
    sketches.write_sketch(tmp_path, PAIRS, (), seed=7)
    assert sketches.training_facts(tmp_path, EXAMPLES) == {"seed": 7, "seen": "2/3"}
    assert sketches.training_facts(tmp_path, EXAMPLES[2:]) == {"seed": 7, "seen": "0/1"}


def test_clean_is_only_what_was_cleared_of_these_very_examples(tmp_path: Path) -> None:
    texts = [text for one in EXAMPLES for text in (one.source, *one.references)]
    sketches.write_sketch(tmp_path, [], map(sentence_key, texts), seed=0)
    assert sketches.training_facts(tmp_path, EXAMPLES)["seen"] == "clean"
    assert sketches.training_facts(tmp_path, EXAMPLES[:1])["seen"] == "clean"
    assert (
        sketches.training_facts(tmp_path, [*EXAMPLES, Example("x", "Another one.", ())])["seen"]
        == "0/4"
    )


def test_without_a_record_nothing_is_known(tmp_path: Path) -> None:
    assert (
        sketches.training_facts(tmp_path, EXAMPLES) == sketches.training_facts(None, EXAMPLES) == {}
    )


def test_what_a_sample_finds_is_the_least_there_is(tmp_path: Path) -> None:
    """Half of 400 examples were trained on; a sketch of 100 keys of 400 knows about a quarter of
    those.
    """
    texts = [f"w{n}" for n in range(600)]
    random.Random(0).shuffle(texts)
    sketches.write_sketch(
        tmp_path, list(zip(texts[:200], texts[200:400], strict=True)), (), seed=0, size=100
    )
    examples = [Example(text, text, ()) for text in texts[200:]]
    seen = sketches.training_facts(tmp_path, examples)["seen"]
    assert seen.startswith("≥")
    assert seen.endswith("/400")
    assert 30 < int(seen[1:-4]) < 70


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b'{"format": "other"}', b'{"format": "parabench training data 1"}']
)
def test_a_damaged_record_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / sketches.SKETCH_FILE).write_bytes(content)
    with pytest.raises(UserError, match="training-data"):
        sketches.training_facts(tmp_path, EXAMPLES)
