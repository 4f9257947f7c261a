"""Soft token matching between two texts by a contextual encoder: the measurement inside BERTScore
and what uses it.

The matching is bert-score's own function. Its tokenisation is not called, because under
transformers 5 it silently drops the leading space that byte-level BPE needs, and fails on empty
text and on tokenizers without a length limit.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from parabench.contracts import BuildContext, Runtime, UserError
from parabench.inference.batching import by_length, in_batches
from parabench.models.checkpoints import locate
from parabench.models.loading import load_encoder

from . import pretrained, scorer_options
from .parallel import deduplicated

PAIRS = 64
"""Pairs matched, and texts encoded, at once."""

Encoded = tuple[Float[Tensor, "T H"], Float[Tensor, " T"]]


@dataclass(frozen=True)
class Matcher:
    """Precision, recall and F of greedy cosine matching at one layer of an encoder (Zhang et al.
    2020, section 3).

    ``layers`` counts from the embeddings, as bert-score's ``num_layers``; of an encoder-decoder the
    encoder is used. Special tokens weigh nothing; all others the same or, with ``idf_texts``, as
    rare as they are in those texts. ``baseline`` names a table of bert-score's by which values are
    rescaled, so that unrelated texts score about 0. A blank text matches nothing: 0 before
    rescaling, by bert-score's convention.
    """

    runtime: Runtime
    model: str = "FacebookAI/roberta-large"
    layers: int = 17
    idf_texts: Sequence[str] = ()
    baseline: str = ""

    @property
    def settings(self) -> tuple[tuple[str, str], ...]:
        """The signature's items; finds and checks every file."""
        rules = {
            "layers": str(self.layers),
            "idf": "sources" if self.idf_texts else "no",
            "rescaled": self.baseline if _baseline(self.baseline, self.layers).any() else "no",
            "space-first": "byte-level-bpe",
        }
        return (*pretrained.checkpoint_items(self.model, self.runtime), *rules.items())

    def match(self, pairs: Sequence[tuple[str, str]]) -> Float[np.ndarray, "N 3"]:
        """Precision, recall and F of each (text, reference)."""
        return deduplicated(pairs, self._match)

    def _match(self, pairs: Sequence[tuple[str, str]]) -> Float[np.ndarray, "N 3"]:
        result = np.zeros((len(pairs), 3))
        full = [
            position for position, pair in enumerate(pairs) if all(text.strip() for text in pair)
        ]
        encoded = self._encode(sorted({text for position in full for text in pairs[position]}))
        for start in range(0, len(full), PAIRS):
            chosen = full[start : start + PAIRS]
            texts, references = zip(*(pairs[position] for position in chosen), strict=True)
            result[chosen] = _greedy(
                [encoded[text] for text in texts], [encoded[text] for text in references]
            )
        floor = _baseline(self.baseline, self.layers)
        return (result - floor) / (1 - floor)

    def release(self) -> None:
        """Let go of the model; the next ``match`` loads it again."""
        self.__dict__.pop("_loaded", None)
        self.__dict__.pop("_idf", None)

    @cached_property
    def _loaded(self) -> Any:
        return _load(self.model, self.layers, self.runtime)

    @cached_property
    def _idf(self) -> Mapping[int, float]:
        """Inverse document frequency, ln((M + 1) / (texts that hold the token + 1)), of each token
        seen.
        """
        held = Counter(
            token for row in self._tokenise(self.idf_texts) for token in set(row["input_ids"])
        )
        return {
            token: math.log((len(self.idf_texts) + 1) / (count + 1))
            for token, count in held.items()
        }

    def _tokenise(self, texts: Sequence[str]) -> list[Any]:
        model, tokenizer = self._loaded
        space = " " if "ByteLevel" in repr(tokenizer.backend_tokenizer.pre_tokenizer) else ""
        limit = {"truncation": True, "max_length": pretrained.max_tokens(model, tokenizer)}
        return [
            tokenizer(space + text.strip(), return_special_tokens_mask=True, **limit)
            for text in texts
        ]

    def _weights(self, row: Any) -> Float[Tensor, " T"]:
        plain = 1.0 - torch.tensor(row["special_tokens_mask"]).float()
        if not self.idf_texts:
            return plain
        unseen = math.log(len(self.idf_texts) + 1)
        return plain * torch.tensor([self._idf.get(token, unseen) for token in row["input_ids"]])

    def _encode(self, texts: Sequence[str]) -> Mapping[str, Encoded]:
        rows = self._tokenise(texts)
        encoded = {}
        order = by_length([len(row["input_ids"]) for row in rows])
        for batch, hidden in in_batches(
            order,
            lambda b: (b, self._hidden(b, rows)),
            self.runtime.batch_size,
            PAIRS,
            model=self._loaded[0],
        ):
            for position, vectors in zip(batch, hidden, strict=True):
                weights = self._weights(rows[position])
                encoded[texts[position]] = (vectors[: len(weights)], weights.to(vectors.device))
        return encoded

    @torch.inference_mode()
    def _hidden(self, batch: Sequence[int], rows: Sequence[Any]) -> Float[Tensor, "B T H"]:
        model, tokenizer = self._loaded
        ids = [torch.tensor(rows[position]["input_ids"], device=model.device) for position in batch]
        padded = pad_sequence(ids, batch_first=True, padding_value=tokenizer.pad_token_id or 0)
        mask = pad_sequence([torch.ones_like(row) for row in ids], batch_first=True)
        return model(padded, attention_mask=mask)[0].float()


@torch.inference_mode()
def _greedy(texts: Sequence[Encoded], references: Sequence[Encoded]) -> Float[np.ndarray, "B 3"]:
    from bert_score.utils import greedy_cos_idf

    columns = greedy_cos_idf(*_stack(references), *_stack(texts))
    return torch.stack(columns, dim=1).double().cpu().numpy()


def _stack(encoded: Sequence[Encoded]) -> tuple[Tensor, Tensor, Tensor]:
    vectors = pad_sequence([row for row, _ in encoded], batch_first=True, padding_value=2.0)
    mask = pad_sequence([torch.ones(len(row)) for row, _ in encoded], batch_first=True)
    weights = pad_sequence([weights for _, weights in encoded], batch_first=True)
    return vectors, mask.to(vectors.device), weights


def _load(reference: str, layers: int, runtime: Runtime) -> tuple[Any, Any]:
    """The encoder cut after its first ``layers`` layers, and its tokenizer; UserError where it has
    fewer.
    """
    encoder, tokenizer = load_encoder(locate(reference), runtime)
    body: Any = encoder
    stack = body.layers if hasattr(body, "layers") else body.encoder.layer
    if not 1 <= layers <= len(stack):
        raise UserError(
            f"take layer {layers} of {reference}", f"it has {len(stack)}", [f"1 to {len(stack)}"]
        )
    del stack[layers:]
    return encoder, tokenizer


@cache
def _baseline(name: str, layers: int) -> Float[np.ndarray, "3"]:
    """Precision, recall and F of unrelated texts at a layer, from the English tables that
    bert-score ships.
    """
    if not name:
        return np.zeros(3)
    spec = find_spec("bert_score")
    folder = Path(str(spec and spec.origin)).parent / "rescale_baseline" / "en"
    if not (folder / f"{name}.tsv").is_file():
        known = sorted(
            path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.tsv")
        )
        raise UserError(
            f"rescale BERTScore by the baseline {name!r}", "bert-score ships no such table", known
        )
    rows = [
        line.split(",")
        for line in (folder / f"{name}.tsv").read_text(encoding="utf-8").splitlines()[1:]
    ]
    found = [row[1:] for row in rows if int(row[0]) == layers]
    if not found:
        raise UserError(
            f"rescale BERTScore by {name!r}",
            f"its table has no layer {layers}, only 0 to {len(rows) - 1}",
        )
    return np.array(found[0], dtype=float)


def build_matcher(scorer: str, setting: BuildContext) -> Matcher:
    """The matcher of a suite's options ``model``, ``layers``, ``idf`` and ``baseline``; a model
    needs its layer.
    """
    given = scorer_options.read_options(
        scorer, setting, model=str, layers=int, idf=bool, baseline=str
    )
    if "model" in given and "layers" not in given:
        raise UserError(
            f"score {scorer} with {given['model']}",
            "no layer was chosen, and the best one differs from model to model",
            mend=f"set layers in [scorer.{scorer}]: "
            "17 of roberta-large, 40 of deberta-xlarge-mnli, 10 of bart-large",
        )
    return Matcher(
        setting.runtime, idf_texts=setting.sources if given.pop("idf", False) else (), **given
    )
