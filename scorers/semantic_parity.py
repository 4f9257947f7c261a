"""Semantic parity: parity with models, in which meaning counts and not the references' wording."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from parabench.contracts import BuildContext, Column, Example, ModelCache, Scorer, Signature
from parabench.stats.folding import FOLDING, fold
from parabench.stats.leave_one_out import without_reference

from . import scorer_options
from .aggregation import additive, mean_of_defined, need_references, values_and_counts
from .chance import ORDERS
from .exact_checks import CHECKS_VERSION, faults
from .fluency import Fluency
from .matching import Matcher, block_texts, build_matcher

EXAMPLES_IN_SCALE = 500
"""Examples whose human answers make the scale, from the first on."""
FULL_MEANING = 0.9
"""Full meaning is that of the human answer that only one in ten exceeds."""
ENOUGH_CHANGE = 0.1
"""Enough change is that of the human answer that only one in ten falls short of."""
POWER = 2
"""Of meaning and expectedness: a text with half of either has a quarter of the value."""
FAULT_FACTOR = 0.5
"""What is left for each fault that an exact check finds."""

_NO_HUMAN = "no reference to spare, so no human's answers to make the scale of"


class Scale(NamedTuple):
    """What people reach on this very data; ``value`` is the mean of their products."""

    meaning: float
    change: float
    value: float = 1.0


class _Parts(NamedTuple):
    """Of each text: BERTScore, surprise over people's, change, and how many faults."""

    meaning: Float[np.ndarray, " N"]
    surprise: Float[np.ndarray, " N"]
    change: Float[np.ndarray, " N"]
    faults: Float[np.ndarray, " N"]


@dataclass(frozen=True)
class SemanticParity:
    """``(meaning x expectedness)^2 x rewording x 1/2^faults``, as % of people's mean.

    - ``meaning``: BERTScore F with the best reference, as a share of people's 90 % quantile;
    - ``expectedness``: the mean negative log-likelihood of the source and the references under a
      language model, as a share of the text's: their sums, so that who says more also pays more;
    - ``rewording``: 1 - the overlap coefficient of n-grams with the source (``source_overlap``),
      as a share of people's 10 % quantile;
    - ``faults``: how many faults ``exact_checks.faults`` finds.

    Each share is at most 1. People's quantiles and mean are of this very data: in each turn the
    reference that is left out is measured as a text is, against the others; of the first 500
    examples. Without such answers (one reference, no run) everything is undefined.

    A single example's value is its product over people's mean product, and means are means of
    these, so that people have 100 and half of their answers alone have 50.
    """

    matcher: Matcher
    language_model: Fluency
    sources: Sequence[str] = field(default=(), repr=False)
    answers: Sequence[tuple[str, ...]] = field(default=(), repr=False)

    @property
    def columns(self) -> tuple[Column, ...]:
        return (
            Column(
                "semantic-parity",
                "up",
                "both",
                1,
                "(meaning x expectedness)^2 x rewording, halved by each fault; % of people's",
            ),
            Column("meaning", "up", "reference", 3, "BERTScore over people's, at most 1"),
            Column("expectedness", "up", "both", 3, "people's surprise over the text's, at most 1"),
            Column("rewording", "up", "source", 3, "n-grams not shared over people's, at most 1"),
            Column("faults", "down", "both", 1, "% with a wrong number, name, negation, …"),
        )

    @property
    def signature(self) -> Signature:
        items = [(f"match-{name}", value) for name, value in self.matcher.settings]
        items += [(f"lm-{name}", value) for name, value in self.language_model.signature.items]
        items += {
            "meaning": f"quantile-{FULL_MEANING:g},power-{POWER}",
            "expectedness": f"sums,power-{POWER}",
            "rewording": f"overlap-coefficient,1-{ORDERS},quantile-{ENOUGH_CHANGE:g}",
            "fold": FOLDING,
            "checks": f"{CHECKS_VERSION},factor-{FAULT_FACTOR:g}",
            "scale": f"left-out,{EXAMPLES_IN_SCALE}" if self.answers else "none",
        }.items()
        return Signature("semantic-parity", tuple(items))

    @property
    def encodings(self) -> Hashable:
        """See ``SharesEncodings``: of both models the language model is the dear one."""
        return self.language_model.encodings

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N 10"]:
        need_references("semantic-parity", examples)
        if not any(self.answers):
            return values_and_counts(np.full((len(examples), 5), np.nan))
        scale = self._scale
        # the very list that ``fluency`` asks about, so that it is scored once for both
        own = self.language_model.surprise(texts)[:, 0]
        parts = self._parts(examples, texts, own)
        shares = _shares(parts, scale)
        value = 100 * _product(shares, parts) / scale.value
        return values_and_counts(
            np.column_stack([value, shares, 100 * (parts.faults > 0)]),
        )

    @additive
    def combine(
        self, statistics: Float[np.ndarray, "*draws N 10"]
    ) -> Float[np.ndarray, "*draws 5"]:
        return mean_of_defined(statistics)

    def why(self, example: Example, text: str) -> str:
        """The reason why ``text`` has no value; empty where it has one."""
        return "" if any(self.answers) else _NO_HUMAN

    def release(self) -> None:
        """Free both models; the next ``measure`` loads them again."""
        self.matcher.release()
        self.language_model.release()

    @cached_property
    def _scale(self) -> Scale:
        """Made when first needed, since building a scorer must be free."""
        examples = list[Example]()
        answers = list[str]()
        people = zip(
            self.sources[:EXAMPLES_IN_SCALE], self.answers[:EXAMPLES_IN_SCALE], strict=True
        )
        for place, (source, several) in enumerate(people):
            whole = Example(str(place), source, several)
            for turn, answer in enumerate(several):
                examples.append(without_reference(whole, turn))
                answers.append(answer)
        parts = self._parts(examples, answers, self._surprise_of_people(answers))
        scale = Scale(
            float(np.quantile(parts.meaning, FULL_MEANING)),
            float(np.quantile(parts.change, ENOUGH_CHANGE)),
        )
        mean = float(_product(_shares(parts, scale), parts).mean())
        return scale._replace(value=mean)

    @cached_property
    def _known_surprise(self) -> Mapping[str, float]:
        """- ln p of all texts that make the scale: sources and answers come again in every call."""
        texts = dict.fromkeys(self.sources[:EXAMPLES_IN_SCALE])
        for several in self.answers[:EXAMPLES_IN_SCALE]:
            texts |= dict.fromkeys(several)
        found = self.language_model.surprise(list(texts))[:, 0]
        return dict(zip(texts, found.tolist(), strict=True))

    def _surprise_of_people(self, texts: Sequence[str]) -> Float[np.ndarray, " N"]:
        """- ln p of sources and references."""
        found = self._known_surprise
        unknown = list(dict.fromkeys(text for text in texts if text not in found))
        if unknown:
            others = self.language_model.surprise(unknown)[:, 0]
            found = {**found, **dict(zip(unknown, others.tolist(), strict=True))}
        return np.array([found[text] for text in texts])

    def _parts(
        self, examples: Sequence[Example], texts: Sequence[str], own: Float[np.ndarray, " N"]
    ) -> _Parts:
        """What is known of ``texts``, whose - ln p is ``own``."""
        changes = list[float]()
        found = list[int]()
        for example, text in zip(examples, texts, strict=True):
            changes.append(1 - source_overlap(text, example.source))
            found.append(sum(faults(text, example.source, example.references)))
        return _Parts(
            self._meaning(examples, texts),
            own / self._mean_surprise(examples),
            np.array(changes),
            np.array(found, dtype=float),
        )

    def _meaning(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, " N"]:
        """BERTScore F with the best reference."""
        pairs = list[tuple[str, str]]()
        starts = list[int]()
        for example, text in zip(examples, texts, strict=True):
            starts.append(len(pairs))
            pairs += [(text, reference) for reference in example.references]
        matched = self.matcher.match(pairs, block_texts(examples, texts))[:, 2]
        # the maximum from each example's start up to the next one's
        best: Float[np.ndarray, " N"] = np.maximum.reduceat(matched, np.array(starts, dtype=int))
        return best

    def _mean_surprise(self, examples: Sequence[Example]) -> Float[np.ndarray, " N"]:
        """- ln p of what people wrote of each example, its source included: the mean."""
        written = list[str]()
        starts = list[int]()
        for example in examples:
            starts.append(len(written))
            written += [example.source, *example.references]
        sums = np.add.reduceat(self._surprise_of_people(written), np.array(starts, dtype=int))
        means: Float[np.ndarray, " N"] = sums / np.diff([*starts, len(written)])
        return means


def source_overlap(text: str, source: str) -> float:
    """Return the overlap coefficient of n-grams, 0 to 1: the mean over orders 1 to 4.

    Shared n-grams over those of the shorter text: 1 for a copy, for any part of the ``source`` and
    for any ``text`` that holds it whole, so that neither deleting nor adding is rewording. Case and
    punctuation are folded first. Szymkiewicz 1934; Simpson 1943.
    """
    words, given = fold(text).split(), fold(source).split()
    found = list[float]()
    for order in range(1, ORDERS + 1):
        own, old = _grams(words, order), _grams(given, order)
        # of a text without n-grams of this order nothing is known but by lower ones
        if shorter := min(own.total(), old.total()):
            found.append((own & old).total() / shorter)
    return float(np.mean(found)) if found else 0.0


def _grams(words: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[at : at + order]) for at in range(len(words) - order + 1))


def _shares(parts: _Parts, scale: Scale) -> Float[np.ndarray, "N 3"]:
    """Meaning, expectedness and rewording, each from 0 to 1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.column_stack(
            [
                parts.meaning / scale.meaning,
                1 / parts.surprise,
                # where people may copy as well, a copy is no fault
                parts.change / scale.change if scale.change else np.ones_like(parts.change),
            ]
        )
    return np.clip(shares, 0.0, 1.0)


def _product(shares: Float[np.ndarray, "N 3"], parts: _Parts) -> Float[np.ndarray, " N"]:
    meaning, expectedness, rewording = shares.T
    product: Float[np.ndarray, " N"] = (meaning * expectedness) ** POWER * rewording
    return product * FAULT_FACTOR**parts.faults


def build(variant: str, setting: BuildContext) -> Scorer:
    """Build ``semantic-parity``; options: ``model`` with its ``layers`` for meaning, ``causal`` and
    ``begin`` for the language model.

    Raises UserError where an option is unknown, and where a ``model`` comes without its layer.
    """
    scorer_options.no_variant("semantic-parity", variant)
    given = scorer_options.checked_options(
        "semantic-parity", setting, model=str, layers=int, causal=str, begin=str
    )
    matching: dict[str, str | int | float | bool] = {
        name: given[name] for name in ("model", "layers") if name in given
    }
    # The language model is the cache's, shared with ``fluency``; a cache holds one model.
    matcher = build_matcher(
        "semantic-parity", replace(setting, options=matching, models=ModelCache())
    )
    writing = {"begin": given.get("begin", "")}
    if "causal" in given:
        writing["model"] = given["causal"]
    language_model = Fluency(setting.runtime, **writing, models=setting.models)
    return SemanticParity(matcher, language_model, setting.sources, setting.human_answers)
