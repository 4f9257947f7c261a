"""Exact checks of meaning: sentences with a fault, and sentences that only look as if they had."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parabench.scorers.exact_checks import CHECKS, faults

HAVE = [
    ("number", "He won nine games.", "Nine games were won by him in 7 days.", ()),
    ("number", "It cost 3,500 crowns.", "It cost 3,600 crowns.", ()),
    ("number", "He won nine games.", "He won games.", ()),
    ("number", "He won nine games.", "He won games.", ("He took 9 games.",)),
    ("negation", "The dog barked.", "The dog didn't bark.", ()),
    ("negation", "The dog did not bark.", "The dog barked.", ("The dog never barked.",)),
    ("negation", "They came.", "Nobody came.", ("They arrived.",)),
    ("name", "We met Lena in June.", "We met Martha in June.", ()),
    ("name", "We met Lena in town.", "We met her in town.", ("In town we met Lena.",)),
    ("direction", "Prices rose last week.", "Last week prices fell.", ()),
    ("direction", "The shop opens at five.", "The shop closes at five.", ()),
    ("direction", "She sold her car.", "She bought her car.", ("The car was sold.",)),
    ("question", "Does the dog bite?", "Yes, the dog bites.", ("Is the dog a biter?",)),
    ("question", "Does the dog bite?", 'He said: "It does!"', ()),
    ("question", "The dog bites.", "Does the dog bite?", ("It is a biter!",)),
    ("question", "狗咬人吗？", "狗咬人。", ()),
    ("order", "The dog bit the man.", "The man bit the dog.", ()),
    ("order", "The dog bit the man.", "dog the man the bit", ()),
    ("repetition", "The dog bit him.", "The dog bit him, the dog bit him.", ()),
]
"""A fault, the source, the text, and the references."""
HAVE_NONE = [
    ("number", "He won nine games.", "He was the winner of 9 games.", ()),
    ("number", "It found 212 coins.", "It found two hundred and twelve coins.", ()),
    ("number", "It cost 3,500 crowns.", "The price was 3500 crowns.", ()),
    ("number", "He won nine games.", "He won all games.", ("He won every game.",)),
    ("number", "It grew by a fifth.", "It grew by 20 percent.", ("It is up 20 percent.",)),
    ("number", "Both of them came.", "The two came.", ()),
    ("negation", "The dog barked.", "The dog did not keep quiet.", ("The dog wasn't quiet.",)),
    ("negation", "He failed the test.", "He did not pass the test.", ()),
    ("negation", "He was unhappy.", "He was not happy.", ()),
    ("negation", "Will you come?", "Won't you come?", ()),
    ("name", "Lena met us in June.", "In June we met Lena.", ()),
    ("name", "We met Lena's brother.", "We met the brother of Lena.", ()),
    ("name", "We met Lena.", "We met her.", ("We met that woman.",)),
    ("name", "We went to town.", "To town we went with Max.", ("Max and I went to town.",)),
    ("direction", "Prices rose last week.", "Last week prices went up.", ()),
    ("direction", "The shop closes at five.", "The shop does not open after five.", ()),
    ("direction", "Ann is better than Bo.", "Bo is worse than Ann.", ()),
    ("direction", "Prices rose.", "Supply fell.", ("Supply fell, prices rose.",)),
    ("question", "Does the dog bite?", "does the dog bite", ()),
    ("question", "Does the dog bite?", "Tell me whether it bites.", ("Tell me if it bites.",)),
    ("question", "Can you sing? I can.", "I can sing. Can you?", ()),
    ("question", "the dog bites", "Does the dog bite?", ()),
    ("order", "The dog bit the man.", "THE DOG BIT THE MAN", ()),
    ("order", "The dog bit the man.", "The man was bitten by the dog.", ()),
    ("repetition", "Up and up and up and up it goes.", "Up and up and up and up.", ()),
    ("repetition", "He ran.", "He ran and ran and ran.", ()),
]


def found(text: str, source: str, references: tuple[str, ...]) -> set[str]:
    """The names of the faults."""
    given_faults = zip(CHECKS, faults(text, source, references), strict=True)
    return {check for check, is_fault in given_faults if is_fault}


@pytest.mark.parametrize(("check", "source", "text", "references"), HAVE)
def test_a_fault_is_found(check, source, text, references):
    assert check in found(text, source, references)


@pytest.mark.parametrize(("check", "source", "text", "references"), HAVE_NONE)
def test_what_is_attested_is_no_fault(check, source, text, references):
    assert check not in found(text, source, references)


def test_a_fault_is_found_alone():
    assert found("He won five games.", "He won nine games.", ()) == {"number"}
    assert found("He never won nine games.", "He won nine games.", ()) == {"negation"}
    assert found("He lost nine games.", "He won nine games.", ()) == {"direction"}
    assert found("He won nine games?", "He won nine games.", ()) == {"question"}


@given(st.text(max_size=60), st.text(max_size=60))
def test_what_people_wrote_has_no_faults(source, reference):
    """A text that equals the source or one of the references is attested by it."""
    assert not any(faults(source, source, (reference,)))
    assert not any(faults(reference, source, (reference,)))
