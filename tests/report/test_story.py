"""What the page says beyond the table: faults, sentences worth reading, trainings, the plane."""

import math
from dataclasses import replace

import html5lib
import numpy as np
import pytest
import scipy.stats

from parabench.contracts import Example, Score
from parabench.report import faults
from parabench.report.faults import system_faults
from parabench.report.page import page_html
from parabench.report.pagedata import PageData
from parabench.report.pagefigures import find_plane
from parabench.report.picks import _mean_ranks, picked_sentences
from parabench.report.trainings import known_trainings
from tests.support.boards import cells, small
from tests.support.pages import page

LONG = "When the rain stopped last night, the old farmer walked home with his dog."
SOUND = "When the rain was over last night, an old farmer walked home with his dog."


@pytest.mark.parametrize(
    ("rule", "source", "faulty", "sound"),
    [
        (faults.is_empty, LONG, " …", "No."),
        (
            faults.drops_clause,
            LONG,
            "The old farmer walked home with his dog.",
            "The old farmer walked home with his dog when last night the rain was over.",
        ),
        (
            faults.drops_clause,
            LONG,
            "When the rain stopped last night, the old farmer.",
            "After last night's rain the old farmer walked home with his dog.",
        ),
        (
            faults.drops_clause,
            "The house that was built by my late uncle is large.",
            "The house is large.",
            "The house my late uncle built is large.",
        ),
        (
            faults.repeats_words,
            LONG,
            "He walked home with his dog and walked home with his dog.",
            "He walked home, home, home.",
        ),
        (
            faults.comments_on_sentence,
            LONG,
            "Sure, here it is: the farmer walked home.",
            "Surely the farmer walked home.",
        ),
        (
            faults.comments_on_sentence,
            LONG,
            "Paraphrase: the farmer walked home.",
            "The sentence of the court was harsh.",
        ),
        (
            faults.comments_on_sentence,
            "A farmer is here.",
            "The sentence says that a farmer is here.",
            "Here is a man with a farm.",
        ),
    ],
)
def test_rules_find_faults_and_spare_sound_texts(rule, source, faulty, sound):
    assert rule(source, faulty)
    assert not rule(source, sound)


def test_a_short_function_phrase_is_no_clause():
    source = "It is the duty of the entrepreneur to cover a basket."
    assert not faults.drops_clause(source, "The entrepreneur must cover a basket.")


def test_a_text_that_only_echoes_its_source_has_its_repetition():
    source = "row row row row your boat and row row row row your boat"
    assert not faults.repeats_words(source, source)


def _written(texts: list[list[str]], **changes) -> PageData:
    examples = tuple(
        Example(f"e{place}", f"{LONG[:-1]} {place}.", ("A farmer went home.",))
        for place in range(len(texts))
    )
    board = small(rows=(replace(small().rows[1], system="one"),))
    return replace(PageData(board, examples, {"one": texts}, {}), **changes)


def test_faults_are_counted_over_texts_most_frequent_first():
    copied = [[f"{LONG[:-1]} {place}."] for place in range(3)]
    repeated = [[f"{SOUND} He walked home with his dog."]]
    data = _written([*copied, *repeated, [SOUND]])
    (one,) = system_faults(data)
    assert one.sentence == "copies the source in 60 % of 5 texts, repeats itself in 20 %"
    assert [example.fault for example in one.examples] == ["copies the source", "repeats itself"]
    assert one.examples[1].id == "e3"


def test_cut_and_missing_answers_and_several_texts_count():
    data = _written([[SOUND, SOUND], []], cut={"one": {0}})
    (one,) = system_faults(data)
    assert one.sentence == "is cut off by the length limit in 50 % of 2 texts"
    assert system_faults(_written([[], []]))[0].sentence == "has no texts here"
    sound = _written([[SOUND]])
    assert system_faults(sound)[0].sentence == "none of these faults was found in 1 texts"


def test_one_fault_alone_is_shown_by_two_texts():
    (one,) = system_faults(_written([[f"{LONG[:-1]} {place}."] for place in range(4)]))
    assert [example.fault for example in one.examples] == ["copies the source"] * 2
    assert len({example.id for example in one.examples}) == 2


def _picked(values: dict[str, list[float]], texts: list[list[str]] | None = None):
    texts = texts or [[f"text {place}"] for place in range(4)]
    return picked_sentences(_written(texts, values={"one": values}))


def test_sentences_are_of_the_first_with_a_rank():
    def found(*ranked: str):
        rows = []
        for row in small().rows:
            rows.append(replace(row, rank=(1, 1) if row.system in ranked else None))
        values = {row.system: {"ibleu": [1.0, 2.0, 3.0]} for row in rows}
        return replace(page(), values=values, board=small(rows=tuple(rows)))

    # softprompt-111 is first by its value.
    assert picked_sentences(found("softprompt-111", "bart")).system == "softprompt-111"
    assert picked_sentences(found("bart")).system == "bart"
    assert picked_sentences(found()).system == "softprompt-111"
    assert "first in the table; none has a rank" in page_html(found())


def test_best_and_worst_are_by_the_headline():
    found = _picked({"ibleu": [3.0, 9.0, float("nan"), 1.0]})
    rule, best = found.kinds["best"]
    assert "ibleu" in rule
    assert [pick.id for pick in best] == ["e1", "e0"]
    assert best[0].why == "ibleu 9.0"
    assert [pick.id for pick in found.kinds["worst"][1]] == ["e3", "e0"]


def test_a_copy_is_never_the_best():
    texts = [["text"], [f"{LONG[:-1]} 1."], ["text"], ["text"]]
    found = _picked({"ibleu": [3.0, 9.0, 2.0, 1.0]}, texts)
    assert [pick.id for pick in found.kinds["best"][1]] == ["e0", "e2"]


def test_disputed_are_ranked_apart_by_two_valid_columns():
    values = {"ibleu": [1.0, 2.0, 3.0, 4.0], "self-bleu": [1, 3, 3, 2], "bleu": [9, 1, 1, 1]}
    (first, _) = _picked(values).kinds["disputed"][1]
    # bleu does not rank on this board, so it has no say.
    assert first.id == "e0"
    assert first.why == "better than 100 % of its texts by self-bleu, than 25 % by ibleu"
    assert "disputed" not in _picked({"ibleu": [1.0, 2.0, 3.0, 4.0]}).kinds


def test_nothing_is_picked_without_a_system_that_has_values():
    assert _picked({"ibleu": [float("nan")] * 4}) is None
    assert picked_sentences(replace(page(), board=small(columns=()))) is None


RECORDS = {
    "soft-s10": {"seed": 10, "seen": "clean", "data": "ten pairs"},
    "soft-s2": {"seed": 2, "seen": "3/40"},
    "gone": {"seed": 0, "seen": "clean"},
}


def _trained() -> PageData:
    row = replace(small().rows[1], system="soft", seeds=2)
    board = small(rows=(row,), provenance={"training": RECORDS})
    return replace(page(), board=board, seed_values={"soft-s10": 31.04, "soft-s2": 29.0})


def test_trainings_are_listed_by_seed_with_their_own_headline():
    found = known_trainings(_trained())
    assert [one.system for one in found] == ["soft-s2", "soft-s10"]
    assert [one.headline for one in found] == ["29.0", "31.0"]
    assert [(one.seed, one.seen, one.data) for one in found] == [
        ("2", "3/40", ""),
        ("10", "clean", "ten pairs"),
    ]
    assert known_trainings(page()) == []


def test_the_page_tells_faults_picks_and_trainings():
    document = html5lib.parse(page_html(_trained()), namespaceHTMLElements=False)
    sections = {
        e.get("id"): " ".join("".join(e.itertext()).split()) for e in document.iter("section")
    }
    assert "ten pairs" in sections["trainings"]
    assert "none, its data was cleared of them" in sections["trainings"]
    plain = html5lib.parse(page_html(page()), namespaceHTMLElements=False)
    sections = {e.get("id"): " ".join("".join(e.itertext()).split()) for e in plain.iter("section")}
    assert "Copies the source in 50 % of 2 texts" in sections["faults"]
    assert "Of softprompt-111, the first with a rank:" in sections["picked"]
    assert "trainings" not in sections


def test_every_control_is_in_the_plane_attackers_as_such():
    scores = cells(1, 2, 3, 0.5, 1)
    rows = [replace(small().rows[0], system=name, scores=scores) for name in ("human", "shuffled")]
    data = replace(page(), board=small(rows=(*small().rows, *rows)), anchors=["human", "copy"])
    plane = find_plane(data)
    marks = {point.name: point.attacker for point in plane.points}
    assert marks == {
        "softprompt-111": False,
        "bart": False,
        "copy": False,
        "human": False,
        "shuffled": True,
    }
    assert "shuffled" not in plane.front


def test_ranks_are_scipys_with_ties_and_undefined_values():
    values = np.array([3.0, 1.0, math.nan, 3.0, 2.0, math.nan, 3.0, -0.5])
    expected = scipy.stats.rankdata(values, nan_policy="omit")
    np.testing.assert_array_equal(_mean_ranks(values), expected)
    np.testing.assert_array_equal(_mean_ranks(values[2:3]), [math.nan])


def _without_intervals(score: Score) -> Score:
    return replace(score, low=math.nan, high=math.nan)


def test_rows_without_intervals_are_in_the_plane():
    rows = []
    for row in small().rows:
        scores = {name: _without_intervals(score) for name, score in row.scores.items()}
        rows.append(replace(row, scores=scores))
    data = replace(page(), board=small(rows=tuple(rows)))
    plane = find_plane(data)
    assert [point.name for point in plane.points] == ["softprompt-111", "bart", "copy"]
    assert plane.left_out == ["zeroshot"]  # it has answered 312 of 500 examples
    html = page_html(data)
    assert "No interval is drawn: there are too few examples for any." in html
    assert "an answer to every example: zeroshot." in html
    assert "Lines through the points" not in html
    assert "Lines through the points" in page_html(page())


def test_the_page_says_why_there_is_no_plane():
    def reason(*names: str) -> str:
        columns = tuple(column for column in small().columns if column.name in names)
        return page_html(replace(page(), board=small(columns=columns)))

    assert "compares texts with their source" in reason("ibleu", "bleu")
    assert "compares texts with references" in reason("ibleu", "self-bleu")
    undefined = tuple(replace(row, scored=1) for row in small().rows)
    html = page_html(replace(page(), board=small(rows=undefined)))
    assert "no row has a value in both self-bleu and bleu" in html
