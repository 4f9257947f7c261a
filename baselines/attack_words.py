"""Word lists of the attackers: short, built in, English."""

from __future__ import annotations

import re
from collections.abc import Sequence

_FUNCTION_TEXT = """
    a about above after again all also although am an and any are as at be because been before
    being below between both but by can could did do does doing down during each few for from had
    has have having he her here hers him his how i if in into is it its just me more most my no nor
    not now of off on once only or other our out over own same she should so some such than that
    the their them then there these they this those through to too under until up very was we were
    what when where which while who whom why will with would you your
    """
FUNCTION_WORDS = frozenset(_FUNCTION_TEXT.split())

_FREQUENT_TEXT = """
    the of and to in a is that it was for on are as with his they be at one have this from or had
    by but what some we can out other were all there when up use your how said an each she which
    """
FREQUENT_WORDS = tuple(_FREQUENT_TEXT.split())
"""The commonest words of English text, commonest first."""

FREQUENT_FOURGRAMS = (
    "at the end of the",
    "in the middle of the",
    "for the first time in",
    "one of the most important",
    "according to the people who",
    "it was said that the",
    "because of the fact that",
    "as a result of the",
)
"""Sequences that stand in many texts, each holding one 4-gram or more."""

_ANTONYM_TEXT = """
    all none always never more less most least many few big small large little long short high low
    old young new ancient good bad best worst better worse early late first last open closed
    opened shut rise fall rose fell rising falling increase decrease increased decreased up down
    in out before after above below left right love hate loved hated like dislike win lose won lost
    begin end began ended start stop started stopped come go came went arrive leave arrived left
    buy sell bought sold give take gave took accept reject accepted rejected allow forbid allowed
    forbade agree disagree agreed disagreed strong weak hot cold warm cool dry wet light heavy
    fast slow quickly slowly quick sluggish easy hard happy sad rich poor full empty near far true
    false safe dangerous clean dirty day night morning evening summer winter man woman men women
    boy girl boys girls brother sister mother father husband wife friend enemy friends enemies
    success failure success defeat succeeded failed remember forget remembered forgot
    inside outside today yesterday north south east west black white public private
    cheap expensive possible impossible likely unlikely legal illegal healthy ill alive dead
    asleep awake noisy quiet cannot can nothing everything nobody everybody without with
    """


def _pairs(text: str) -> list[tuple[str, str]]:
    """Each word of odd place with the one after it."""
    words = text.split()
    return list(zip(words[::2], words[1::2], strict=True))


ANTONYMS: dict[str, str] = {}
"""The opposite of each word; of several, the first one listed."""
for _one, _other in _pairs(_ANTONYM_TEXT):
    ANTONYMS.setdefault(_one, _other)
    ANTONYMS.setdefault(_other, _one)

_HYPONYM_TEXT = """
    dog poodle cat siamese bird sparrow fish herring horse pony tree oak flower tulip fruit plum
    vegetable leek car limousine vehicle tram boat canoe ship tanker road motorway street alley
    house bungalow building warehouse room pantry shop bakery store pharmacy school kindergarten
    food porridge drink lemonade water rainwater river brook lake pond mountain volcano rain
    drizzle snow sleet wind gale man bachelor woman widow child toddler children toddlers people
    pensioners person pensioner doctor dentist teacher tutor worker welder manager foreman
    president chairman minister bishop police sheriffs court tribunal law bylaw money small-change
    price toll prices tolls book atlas books atlases letter postcard music opera song ballad film
    cartoon game chess team choir company bakery city capital town suburb village hamlet country
    island government cabinet war skirmish disease measles hospital hospice plane glider train
    tram phone walkie-talkie computer abacus meeting banquet day thursday year leap-year week
    fortnight month february clothes pyjamas dress nightdress hat bonnet shoe slipper shoes
    slippers work overtime job apprenticeship
    """

_WRONG_SENSE_TEXT = """
    bank shore light lamp right starboard left port fair carnival match lighter case suitcase
    state nation board plank plant factory spring coil fall autumn second moment minute tiny
    point tip present gift letter character mean stingy kind sort cool chilly hard stony party
    feast bill beak note tone tie draw file rasp pass gorge press squeeze run jog train coach
    watch clock wave surf tear rip close near long yearn miss young-lady current stream order
    sequence interest hobby subject underling sentence verdict term semester figure digit table
    chart seat chair record disc play drama part role deal timber lead metal close shut may spring
    will testament can tin mine pit well fountain back spine head chief hand palm face dial
    foot bottom leg stage arm weapon charge rush issue offspring change coins check cheque cross
    angry date palm-fruit rest remainder rock sway ring phone round circular row quarrel scale
    lizard-skin set collection sound healthy sink basin stick twig strike walkout trip stumble
    yard metre volume loudness
    """

WRONG_SENSES = dict(_pairs(_WRONG_SENSE_TEXT))
"""A synonym of a word in a sense that the word seldom has."""
HYPONYMS = dict(_pairs(_HYPONYM_TEXT))
"""A word for one kind of what a word means."""

NAMES = ("Aldous", "Brunhilde", "Castor", "Dagny", "Evander", "Fenwick", "Griselda", "Horatio")
"""Names that stand in hardly any text, put in the place of names."""
_NUMBER_TEXT = """
    one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty sixty
    hundred thousand million
    """
NUMBER_WORDS = tuple(_NUMBER_TEXT.split())

_GERMAN_TEXT = """
    the der a ein an eine and und or oder not nicht is ist are sind was war were waren in in on auf
    at an to zu of von for für with mit from aus by durch that dass this dies it es he er she sie
    they sie we wir you du i ich his sein her ihr their ihr our unser my mein had hatte has hat
    have haben will wird can kann could konnte would würde should sollte but aber if wenn when als
    who wer which welche what was there dort here hier all alle no kein one eins two zwei
    three drei more mehr very sehr also auch after nach before vor
    """
GERMAN = dict(_pairs(_GERMAN_TEXT))
"""German for the function words of English."""

_WORD = re.compile(r"\w+(?:['’.,-]\w+)*")


def words_of(text: str) -> list[str]:
    """The words of a text without the punctuation between them."""
    return _WORD.findall(text)


def is_content(word: str) -> bool:
    """Whether a word is none of English's function words."""
    return word.lower() not in FUNCTION_WORDS


def exchange_words(text: str, table: dict[str, str], others: Sequence[dict[str, str]] = ()) -> str:
    """The text with the words of ``table``, else of the first of ``others`` that has them.

    A capital stays a capital; punctuation and spaces stay as they are.
    """

    def exchanged(match: re.Match[str]) -> str:
        word = match.group()
        for one in (table, *others):
            found = one.get(word.lower())
            if found is not None:
                if word[0].isupper():
                    return found.capitalize()
                return found
        return word

    return _WORD.sub(exchanged, text)
