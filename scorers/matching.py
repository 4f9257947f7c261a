"""Soft token matching of two texts by a contextual encoder: what BERTScore and others measure.

The matching is bert-score's own function. Its tokenisation is not called, because under
transformers 5 it silently drops the leading space that byte-level BPE needs, and fails on empty
text and on tokenizers without a length limit.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from parabench.contracts import BuildContext, ModelCache, Runtime, UserError
from parabench.inference.batching import by_length, in_batches
from parabench.models.checkpoints import locate
from parabench.models.loading import load_encoder

from . import pretrained, scorer_options
from .parallel import deduplicated
from .pretrained import ScorerModel

PAIRS = 64
"""Pairs matched, and texts encoded, at once."""

Encoded = tuple[Float[Tensor, "_ H"], Float[Tensor, " _"]]
"""A text's token vectors, and the weight of each token; texts differ in length."""


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
        return (*pretrained.checkpoint_items(self.model, self.runtime), *rules.items())

    def match(self, pairs: Sequence[tuple[str, str]]) -> Float[np.ndarray, "N 3"]:
        """Return precision, recall and F of each (text, reference)."""
        return deduplicated(pairs, self._match)

    def _match(self, pairs: Sequence[tuple[str, str]]) -> Float[np.ndarray, "M 3"]:
        result = np.zeros((len(pairs), 3))
        # pairs without a blank text; the others keep their 0
        full = [at for at, (text, other) in enumerate(pairs) if text.strip() and other.strip()]
        texts = {text for at in full for text in pairs[at]}
        encoded = self._encode(sorted(texts))
        for start in range(0, len(full), PAIRS):
            chosen = full[start : start + PAIRS]
            texts_of_pairs = [encoded[pairs[at][0]] for at in chosen]
            references = [encoded[pairs[at][1]] for at in chosen]
            result[chosen] = _greedy(texts_of_pairs, references)
        floor = _baseline(self.baseline, self.layers)
        return (result - floor) / (1 - floor)

    def release(self) -> None:
        """Free the model; the next ``match`` loads it again."""
        self.models.clear()
        self.__dict__.pop("_idf", None)

    def _loaded(self) -> ScorerModel:
        return self.models.get(_load, self.model, self.layers, self.runtime)

    @cached_property
    def _idf(self) -> Mapping[int, float]:
        """Inverse document frequency of each token seen: ln((M + 1) / (texts that hold it + 1))."""
        texts_with = Counter[int]()
        for row in self._tokenise(self.idf_texts):
            texts_with.update(set(row["input_ids"]))
        total = len(self.idf_texts) + 1
        return {token: math.log(total / (count + 1)) for token, count in texts_with.items()}

    def _tokenise(self, texts: Sequence[str]) -> list[Any]:
        model, tokenizer = self._loaded()
        # byte-level BPE learned words with the space before them
        is_byte_level = "ByteLevel" in repr(tokenizer.backend_tokenizer.pre_tokenizer)
        space = " " if is_byte_level else ""
        limit = pretrained.max_tokens(model, tokenizer)
        rows = []
        for text in texts:
            rows.append(
                tokenizer(
                    space + text.strip(),
                    return_special_tokens_mask=True,
                    truncation=True,
                    max_length=limit,
                )
            )
        return rows

    def _weights(self, row: Any) -> Float[Tensor, " T"]:
        """The weight of each token: 0 of special ones, and 1 or its rareness of others."""
        plain = 1.0 - torch.tensor(row["special_tokens_mask"]).float()
        if not self.idf_texts:
            return plain
        unseen = math.log(len(self.idf_texts) + 1)
        rareness = [self._idf.get(token, unseen) for token in row["input_ids"]]
        return plain * torch.tensor(rareness)

    def _encode(self, texts: Sequence[str]) -> Mapping[str, Encoded]:
        """Token vectors and weights of each text, which is encoded once; batched by length."""
        rows = self._tokenise(texts)
        encoded = {}

        def run(batch: Sequence[int]) -> tuple[Sequence[int], Float[Tensor, "B T H"]]:
            return batch, self._hidden([rows[at]["input_ids"] for at in batch])

        order = by_length([len(row["input_ids"]) for row in rows])
        model = self._loaded().model
        for batch, hidden in in_batches(order, run, self.runtime.batch_size, PAIRS, model=model):
            for at, vectors in zip(batch, hidden, strict=True):
                weights = self._weights(rows[at])
                # behind its own tokens a row holds padding
                encoded[texts[at]] = (vectors[: len(weights)], weights.to(vectors.device))
        return encoded

    @torch.inference_mode()
    def _hidden(self, token_ids: Sequence[Sequence[int]]) -> Float[Tensor, "B T H"]:
        """The last hidden states of the encoder, which ends at the chosen layer."""
        model, tokenizer = self._loaded()
        padded, mask = _pad(token_ids, tokenizer.pad_token_id or 0, model.device)
        return model(padded, attention_mask=mask)[0].float()


def _pad(
    token_ids: Sequence[Sequence[int]], pad_id: int, device: Any
) -> tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]:
    """Token ids of a batch padded on the right, and 1 where a token is none of the padding."""
    rows = [torch.tensor(ids, device=device) for ids in token_ids]
    padded = pad_sequence(rows, batch_first=True, padding_value=pad_id)
    mask = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    return padded, mask


@torch.inference_mode()
def _greedy(texts: Sequence[Encoded], references: Sequence[Encoded]) -> Float[np.ndarray, "B 3"]:
    from bert_score.utils import greedy_cos_idf

    columns = greedy_cos_idf(*_stack(references), *_stack(texts))
    return torch.stack(columns, dim=1).double().cpu().numpy()


def _stack(encoded: Sequence[Encoded]) -> tuple[Tensor, Tensor, Tensor]:
    """Vectors ``[B, T, H]``, mask ``[B, T]`` and weights ``[B, T]`` as bert-score takes them."""
    # bert-score's own padding is 2 as well: its cosine must be defined, and the mask leaves it out
    vectors = pad_sequence([row for row, _ in encoded], batch_first=True, padding_value=2.0)
    mask = pad_sequence([torch.ones(len(row)) for row, _ in encoded], batch_first=True)
    weights = pad_sequence([weights for _, weights in encoded], batch_first=True)
    return vectors, mask.to(vectors.device), weights


def _load(name: str, layers: int, runtime: Runtime) -> ScorerModel:
    """The encoder cut after its first ``layers`` layers; UserError where it has fewer."""
    encoder, tokenizer = load_encoder(locate(name), runtime)
    body: Any = encoder
    # BART's encoder holds its layers itself, BERT and its kin one module further down
    stack = body.layers if hasattr(body, "layers") else body.encoder.layer
    if not 1 <= layers <= len(stack):
        raise UserError(
            f"take layer {layers} of {name}", f"it has {len(stack)}", [f"1 to {len(stack)}"]
        )
    # what the layers above would make of it is not read
    del stack[layers:]
    return ScorerModel(encoder, tokenizer)


@cache
def _baseline(name: str, layers: int) -> Float[np.ndarray, "3"]:
    """Precision, recall and F of unrelated texts at a layer.

    From the English tables that bert-score ships; 0 where no table is named.
    """
    if not name:
        return np.zeros(3)
    spec = find_spec("bert_score")
    folder = Path(str(spec and spec.origin)).parent / "rescale_baseline" / "en"
    table = folder / f"{name}.tsv"
    if not table.is_file():
        tables = [path.relative_to(folder).with_suffix("") for path in folder.rglob("*.tsv")]
        raise UserError(
            f"rescale BERTScore by the baseline {name!r}",
            "bert-score ships no such table",
            sorted(path.as_posix() for path in tables),
        )
    # despite the name, commas: the layer, then the three values; the first line is a header
    lines = table.read_text(encoding="utf-8").splitlines()[1:]
    for line in lines:
        layer, *values = line.split(",")
        if int(layer) == layers:
            return np.array(values, dtype=float)
    raise UserError(
        f"rescale BERTScore by {name!r}",
        f"its table has no layer {layers}, only 0 to {len(lines) - 1}",
    )


def build_matcher(scorer: str, setting: BuildContext) -> Matcher:
    """Return the matcher of a suite's options ``model``, ``layers``, ``idf`` and ``baseline``.

    Raises UserError where an option is unknown, and where a ``model`` comes without its layer;
    ``scorer`` is named there.
    """
    given = scorer_options.checked_options(
        scorer, setting, model=str, layers=int, idf=bool, baseline=str
    )
    if "model" in given and "layers" not in given:
        raise UserError(
            f"score {scorer} with {given['model']}",
            "no layer was chosen, and the best one differs from model to model",
            mend=f"set layers in [scorer.{scorer}]: "
            "17 of roberta-large, 40 of deberta-xlarge-mnli, 10 of bart-large",
        )
    idf_texts = setting.sources if given.pop("idf", False) else ()
    return Matcher(setting.runtime, idf_texts=idf_texts, **given, models=setting.models)
