"""Parity against plain formulas: sets of n-grams counted by hand, BLEU as sacrebleu has it."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from parabench.scorers import parity
from sacrebleu import corpus_bleu

from parabench.contracts import BuildContext, Example, UserError
from parabench.stats.folding import fold
from parabench.stats.leave_one_out import measure_leave_one_out
from tests.support.worlds import REWORDED as EXAMPLES
from tests.support.worlds import check_contract, examples, sentences

PARITY = parity.build("", BuildContext())
TEXTS = (
    "The aged man made his way to the harbour.",
    "Prices went up once more last week, according to the bank.",
)


def in_turns(given_texts, given_examples=EXAMPLES) -> np.ndarray:
    """Parity's statistics over all turns; a text alone is the same in every turn."""
    several = [[text] if isinstance(text, str) else list(text) for text in given_texts]
    return measure_leave_one_out(PARITY, given_examples, several)


def value(given_texts, given_examples=EXAMPLES) -> float:
    return float(PARITY.combine(in_turns(given_texts, given_examples))[0])


def people() -> list[tuple[str, ...]]:
    return [one.references for one in EXAMPLES]


# ---- the plain formula


def plain_words(text: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in text.lower()).split()


def plain_grams(text: str, order: int) -> set[str]:
    tokens = plain_words(text)
    return {" ".join(tokens[at : at + order]) for at in range(len(tokens) - order + 1)}


def plain_parts(cases) -> list[float]:
    """A, R and D of (text, source, references), summed over the cases."""
    added = []
    for order in (1, 2, 3, 4):
        right = done = wanted = 0
        for text, source, references in cases:
            old = plain_grams(source, order)
            new = plain_grams(text, order) - old
            asked = set.union(*(plain_grams(one, order) for one in references)) - old
            right, done, wanted = right + len(new & asked), done + len(new), wanted + len(asked)
        extra = order > 1
        added.append((2 * right + extra) / (done + wanted + extra))
    texts = [" ".join(plain_words(text)) for text, _, _ in cases]
    folded = [[" ".join(plain_words(one)) for one in references] for _, _, references in cases]
    sources = [" ".join(plain_words(source)) for _, source, _ in cases]
    near = corpus_bleu(texts, list(map(list, zip(*folded, strict=True))), tokenize="none").score
    far = 100 - corpus_bleu(texts, [sources], tokenize="none").score
    return [100 * math.prod(added) ** 0.25, near, far]


def test_parity_is_the_least_share_of_the_humans_parts():
    """All turns pooled, for the texts and for the references that are left out."""
    cases, human_cases = [], []
    for text, one in zip(TEXTS, EXAMPLES, strict=True):
        for turn in range(3):
            others = one.references[:turn] + one.references[turn + 1 :]
            cases.append((text, one.source, others))
            human_cases.append((one.references[turn], one.source, others))
    own, human = plain_parts(cases), plain_parts(human_cases)
    expected = 100 * min(min(1, a / b) for a, b in zip(own, human, strict=True))
    # Sums over turns against means over turns: only add-one sees the difference.
    assert PARITY.combine(3 * in_turns(TEXTS)).tolist() == pytest.approx([expected, *own])
    assert PARITY.combine(3 * in_turns(people()))[1:].tolist() == pytest.approx(human)


def test_people_have_100_and_nothing_else_is_paid_for():
    assert value(people()) == pytest.approx(100)
    assert value([one.source for one in EXAMPLES]) == 0
    assert value(["", ""]) == 0
    assert value([" ".join(reversed(one.source.split())) for one in EXAMPLES]) == 0
    assert 0 < value(TEXTS) <= 100


@pytest.mark.parametrize(
    "change",
    [
        str.upper,
        str.lower,
        lambda text: text.replace(" ", ", "),
        lambda text: f"«{text}»!!",
        lambda text: text.replace("a", "a\u200b"),
    ],
)
def test_case_and_punctuation_change_nothing(change):
    np.testing.assert_array_equal(in_turns(map(change, TEXTS)), in_turns(TEXTS))
    assert value([change(one.source) for one in EXAMPLES]) == 0


def test_a_corpus_is_the_sum_of_its_rows():
    rows = in_turns(TEXTS)
    singly = [in_turns([text], [one]) for text, one in zip(TEXTS, EXAMPLES, strict=True)]
    np.testing.assert_allclose(rows, np.vstack(singly))
    np.testing.assert_allclose(PARITY.combine(rows), PARITY.combine(rows.sum(axis=0)[None]))


def test_one_example_is_a_share_of_its_own_human():
    rows = in_turns(people())
    assert PARITY.combine(rows[:, None])[:, 0] == pytest.approx([100, 100])


def test_without_a_spare_reference_there_is_no_parity():
    single = replace(EXAMPLES[0], references=EXAMPLES[0].references[:1])
    found = PARITY.combine(in_turns(TEXTS[:1], [single]))
    assert np.isnan(found[0])
    assert np.isfinite(found[1:]).all()
    assert "no reference to spare" in PARITY.why(single, TEXTS[0])
    with pytest.raises(UserError, match="no references"):
        PARITY.measure([replace(single, references=())], ["x"])
    # built as a run builds it, which knows of no human's answers where there is one reference
    built = parity.build("", BuildContext(sources=(single.source,)))
    assert np.isnan(built.combine(built.measure([single], TEXTS[:1]))[0])


def test_a_part_that_people_lack_is_no_demand():
    """Two references that add no common n-gram: then added n-grams cannot be asked for."""
    apart = Example("a", "a b c d e", ("p q r s t", "u v w x y", "a b c d z"))
    assert PARITY.combine(in_turns([apart.references], [apart]))[0] == pytest.approx(100)


@settings(max_examples=25)
@given(examples, sentences)
def test_more_than_people_is_never_more_than_100(example, text):
    whole = replace(example, references=(*example.references, "one more text"))
    found = PARITY.combine(in_turns([text], [whole]))
    assert 0 <= found[0] <= 100


def test_contract():
    check_contract(PARITY)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The CAT's  hat!", "the cat s hat"),
        ("ﬁne—print", "fine print"),
        ("so\u00adft hy\u200bphen", "soft hyphen"),
        ("空は3色だ。", "空 は 3 色 だ"),
        ("…?!", ""),
    ],
)
def test_folding(text, words):
    assert fold(text) == words


SLOWLY = Example(
    "slowly",
    "The old man walked slowly to the harbour.",
    (
        "Slowly, the aged man made his way to the port.",
        "The elderly man made his way to the port at a slow pace.",
        "The aged man took his time on the way to the port.",
    ),
)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (SLOWLY.references, [100.0, 39.4, 48.7, 91.5]),
        (("The aged man made his way to the harbour.",), [87.2, 52.2, 68.2, 79.8]),
        (("The elderly dog ate its dinner at a slow pace.",), [40.8, 18.8, 19.9, 95.8]),
        (("THE OLD MAN, WALKED SLOWLY TO THE HARBOUR!!",), [0.0, 0.0, 9.8, 0.0]),
        (("To the slowly harbour man walked old the.",), [0.0, 0.0, 9.8, 81.4]),
        (("",), [0.0, 0.0, 0.0, 100.0]),
    ],
)
def test_the_worked_example_of_the_documentation(texts, expected):
    assert PARITY.combine(in_turns([texts], [SLOWLY])).round(1).tolist() == expected


# ---- matches by chance


def of_data(given_examples=EXAMPLES):
    """Parity that knows the references of all examples."""
    context = BuildContext(
        sources=tuple(one.source for one in given_examples),
        human_answers=tuple(one.references for one in given_examples),
    )
    return parity.build("", context)


def weather(count: int) -> list[Example]:
    """Sentences whose references share ``at the end of the day`` and nothing else by plan."""
    examples = []
    for place in range(count):
        thing = f"old{place} red{place} number{place}"
        references = (
            f"at the end of the day the {thing} fell quietly",
            f"the {thing} came down at the end of the day",
            f"down came the {thing} without a noise",
        )
        examples.append(Example(str(place), f"Item{place} dropped.", references))
    return examples


def test_chance_is_the_mean_over_other_examples():
    """Counted the slow way: the text beside every other example's references, turn by turn."""
    given = weather(5)
    text = "at the end the old2 red2 number2 came down"
    rows = measure_leave_one_out(of_data(given), given, [[text]] * len(given))
    for place, one in enumerate(given):
        old = [plain_grams(one.source, order) for order in (1, 2, 3, 4)]
        expected = []
        for order in (1, 2, 3, 4):
            done = plain_grams(text, order) - old[order - 1]
            shared = [
                sum(
                    gram in set.union(*(plain_grams(r, order) for r in kept))
                    for gram in done
                    if holders(given, gram, order) > 1
                )
                for other in given
                if other is not one
                for kept in turns_of(other)
            ]
            expected.append(sum(shared) / len(shared))
        assert rows[place, 12:16] == pytest.approx(expected)


def turns_of(example: Example) -> list[tuple[str, ...]]:
    references = example.references
    return [references[:turn] + references[turn + 1 :] for turn in range(len(references))]


def holders(given_examples, gram: str, order: int) -> int:
    return sum(
        any(gram in plain_grams(reference, order) for reference in one.references)
        for one in given_examples
    )


def test_the_same_words_everywhere_earn_nothing():
    given = weather(30)
    scorer = of_data(given)
    stuffed = [[f"{one.source} at the end of the day"] for one in given]
    honest = [[f"the old{place} red{place} number{place} came down"] for place in range(30)]
    plain = PARITY.combine(measure_leave_one_out(PARITY, given, stuffed))
    ours = scorer.combine(measure_leave_one_out(scorer, given, stuffed))
    fair = scorer.combine(measure_leave_one_out(scorer, given, honest))
    assert plain[1] > 20
    assert ours[0] == ours[1] == 0
    assert fair[0] > 20


def test_chance_says_in_the_signature_where_it_comes_from():
    assert "chance:none" in str(PARITY.signature)
    assert "chance:other-references" in str(of_data().signature)


def test_statistics_without_chance_are_still_read():
    """A run made before chance was counted has 65 numbers a row, and the columns it had."""
    rows = in_turns(TEXTS)
    older = np.delete(rows, [*range(12, 16), *range(48, 52)], axis=1)
    assert older.shape[1] == 65
    assert PARITY.combine(older) == pytest.approx(PARITY.combine(rows))


def test_statistics_are_equal_to_the_bit_in_every_process() -> None:
    """The order of a set of texts differs from process to process."""
    code = (
        "import hashlib\n"
        "from parabench.contracts import BuildContext\n"
        "from parabench.data.test_sets import read_test_set\n"
        "from pathlib import Path\n"
        "import parabench\n"
        "from parabench.registry import plugin_builder\n"
        "suites = Path(parabench.__file__).parent / 'suites'\n"
        "examples = list(read_test_set(suites / 'parabench-en.jsonl'))\n"
        "setting = BuildContext(\n"
        "    sources=tuple(one.source for one in examples),\n"
        "    human_answers=tuple(one.references for one in examples),\n"
        ")\n"
        "scorer = plugin_builder('scorer', 'parity')('', setting)\n"
        "rows = scorer.measure(examples[:60], [one.references[0] for one in examples[:60]])\n"
        "print(hashlib.sha256(rows.tobytes()).hexdigest())\n"
    )
    found = set()
    for seed in ("0", "1", "7"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout)
    assert len(found) == 1
