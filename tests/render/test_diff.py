"""Differences are checked against what they must mean, for any two texts."""

from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import LCSseq

from parabench.render.diff import is_copy, split_words, word_diff
from tests.support.boards import PATIENT

TEXTS = st.lists(
    st.sampled_from(["the", "The", "cat", "sat", ",", ".", " ", "don't", "naïve", "猫", "\t"])
).map(" ".join)


def test_added_removed_and_kept_words_stand_in_reading_order():
    assert word_diff("The cat sat on the mat.", "the cat was sitting on a mat.") == [
        " the cat ",
        "-sat ",
        "+was sitting ",
        " on ",
        "-the ",
        "+a ",
        " mat.",
    ] or word_diff("The cat sat on the mat.", "the cat was sitting on a mat.") == [
        " the cat ",
        "+was sitting ",
        "-sat ",
        " on ",
        "+a ",
        "-the ",
        " mat.",
    ]


@PATIENT
@given(TEXTS, TEXTS)
def test_runs_join_to_the_text_and_keep_the_longest_common(source, text):
    found = word_diff(source, text)
    assert "".join(run[1:] for run in found if run[0] != "-") == text
    kept = sum(len(split_words(run[1:])) for run in found if run[0] == " ")
    keys = [[word.strip().casefold() for word in split_words(each)] for each in (source, text)]
    assert kept == LCSseq.similarity(*keys)


def test_case_blanks_and_marks_do_not_make_a_paraphrase():
    assert is_copy("The cat sat.", "the  cat, sat")
    assert not is_copy("The cat sat.", "The cat sits.")
    assert not is_copy("The cat sat.", "The cat")


def test_removed_words_do_not_touch_their_neighbours():
    before, after = "Tell others even if they know it.", "Tell others."
    assert word_diff(before, after) == [" Tell others", "- even if they know it", " ."]
    assert word_diff("The cat.", "The") == [" The", "- cat."]
