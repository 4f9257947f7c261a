"""The normaliser: what it unifies, what it leaves alone, and that it settles after one pass."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from parabench.contracts import Example, Signature, UserError
from parabench.data.normalise import CASES, Normaliser

NEWS = Path(__file__).parents[2] / "../shared/data/newstest2019-human-paraphrases"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("“Don’t,” she said…", '"Don\'t," she said...'),
        ("a\u00a0b\u2009c\td\r\ne", "a b c d e"),
        ("\ufeffco\u00adop\u200b", "coop"),
        ("1914–1918 — a war", "1914-1918 - a war"),
        ("cafe\u0301", "café"),
        ("\x00a\x1bb", "ab"),
        ("  \u3000 ", ""),
        ("👩\u200d🚀", "👩\u200d🚀"),  # the joiner makes one astronaut of two signs
    ],
)
def test_typography_is_unified(text, expected):
    assert Normaliser()(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("she did n't know , did she ?", "she didn't know, did she?"),
        ("they 're gon na say `` no '' .", 'they\'re gonna say "no".'),
        ("it 's 5 % -LRB- of $ 9 -RRB- .", "it's 5% (of $9)."),
        ("we can not ; the workers ' party can", "we cannot; the workers' party can"),
        ("Rule # 1 : never", "Rule #1: never"),
    ],
)
def test_treebank_spacing_is_undone_when_asked(text, expected):
    assert Normaliser(treebank=True)(text) == expected
    assert Normaliser()(text) != expected


def test_case():
    assert Normaliser(case="lower")("ÉCOLE Now") == "école now"
    assert Normaliser(case="sentence")('he left. "i know," i said') == 'He left. "I know," I said'


@given(st.text(), st.booleans(), st.sampled_from(CASES))
@example("ΐ́İ ͏̈", True, "lower")
def test_a_second_pass_changes_nothing(text, treebank, case):
    normalise = Normaliser(treebank, case)
    assert normalise(normalise(text)) == normalise(text)


@given(st.text(alphabet="abcdefghij klmno,.'\"", max_size=60))
def test_plain_text_is_left_alone(text):
    assert Normaliser()(text) == " ".join(text.split())


def test_examples_keep_their_id_and_number_of_references():
    raw = Example("“id”", "“a”", ("b\u00a0c", "d…"))
    assert Normaliser().example(raw) == Example("“id”", '"a"', ("b c", "d..."))


def test_the_rule_is_named():
    text = str(Normaliser(True, "lower").signature)
    assert text.startswith("normalise|rules:1|treebank:yes|case:lower|unicode:")
    assert str(Signature.parse(text)) == text
    with pytest.raises(UserError, match="sentence"):
        Normaliser(case="upper")


@pytest.mark.skipif(not NEWS.exists(), reason="needs ../shared/data/newstest2019-human-paraphrases")
def test_real_text_survives_treebank_tokens():
    """NLTK's Treebank tokenizer is the outside authority: 98 of 100 news sentences come back as
    they were.
    """
    from nltk.tokenize.treebank import TreebankWordTokenizer

    plain, undo, cut = Normaliser(), Normaliser(treebank=True), TreebankWordTokenizer()
    lines = [plain(line) for line in (NEWS / "ref.1.en").read_text(encoding="utf-8").splitlines()]
    assert all(undo(line) == line for line in lines)
    back = sum(undo(" ".join(cut.tokenize(line))) == line for line in lines)
    assert back >= 0.98 * len(lines)
