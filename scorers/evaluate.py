"""Any metric of the ``evaluate`` library as a scorer, by name or local path, and any scorer as such
a metric.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np
from jaxtyping import Float

from parabench.contracts import BuildContext, Column, Example, Scorer, Signature, UserError

from . import scorer_options
from .aggregation import additive, mean_of_defined, need_references, values_and_counts


@dataclass(frozen=True)
class Evaluate:
    """The mean over examples of one number of a metric's result, each example computed by itself.

    ``field`` names the number; left empty, it is the result's only one. The metric gets the text as
    its prediction and the example's references as its references. Loading one runs its code: use
    only what you trust.
    """

    metric: str
    field: str = ""

    @property
    def columns(self) -> tuple[Column, ...]:
        return (
            Column(
                f"evaluate:{self.metric}",
                "up",
                "reference",
                4,
                "mean over examples, by the evaluate library",
            ),
        )

    @property
    def signature(self) -> Signature:
        items = {"metric": self.metric, "field": self.field or "only", "mean": "examples"}
        return Signature("evaluate", tuple((items | {"version": version("evaluate")}).items()))

    def measure(
        self, examples: Sequence[Example], texts: Sequence[str]
    ) -> Float[np.ndarray, "N 2"]:
        need_references("evaluate", examples)
        results = [
            self._loaded.compute(predictions=[text], references=[list(example.references)])
            for example, text in zip(examples, texts, strict=True)
        ]
        return values_and_counts(np.array([[self._number(result)] for result in results]))

    @additive
    def combine(self, statistics: Float[np.ndarray, "*draws N 2"]) -> Float[np.ndarray, "*draws 1"]:
        return mean_of_defined(statistics)

    @cached_property
    def _loaded(self) -> Any:
        import evaluate

        try:
            return evaluate.load(self.metric)
        except (FileNotFoundError, ConnectionError, ImportError) as error:
            raise UserError(
                f"load the metric {self.metric!r} of the evaluate library",
                str(error).splitlines()[0],
                (
                    "a metric's name, where a hub is reachable",
                    "the path of a local metric script or folder",
                ),
                "parabench list scorers shows what needs no download",
            ) from error

    def _number(self, result: Mapping[str, Any]) -> float:
        numbers = {
            key: float(value)
            for key, value in result.items()
            if isinstance(value, (int, float, np.number))
        }
        chosen = [self.field] if self.field else list(numbers)
        if len(chosen) != 1 or chosen[0] not in numbers:
            raise UserError(
                f"choose a number from the result of {self.metric}",
                f"field = {self.field!r}",
                sorted(numbers),
                f'set it in the suite: [scorer."evaluate:{self.metric}"] field = "…"',
            )
        return numbers[chosen[0]]


def as_metric(scorer: Scorer) -> Any:
    """A scorer as a metric of the library: ``compute(predictions=…, references=…, sources=…)``
    gives its columns.

    ``references`` is a list of lists of strings; the result maps column names to numbers.
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
            rows = enumerate(zip(sources, references, strict=True))
            examples = [
                Example(str(number), source, tuple(several)) for number, (source, several) in rows
            ]
            values = scorer.combine(scorer.measure(examples, predictions))
            return {
                column.name: float(value)
                for column, value in zip(scorer.columns, values, strict=True)
            }

    return ScorerMetric(keep_in_memory=True)


def build(variant: str, setting: BuildContext) -> Scorer:
    """Build ``evaluate:NAME``; option: ``field``, which number of its result to take."""
    if not variant:
        raise UserError(
            "use the scorer evaluate", "no metric named", mend="name one: --scorers evaluate:meteor"
        )
    return Evaluate(variant, **scorer_options.read_options("evaluate", setting, field=str))
