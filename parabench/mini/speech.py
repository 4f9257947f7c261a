"""How a pattern with a word chosen for each of its points becomes one sentence of text."""

from collections.abc import Mapping

from parabench.mini import lexicon
from parabench.mini.patterns import Frame, Pattern, Piece

_PLACES = ("place", "nature", "city", "country")
_PLAIN_DETERMINERS = ("the", "a", "")


class _Speaker:
    """Says the pieces of one pattern with the words chosen."""

    def __init__(self, frame: Frame, slots: Mapping[str, str], words: Mapping[str, str]) -> None:
        self.frame = frame
        self.slots = slots
        self.words = words
        self.is_past = slots["tense"] == "past"

    def singular(self, slot: str) -> bool:
        """Whether a noun phrase takes a singular verb."""
        determiner = self.slots[slot].partition("/")[0]
        concept = lexicon.determiners().get(determiner)
        if concept is None or determiner in _PLAIN_DETERMINERS:
            return True
        # "every guest" takes a singular where "all guests", of the same meaning, does not.
        word = self.words[f"{slot}:determiner"]
        return word in concept.restricted

    def plural_subject(self, piece: Piece) -> bool:
        """Whether a verb agrees with a noun phrase in the plural."""
        return bool(piece.agrees) and not self.singular(piece.agrees)

    def noun_phrase(self, slot: str) -> str:
        """Determiner, adjective and noun."""
        noun = self.words[f"{slot}:noun"]
        phrase = noun if self.singular(slot) else lexicon.plural(noun)
        if adjective := self.words.get(f"{slot}:adjective"):
            phrase = f"{adjective} {phrase}"
        determiner = self.words[f"{slot}:determiner"]
        if determiner == "a":
            determiner = lexicon.article(phrase)
        if not determiner:
            return phrase
        return f"{determiner} {phrase}"

    def place(self, slot: str, bare: bool) -> str:
        """A place, with its preposition unless bare."""
        category, concept = lexicon.nouns()[self.slots[slot]]
        words = [self.words[f"{slot}:noun"]]
        if category not in lexicon.word_list("articleless"):
            words.insert(0, "the")
        if concept.preposition and not bare:
            words.insert(0, concept.preposition)
        return " ".join(words)

    def literal(self, piece: Piece) -> str:
        """A verb or function word that the pattern names itself."""
        slot = piece.slot
        many = self.plural_subject(piece)
        if slot == "it":
            return "it was" if self.is_past else "it is"
        if slot == "eq":
            # What is equal remains so: there is no "will be" in a definition.
            tense = "past" if self.is_past else "habit"
            return lexicon.finite_form("be", tense, many)
        if slot == "who":
            return self.relative_pronoun(piece.agrees)
        word = self.words.get(f"{slot}:function")
        is_verb = slot in lexicon.word_list("verbal")
        if word is not None and not is_verb:
            return word
        verb = word or slot
        if piece.form:
            return lexicon.inflect(verb, piece.form)
        return lexicon.finite_form(verb, self.slots["tense"], many)

    def relative_pronoun(self, slot: str) -> str:
        """``who`` behind people, ``that`` behind things."""
        _, _, noun = self.slots[slot].split("/")
        category, _ = lexicon.nouns()[noun]
        is_human = category in lexicon.word_list("human")
        return "who" if is_human else "that"

    def say(self, piece: Piece) -> str:
        """One piece as text."""
        slot = piece.slot
        form = piece.form
        # No slot has an empty name: literal text is none of the frame's.
        if slot not in self.frame.slots:
            return piece.text or self.literal(piece)
        kind, _, group = self.frame.slots[slot].partition(" ")
        if "/" in self.slots[slot]:
            phrase = self.noun_phrase(slot)
            if form == "own":
                return self.possessive(slot, phrase)
            return phrase
        if kind == "verb" and form != "noun":
            return self.verb(piece)
        if kind in _PLACES:
            return self.place(slot, form == "bare")
        if group == "situation":
            return self.situation(slot)
        if form == "a":
            noun = self.words[f"{slot}:noun"]
            return f"{lexicon.article(noun)} {noun}"
        point = form or "word"
        chosen = self.words.get(f"{slot}:{point}")
        if chosen is None:
            return self.words[f"{slot}:noun"]
        return chosen

    def possessive(self, slot: str, phrase: str) -> str:
        """A noun phrase as an owner."""
        if self.singular(slot):
            return f"{phrase}'s"
        return f"{phrase}'"

    def verb(self, piece: Piece) -> str:
        """A verb in the form that the piece asks for, else in the sentence's tense."""
        verb = self.words[f"{piece.slot}:word"]
        if piece.form in ("base", "ing", "participle"):
            return lexicon.inflect(verb, piece.form)
        many = self.plural_subject(piece)
        return lexicon.finite_form(verb, self.slots["tense"], many)

    def situation(self, slot: str) -> str:
        """A clause; its ``@@`` and ``@`` stand for *to be* in the plural and singular."""
        plural, singular = ("were", "was") if self.is_past else ("are", "is")
        phrase = self.words[f"{slot}:word"]
        # The longer mark first, since it holds the shorter one.
        phrase = phrase.replace("@@", plural)
        return phrase.replace("@", singular)


def _timed(core: str, words: Mapping[str, str]) -> str:
    """A clause with its time, if it has one, behind it, before it or in focus."""
    time = words.get("time:word", "")
    position = words.get("time:position", "back")
    # "[]" is where a pattern has its time if it does not begin with it.
    behind = time if position == "back" else ""
    core = core.replace("[]", behind)
    if position == "front":
        core = f"{time}, {core}"
    if position == "cleft":
        core = f"it was {time} that {core}"
    return core.strip()


def _attributed(core: str, words: Mapping[str, str]) -> str:
    source = words["source:word"]
    said = words["source:said"]
    forms = {
        "front": f"according to {source}, {core}",
        "that": f"{source} {said} that {core}",
        "end": f"{core}, {source} {said}",
        "aside": f"{core}, according to {source}",
    }
    return forms[words["source:position"]]


def realise_sentence(
    frame: Frame, pattern: Pattern, slots: Mapping[str, str], words: Mapping[str, str]
) -> str:
    """The sentence that a pattern makes with a word chosen for each of its points.

    ``slots`` are the concepts of the meaning by slot of the ``frame``, ``words`` the word at each
    point of the ``pattern``.
    """
    speaker = _Speaker(frame, slots, words)
    said = [speaker.say(piece) for piece in pattern.pieces]
    core = _timed("".join(said), words)
    if "source" in slots:
        core = _attributed(core, words)
    # An empty word leaves a blank too many behind it.
    text = " ".join(core.split())
    text = text.replace(" ,", ",")
    text = text.replace("will be not ", "will not be ")
    if not text.endswith("?"):
        text += "."
    return text[0].upper() + text[1:]
