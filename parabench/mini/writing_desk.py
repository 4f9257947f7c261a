"""Where the writers of all kinds of documents get their meanings, names and chance from."""

import random
from collections.abc import Callable, Sequence

from parabench.mini import lexicon
from parabench.mini.language import Realisation, realisations
from parabench.mini.meanings import Meaning, meanings


class WritingDesk:
    """One seed's draws, in the order in which they are asked for."""

    def __init__(self, seed: int) -> None:
        self.generator = random.Random(f"documents {seed}")
        self.supply = meanings("train", seed)

    def names(self, count: int) -> list[str]:
        """Distinct first names."""
        concepts = lexicon.concepts("noun", "name")
        names = [concept.words[0] for concept in concepts.values()]
        return self.generator.sample(names, count)

    def number(self, least: int, most: int) -> int:
        """How many there are of something."""
        return self.generator.randint(least, most)

    def phrase(self, phrases: Sequence[str]) -> str:
        """One of some phrases."""
        return self.generator.choice(phrases)

    def meaning(self) -> Meaning:
        """The next training meaning."""
        return next(self.supply)

    def meaning_that(self, is_wanted: Callable[[Meaning], bool]) -> Meaning:
        """The next training meaning that is wanted."""
        while True:
            meaning = next(self.supply)
            if is_wanted(meaning):
                return meaning

    def sentence(self, meaning: Meaning) -> Realisation:
        """One sentence that says a meaning."""
        return realisations(meaning, self.generator, 1)[0]

    def fresh(self) -> str:
        """Any sentence of the training split."""
        meaning = self.meaning()
        return self.sentence(meaning).text
