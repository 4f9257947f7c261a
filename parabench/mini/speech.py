"""How a pattern with a word chosen for each of its points becomes one sentence of text."""

from collections.abc import Mapping

from parabench.mini import lexicon
from parabench.mini.grammar import Frame, Pattern, Piece


class _Speaker:
    """Says the pieces of one pattern with the words chosen."""

    def __init__(self, frame: Frame, slots: Mapping[str, str], words: Mapping[str, str]) -> None:
        self.frame, self.slots, self.words, self.tense = frame, slots, words, slots["tense"]

    def singular(self, slot: str) -> bool:
        """Whether a noun phrase takes a singular verb."""
        determiner = self.slots[slot].partition("/")[0]
        concept = lexicon.determiners().get(determiner)
        many = bool(concept) and determiner not in ("the", "a", "")
        return (
            not many
            or self.words[f"{slot}:determiner"] in lexicon.determiners()[determiner].restricted
        )

    def noun_phrase(self, slot: str) -> str:
        """Determiner, adjective and noun."""
        noun = self.words[f"{slot}:noun"]
        noun = noun if self.singular(slot) else lexicon.plural(noun)
        adjective = self.words.get(f"{slot}:adjective", "")
        phrase = f"{adjective} {noun}" if adjective else noun
        determiner = self.words[f"{slot}:determiner"]
        determiner = lexicon.article(phrase) if determiner == "a" else determiner
        return f"{determiner} {phrase}" if determiner else phrase

    def place(self, slot: str, bare: bool) -> str:
        """A place, with its preposition unless bare."""
        category, concept = lexicon.nouns()[self.slots[slot]]
        article = "" if category in lexicon.listed("articleless") else "the "
        preposition = "" if bare or not concept.preposition else concept.preposition + " "
        return preposition + article + self.words[f"{slot}:noun"]

    def literal(self, piece: Piece) -> str:
        """A verb or function word that the pattern names itself."""
        many = bool(piece.agrees) and not self.singular(piece.agrees)
        past = self.tense == "past"
        if piece.slot == "it":
            return "it was" if past else "it is"
        if piece.slot == "eq":
            return lexicon.finite_form("be", self.tense if past else "habit", many)
        if piece.slot == "who":
            noun = self.slots[piece.agrees].split("/")[2]
            return "who" if lexicon.nouns()[noun][0] in lexicon.listed("human") else "that"
        word = self.words.get(f"{piece.slot}:function")
        if word is None or piece.slot in lexicon.listed("verbal"):
            verb = word or piece.slot
            return (
                lexicon.inflect(verb, piece.form)
                if piece.form
                else lexicon.finite_form(verb, self.tense, many)
            )
        return word

    def say(self, piece: Piece) -> str:
        """One piece as text."""
        if not piece.slot or piece.slot not in self.frame.slots:
            return piece.text or self.literal(piece)
        slot, form = piece.slot, piece.form
        kind, _, group = self.frame.slots[slot].partition(" ")
        if "/" in self.slots[slot]:
            phrase = self.noun_phrase(slot)
            return (
                (phrase + "'s" if self.singular(slot) else phrase + "'")
                if form == "own"
                else phrase
            )
        if kind == "verb" and form != "noun":
            verb = self.words[f"{slot}:word"]
            if form in ("base", "ing", "participle"):
                return lexicon.inflect(verb, form)
            return lexicon.finite_form(
                verb, self.tense, bool(piece.agrees) and not self.singular(piece.agrees)
            )
        if kind in ("place", "nature", "city", "country"):
            return self.place(slot, form == "bare")
        if group == "situation":
            past = self.tense == "past"
            phrase = self.words[f"{slot}:word"].replace("@@", "were" if past else "are")
            return phrase.replace("@", "was" if past else "is")
        if form == "a":
            return f"{lexicon.article(self.words[f'{slot}:noun'])} {self.words[f'{slot}:noun']}"
        return next(
            self.words[key]
            for key in (f"{slot}:{form or 'word'}", f"{slot}:noun")
            if key in self.words
        )


def _attributed(core: str, words: Mapping[str, str]) -> str:
    source, said = words["source:word"], words["source:said"]
    return {
        "front": f"according to {source}, {core}",
        "that": f"{source} {said} that {core}",
        "end": f"{core}, {source} {said}",
        "aside": f"{core}, according to {source}",
    }[words["source:position"]]


def realise_sentence(
    frame: Frame, pattern: Pattern, slots: Mapping[str, str], words: Mapping[str, str]
) -> str:
    """The sentence that a pattern makes with a word chosen for each of its points."""
    speaker = _Speaker(frame, slots, words)
    core = "".join(speaker.say(piece) for piece in pattern.pieces)
    time, position = words.get("time:word", ""), words.get("time:position", "back")
    core = core.replace("[]", time if position == "back" else "")
    if position == "front":
        core = f"{time}, {core}"
    if position == "cleft":
        core = f"it was {time} that {core}"
    core = _attributed(core.strip(), words) if "source" in slots else core
    text = " ".join(core.split()).replace(" ,", ",").replace("will be not ", "will not be ")
    return text[0].upper() + text[1:] + ("" if text.endswith("?") else ".")
