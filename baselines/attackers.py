"""Attackers: sentinels that try to look like a paraphraser, made of the source alone.

``attack-antonyms``, ``attack-stuffing``, … each have one fault that some column does not see. A
column that cannot put people above all of them is fooled by that fault. Nothing is downloaded and
no model is loaded: words are exchanged by the short English lists of ``attack_words``.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from parabench.contracts import BuildContext, UserError

from .attack_words import (
    ANTONYMS,
    FREQUENT_WORDS,
    GERMAN,
    HYPONYMS,
    NAMES,
    NUMBER_WORDS,
    WRONG_SENSES,
    exchange_words,
    is_content,
)
from .corpus_attackers import same_names_rule, stuffing_rule, word_soup_rule
from .sentinels import Rule, Sentinel, chance_for

# ---- other words


def antonyms(source: str, setting: BuildContext) -> str:
    """The source with words turned into their opposites; where it has none, denied."""
    changed = exchange_words(source, ANTONYMS)
    if changed != source:
        return changed
    return f"By no means: {_inside_sentence(source)}"


def _inside_sentence(source: str) -> str:
    """A sentence as it stands after other words: its first letter is small."""
    initial = source[:1]
    rest = source[1:]
    return initial.lower() + rest


def wrong_senses(source: str, setting: BuildContext) -> str:
    """Words replaced by synonyms of another sense, else by words for one of their kinds."""
    return exchange_words(source, WRONG_SENSES, [HYPONYMS])


def hyponyms(source: str, setting: BuildContext) -> str:
    """Words replaced by words for one kind of what they mean: ``a dog`` becomes ``a poodle``."""
    return exchange_words(source, HYPONYMS)


def changed_facts(source: str, setting: BuildContext) -> str:
    """Other numbers, and other names in the place of names."""
    chance = chance_for("facts", source, setting)

    def changed(match: re.Match[str]) -> str:
        word = match.group()
        if word.isdigit():
            return _other_number(word, chance)
        number_word = word.lower()
        if number_word in NUMBER_WORDS:
            others = [one for one in NUMBER_WORDS if one != number_word]
            return chance.choice(others)
        # the first word has a capital whatever it is
        begins_sentence = match.start() == 0
        has_capital = word[0].isupper()
        if has_capital and not begins_sentence and is_content(word):
            return chance.choice(NAMES)
        return word

    return re.sub(r"\w+", changed, source)


def _other_number(digits: str, chance: random.Random) -> str:
    """Another number of as many digits."""
    count = len(digits)
    numbers = 10**count
    # a step of 1 to numbers - 1, counted round: never the same number
    step = chance.randrange(1, numbers)
    other = (int(digits) + step) % numbers
    return str(other).zfill(count)


def other_language(source: str, setting: BuildContext) -> str:
    """The source with its function words in German, which is a paraphrase in no language."""
    return exchange_words(source, GERMAN)


# ---- another order


def swapped_roles(source: str, setting: BuildContext) -> str:
    """Who does it and to whom it is done change places: the first and the last noun phrase.

    Without a parser, a noun phrase is a run of content words with the articles before it.
    """
    # words, and what stands between them
    pieces = re.findall(r"\w+(?:['’-]\w+)*|\W+", source)
    content = []
    for at, piece in enumerate(pieces):
        is_word = piece[0].isalnum()
        if is_word and is_content(piece):
            content.append(at)
    if len(content) < 2:
        return source
    first = content[0]
    last = content[-1]
    pieces[first], pieces[last] = pieces[last], pieces[first]
    return "".join(pieces)


def scrambled_clauses(source: str, setting: BuildContext) -> str:
    """Clauses in another order; a sentence of one clause is cut in its middle."""
    body = source.rstrip(".!?")
    ending = source[len(body) :]
    pieces = re.split(r"\s*[,;:]\s*|\s+(?=and |but |because |when )", body)
    clauses = [piece for piece in pieces if piece]
    if len(clauses) < 2:
        words = body.split()
        middle = len(words) // 2
        clauses = [" ".join(words[:middle]), " ".join(words[middle:])]
    first, *others = clauses
    scrambled = ", ".join([*others, first])
    return scrambled.strip(" ,") + ending


# ---- fewer and more words


def deleted_words(source: str, setting: BuildContext) -> str:
    """The source without a third of its content words."""
    words = source.split()
    content = []
    for at, word in enumerate(words):
        bare = word.strip(".,;:!?\"'")
        if is_content(bare):
            content.append(at)
    count = 0  # a single content word stays
    if len(content) > 1:
        count = (len(content) + 2) // 3  # rounded up
    chance = chance_for("deleted", source, setting)
    gone = set(chance.sample(content, count))
    return " ".join(word for at, word in enumerate(words) if at not in gone)


def padded_deletion(source: str, setting: BuildContext) -> str:
    """The source without a third of its content words, as long as before by frequent words."""
    kept = deleted_words(source, setting).split()
    missing = len(source.split()) - len(kept)
    chance = chance_for("padded", source, setting)
    for _ in range(missing):
        place = chance.randrange(len(kept) + 1)
        word = chance.choice(FREQUENT_WORDS)
        kept.insert(place, word)
    return " ".join(kept)


def template(source: str, setting: BuildContext) -> str:
    """The source inside a phrase that fits every sentence."""
    body = source.rstrip(".!? ")
    return f"It is said that {_inside_sentence(body)}, as has been reported."


def capitals(source: str, setting: BuildContext) -> str:
    """The source in capitals, with other punctuation: the same words to every reader."""
    body = source.upper().rstrip(".!?")
    words = body.split()
    return " - ".join(words) + "!!!"


# ---- other sentences


def generic(source: str, setting: BuildContext) -> str:
    """One sentence that is the answer to everything."""
    return "This is something that people have often said before."


_PLAIN: dict[str, Rule] = {
    "antonyms": antonyms,
    "wrong-senses": wrong_senses,
    "hyponyms": hyponyms,
    "other-language": other_language,
    "swapped-roles": swapped_roles,
    "scrambled-clauses": scrambled_clauses,
    "template": template,
    "capitals": capitals,
    "generic": generic,
    "changed-facts": changed_facts,
    "deleted-words": deleted_words,
    "padded-deletion": padded_deletion,
}
"""Rules that read one source at a time."""
_REMEMBERING: dict[str, Callable[[], Rule]] = {
    "stuffing": stuffing_rule,
    "word-soup": word_soup_rule,
    "same-names": same_names_rule,
}
"""Makers of rules that read the other sources too."""
_SEEDED = ("changed-facts", "deleted-words", "padded-deletion", "word-soup", "same-names")

ATTACKERS = tuple(f"attack-{kind}" for kind in (*_PLAIN, *_REMEMBERING))
"""All attackers, by the names of their rows."""


def build_attacker(variant: str, setting: BuildContext) -> Sentinel:
    """Build the attacker ``attack-VARIANT``; raises UserError where there is none of that kind."""
    name = f"attack-{variant}" if variant else "attack"
    if name not in ATTACKERS:
        raise UserError(f"use the system {name}", "no such attacker", ATTACKERS)
    rule = _PLAIN.get(variant)
    if rule is None:
        make_rule = _REMEMBERING[variant]
        rule = make_rule()
    return Sentinel(name, rule, setting, seeded=variant in _SEEDED)
