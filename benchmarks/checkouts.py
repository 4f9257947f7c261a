"""Peers that are no packages, run from a checkout of their repository; their own code measures, on
given ids.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import nn

from benchmarks.peers import Ids, padded


def neulab(checkout: Path, model: Any) -> Any:
    """neulab/BARTScore's ``BARTScorer`` around a model that is there already; its texts are those
    of ``as_texts``.
    """
    return _around(_module(checkout / "bart_score.py").BARTScorer, model, _tokenise)


def origin(checkout: Path, model: Any) -> Callable[[Ids, Ids], float]:
    """The measurement of Clyde013/Paraphrase-OPT, ``metrics/bart_metric.py``, one pair, without
    torchmetrics.
    """
    sys.modules.setdefault("torchmetrics", ModuleType("torchmetrics")).Metric = object  # type: ignore[attr-defined]
    kind = _module(checkout / "metrics" / "bart_metric.py").BartScore
    metric = SimpleNamespace(model=model, device_=model.device, **_losses(model))

    def score(source: Ids, target: Ids) -> float:
        metric.src_input_ids, metric.src_attention_mask = ([part] for part in padded([source], 1))
        metric.target_input_ids, metric.target_attention_mask = (
            [part] for part in padded([target], 1)
        )
        with torch.no_grad():
            return kind.compute(metric)[0]

    return score


def as_texts(pairs: Sequence[tuple[Ids, Ids]]) -> tuple[list[str], list[str]]:
    """Ids as texts of numbers, for the tokenizer below."""
    sources, targets = zip(*pairs, strict=True)
    return [" ".join(map(str, ids)) for ids in sources], [
        " ".join(map(str, ids)) for ids in targets
    ]


def _tokenise(texts: Sequence[str], **_: Any) -> dict[str, torch.Tensor]:
    ids, mask = padded([tuple(map(int, text.split())) for text in texts], 1)
    return {"input_ids": ids, "attention_mask": mask}


def _around(kind: Any, model: Any, tokenizer: Any) -> Any:
    scorer = kind.__new__(kind)  # its __init__ would load a checkpoint by name
    settings = {"device": model.device, "max_length": 1024, "tokenizer": tokenizer, "model": model}
    vars(scorer).update(settings, **_losses(model))
    return scorer


def _losses(model: Any) -> dict[str, nn.Module]:
    pad = model.config.pad_token_id
    return {"loss_fct": nn.NLLLoss(reduction="none", ignore_index=pad), "lsm": nn.LogSoftmax(dim=1)}


def _module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise SystemExit(f"no {path.name} in {path.parent}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
