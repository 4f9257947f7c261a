"""Metrics of the ``evaluate`` library as scorers, by name or local path, and scorers as metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np
from jaxtyping import Float

from parabench.contracts import Better, BuildContext, Column, Example, Scorer, Signature, UserError

from . import scorer_options
from .aggregation import additive, mean_of_defined, need_references, values_and_counts

_DIRECTIONS: Mapping[str, Better] = {
    **dict.fromkeys(("wer", "cer", "ter", "character", "charcut_mt", "perplexity"), "down"),
    **dict.fromkeys(("bleu", "sacrebleu", "google_bleu", "rouge", "meteor", "chrf"), "up"),
    **dict.fromkeys(("bertscore", "bleurt", "comet", "sari", "exact_match", "nist_mt"), "up"),
}
"""Which way is better in metrics of the library's own."""


@dataclass(frozen=True)
class Evaluate:
    """The mean over examples of one number of a metric's result, each example computed by itself.

    ``field`` names the number; left empty, it is the result's only one. ``better``: up, down or
    none; left empty, what is known of the library's own metrics, and none of any other, so that it
    does not rank. ``references``: ``all`` of them at once or ``one`` by one, of which the best by
    ``better`` counts; left empty, what the metric itself declares. A metric that declares
    ``sources`` gets them. Loading one runs its code: use only what you trust.
    """

    metric: str
    field: str = ""
    better: str = ""
    references: str = ""

    @property
    def columns(self) -> tuple[Column, ...]:
        return (
            Column(
                f"evaluate:{self.metric}",
                self._direction,
                "reference",
                4,
                "mean over examples, by the evaluate library",
            ),
        )

    @property
    def signature(self) -> Signature:
        items = {
            "metric": self.metric,
            "field": self.field or "only",
            "mean": "examples",
            "better": self._direction,
            "refs": self.references or "as-declared",
            "version": version("evaluate"),
        }
        return Signature("evaluate", tuple(items.items()))

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N 2"]:
        need_references("evaluate", examples)
        # One text a call: what a metric says of a corpus cannot be resampled.
        values = []
        for example, text in zip(examples, texts, strict=True):
            values.append([self._value(example, text)])
        return values_and_counts(np.array(values))

    @property
    def _direction(self) -> Better:
        """Which way is better: as asked for, as known, or not said."""
        # a metric may be named with its owner, or by the path of its script
        name = self.metric.rstrip("/").rpartition("/")[2].removesuffix(".py")
        known = _DIRECTIONS.get(name, "none")
        asked: Any = self.better or known
        direction: Better = asked
        return direction

    def _value(self, example: Example, text: str) -> float:
        """The number of one text: with all references, or the best with one of them."""
        if self._wants_all:
            return self._compute(example, text, list(example.references))
        several = [self._compute(example, text, one) for one in example.references]
        if self._direction == "none" and len(several) > 1:
            raise UserError(
                f"score with evaluate:{self.metric}",
                "it compares with one reference, and which of several is best is not known",
                ["up", "down"],
                f'say which way is better: [scorer."evaluate:{self.metric}"] better = "down"',
            )
        if self._direction == "down":
            return min(several)
        return max(several)

    @property
    def _wants_all(self) -> bool:
        """Whether the metric takes a list of references for each prediction."""
        if self.references:
            return self.references == "all"
        forms = _features(self._loaded)
        declared = [form["references"] for form in forms if "references" in form]
        # a plain value is one text; anything else, such as a sequence, takes several
        return not declared or any(type(form).__name__ != "Value" for form in declared)

    def _compute(self, example: Example, text: str, references: Any) -> float:
        given: dict[str, Any] = {"predictions": [text], "references": [references]}
        if any("sources" in form for form in _features(self._loaded)):
            given["sources"] = [example.source]
        try:
            result = self._loaded.compute(**given)
        except Exception as error:
            # a metric is foreign code: its own words say what it wants
            reason = str(error).strip() or "no reason given"
            found = f"{type(error).__name__}: {reason}"
            raise UserError(
                f"score example {example.id!r} with evaluate:{self.metric}",
                found,
                mend="choose a metric that compares a text with references (and sources) alone",
            ) from error
        return self._number(result)

    @additive
    def combine(self, statistics: Float[np.ndarray, "*draws N 2"]) -> Float[np.ndarray, "*draws 1"]:
        return mean_of_defined(statistics)

    @cached_property
    def _loaded(self) -> Any:
        import evaluate

        try:
            return evaluate.load(self.metric)
        # a metric is foreign code, which may end in anything while it is loaded
        except Exception as error:
            lines = str(error).strip().splitlines() or ["no reason given"]
            raise UserError(
                f"load the metric {self.metric!r} of the evaluate library",
                f"{type(error).__name__}: {lines[0]}",
                (
                    "a metric's name, where a hub is reachable",
                    "the path of a local metric script or folder",
                ),
                "parabench list scorers shows what needs no download",
            ) from error

    def _number(self, result: Mapping[str, Any]) -> float:
        numbers = {}
        for key, found in result.items():
            # a metric may give one number for each prediction, of which there is one
            is_list = isinstance(found, (list, tuple, np.ndarray)) and len(found) == 1
            value = found[0] if is_list else found
            if isinstance(value, (int, float, np.number)):
                numbers[key] = float(value)
        # Without a field the result must hold one number; the first of several is no choice.
        chosen = [self.field] if self.field else list(numbers)
        if len(chosen) != 1 or chosen[0] not in numbers:
            raise UserError(
                f"choose a number from the result of {self.metric}",
                f"field = {self.field!r}",
                sorted(numbers),
                f'set it in the suite: [scorer."evaluate:{self.metric}"] field = "…"',
            )
        return numbers[chosen[0]]


def _features(metric: Any) -> list[Any]:
    """What a metric declares to read, in one or several forms; none where it does not say."""
    declared = getattr(metric, "features", None)
    if declared is None:
        return []
    if isinstance(declared, list):
        return list(declared)
    return [declared]


def as_metric(scorer: Scorer) -> Any:
    """Return a scorer as a metric of the library, whose ``compute`` gives its columns.

    It takes ``predictions``, ``references`` (a list of lists of strings) and ``sources``; the
    result maps column names to numbers.
    """
    import datasets
    import evaluate

    class ScorerMetric(evaluate.Metric):  # type: ignore[misc]  # the library's door is inheritance
        def _info(self) -> Any:
            text = datasets.Value("string")
            features = {"predictions": text, "references": datasets.Sequence(text), "sources": text}
            about = {"description": str(scorer.signature), "citation": "", "inputs_description": ""}
            return evaluate.MetricInfo(**about, features=datasets.Features(features))

        def _compute(self, predictions: Any, references: Any, sources: Any) -> dict[str, float]:
            examples = list[Example]()
            for source, several in zip(sources, references, strict=True):
                examples.append(Example(str(len(examples)), source, tuple(several)))
            values = scorer.combine(scorer.measure(examples, predictions))
            return {
                column.name: float(value)
                for column, value in zip(scorer.columns, values, strict=True)
            }

    return ScorerMetric(keep_in_memory=True)


def build(variant: str, setting: BuildContext) -> Scorer:
    """Build ``evaluate:NAME``; options: ``field``, ``better``, ``references``, as in ``Evaluate``.

    Raises UserError where no metric is named, and where an option is unknown or has another value.
    """
    if not variant:
        raise UserError(
            "use the scorer evaluate", "no metric named", mend="name one: --scorers evaluate:meteor"
        )
    given = scorer_options.checked_options(
        "evaluate", setting, field=str, better=str, references=str
    )
    if "better" in given:
        directions = ("up", "down", "none")
        scorer_options.choose("evaluate", "better", given["better"], directions)
    if "references" in given:
        scorer_options.choose("evaluate", "references", given["references"], ("one", "all"))
    return Evaluate(variant, **given)
