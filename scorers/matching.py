"""Soft token matching of two texts by a contextual encoder: what BERTScore and others measure.

torch is imported by what matches, since settings are asked for where nothing is measured.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from parabench.contracts import BuildContext, Example, ModelCache, Runtime, UserError
from parabench.data.filters import TextPair

from . import pretrained, scorer_options
from .parallel import deduplicated

if TYPE_CHECKING:
    from .token_vectors import LayerEncoder, TokenVectors


@dataclass(frozen=True)
class Matcher:
    """Precision, recall and F of greedy cosine matching at one layer of an encoder.

    ``layers`` counts from the embeddings, as bert-score's ``num_layers``; of an encoder-decoder the
    encoder is used. Special tokens weigh nothing; all others the same or, with ``idf_texts``, as
    rare as they are in those texts. ``baseline`` names a table of bert-score's by which values are
    rescaled, so that unrelated texts score about 0. A blank text matches nothing: 0 before
    rescaling, by bert-score's convention. Zhang et al. 2020, section 3.
    """

    runtime: Runtime
    model: str = "FacebookAI/roberta-large"
    layers: int = 17
    idf_texts: Sequence[str] = ()
    baseline: str = ""
    models: ModelCache = field(default_factory=ModelCache, repr=False, compare=False)

    @property
    def settings(self) -> tuple[tuple[str, str], ...]:
        """The signature's items; finds and checks every file, UserError for a missing one."""
        is_rescaled = _baseline(self.baseline, self.layers).any()
        rules = {
            "layers": str(self.layers),
            "idf": "sources" if self.idf_texts else "no",
            "rescaled": self.baseline if is_rescaled else "no",
            "space-first": "byte-level-bpe",
        }
        of_model = pretrained.checkpoint_items(self.model, self.runtime)
        return (*of_model, *rules.items())

    @property
    def encodings(self) -> tuple[Hashable, ...]:
        """See ``SharesEncodings``: matchers of one model, layer and runtime encode alike."""
        return ("token vectors", self.model, self.layers, self.runtime)

    def match(self, pairs: Sequence[TextPair], block: Collection[str]) -> Float[np.ndarray, "N 3"]:
        """Return precision, recall and F of each (text, reference) of ``pairs``.

        ``block``: the texts of all pairs, and what other scorers of the run read of these examples
        (``block_texts``). They are encoded together, for all of these scorers.
        """
        return deduplicated(pairs, partial(self._match, block))

    def _match(self, block: Collection[str], pairs: Sequence[TextPair]) -> Float[np.ndarray, "M 3"]:
        from .greedy_matching import greedy_matches

        result = np.zeros((len(pairs), 3))
        # pairs with a blank text keep their 0
        full = _by_reference(pairs)
        full_pairs = [pairs[at] for at in full]
        encoder = self._loaded()
        for part in encoder.parts(full_pairs, block):
            span = slice(part.start, part.stop)
            part_pairs = full_pairs[span]
            texts: Collection[str] = block
            if len(part) < len(full):
                # all texts at once would not fit: only those that this part matches
                texts = {text for pair in part_pairs for text in pair}
            encoded = encoder.encode(texts, self.runtime)
            result[full[span]] = greedy_matches(encoded, self._weights(encoded), part_pairs)
        floor = _baseline(self.baseline, self.layers)
        return (result - floor) / (1 - floor)

    def release(self) -> None:
        """Free the model; the next ``match`` loads it again."""
        self.models.clear()
        self.__dict__.pop("_idf", None)

    def _loaded(self) -> LayerEncoder:
        from .token_vectors import load_layer_encoder

        return self.models.get(load_layer_encoder, self.model, self.layers, self.runtime)

    @cached_property
    def _idf(self) -> Mapping[int, float]:
        """Inverse document frequency of each token seen: ln((M + 1) / (texts that hold it + 1))."""
        texts_with = Counter[int]()
        for ids, _ in self._loaded().tokenise(self.idf_texts):
            # a text counts a token once, however often it holds it
            texts_with.update(set(ids))
        total = len(self.idf_texts) + 1
        return {token: math.log(total / (count + 1)) for token, count in texts_with.items()}

    def _weights(self, texts: TokenVectors) -> Float[np.ndarray, " S"]:
        """The weight of each token: 0 of special ones, 1 or their rareness of others."""
        weights = 1.0 - texts.is_special
        if self.idf_texts:
            of_token = self._idf
            unseen = math.log(len(self.idf_texts) + 1)
            weights *= [of_token.get(token, unseen) for token in texts.ids.tolist()]
        return weights


def _by_reference(pairs: Sequence[TextPair]) -> list[int]:
    """The places of pairs without a blank text, those of one reference together.

    References come in the order they first appear, the pairs of one in their own.
    """
    of_reference: dict[str, list[int]] = {}
    for at, (text, reference) in enumerate(pairs):
        if text.strip() and reference.strip():
            of_reference.setdefault(reference, []).append(at)
    return list(chain.from_iterable(of_reference.values()))


@cache
def _baseline(name: str, layers: int) -> Float[np.ndarray, "3"]:
    """Precision, recall and F of unrelated texts at a layer.

    From the English tables that bert-score ships; 0 where no table is named.
    """
    if not name:
        return np.zeros(3)
    # despite the name, commas: the layer, then the three values; the first line is a header
    table = _baseline_table(name).read_text(encoding="utf-8")
    lines = table.splitlines()[1:]
    for line in lines:
        layer, *values = line.split(",")
        if int(layer) == layers:
            return np.array(values, dtype=float)
    raise UserError(
        f"rescale BERTScore by {name!r}",
        f"its table has no layer {layers}, only 0 to {len(lines) - 1}",
    )


def _baseline_table(name: str) -> Path:
    """The file of a table that bert-score ships for English; UserError where it ships none."""
    spec = find_spec("bert_score")
    package = Path(str(spec and spec.origin)).parent
    folder = package / "rescale_baseline" / "en"
    table = folder / f"{name}.tsv"
    if table.is_file():
        return table
    tables = []
    for path in folder.rglob("*.tsv"):
        inside = path.relative_to(folder)
        tables.append(inside.with_suffix("").as_posix())
    asked = f"rescale BERTScore by the baseline {name!r}"
    raise UserError(asked, "bert-score ships no such table", sorted(tables))


def block_texts(examples: Sequence[Example], texts: Sequence[str]) -> set[str]:
    """Return every text that a scorer may compare in these rows, each once.

    Sources, references, those left out, and the ``texts`` of the ``examples``. All scorers of a run
    find the same set in a block, whichever of them they read.
    """
    found = set(texts)
    for example in examples:
        found.update((example.source, example.left_out, *example.references))
    return found


def build_matcher(scorer: str, setting: BuildContext) -> Matcher:
    """Return the matcher of a suite's options ``model``, ``layers``, ``idf`` and ``baseline``.

    Raises UserError where an option is unknown, and where a ``model`` comes without its layer;
    ``scorer`` is named there.
    """
    given = scorer_options.checked_options(
        scorer, setting, model=str, layers=int, idf=bool, baseline=str
    )
    if "model" in given and "layers" not in given:
        asked = f"score {scorer} with {given['model']}"
        found = "no layer was chosen, and the best one differs from model to model"
        best = "17 of roberta-large, 40 of deberta-xlarge-mnli, 10 of bart-large"
        raise UserError(asked, found, mend=f"set layers in [scorer.{scorer}]: {best}")
    has_idf = given.pop("idf", False)
    idf_texts = setting.sources if has_idf else ()
    return Matcher(setting.runtime, idf_texts=idf_texts, **given, models=setting.models)
