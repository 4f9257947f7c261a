"""How sentence vectors are made of token vectors: as options or a model's folder say.

A folder that sentence-transformers wrote says how: ``modules.json`` lists the steps, the step of
pooling has a ``config.json`` in its own folder, and ``sentence_bert_config.json`` says how many
tokens are read. Reimers and Gurevych 2019, "Sentence-BERT", section 3; huggingface/
sentence-transformers, ``models/Pooling.py``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parabench.contracts import UserError

POOLINGS = ("cls", "max", "mean", "mean_sqrt_len")
"""Ways to make one vector of a text's token vectors. Several are joined in this order."""

_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
}
"""Keys of a pooling step's configuration that switch a way on."""

_OWN_FILES = ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json")


@dataclass(frozen=True)
class PoolingRule:
    """How a sentence vector is made.

    ``ways`` are some of ``POOLINGS``; ``max_tokens`` is how many tokens of a text are read, special
    ones included, None for as many as the model takes; ``lowercase`` folds case first.
    """

    ways: tuple[str, ...] = ("mean",)
    max_tokens: int | None = None
    lowercase: bool = False


def read_pooling(folder: Path, reference: str) -> PoolingRule:
    """Return how a model folder says that its sentence vectors are made; else by the mean.

    ``reference`` is the model as it was asked for, named in errors.

    Raises UserError where a file cannot be read, or asks for a step that there is none of here.
    """
    modules, text_rule, prompts = (_read_json(folder / name, reference) for name in _OWN_FILES)
    if prompts and prompts.get("default_prompt_name"):
        name = prompts["default_prompt_name"]
        raise _unknown_step(reference, f"a prompt before every text, {name!r}")
    ways = PoolingRule.ways
    for module in modules or []:
        kind = str(module.get("type")).rpartition(".")[2]
        if kind == "Pooling":
            step = str(module["path"])
            # the identity of a model covers its own folders, and no file elsewhere
            if Path(step).name != step:
                raise _unknown_step(reference, f"a step in the folder {step!r}")
            config = _read_json(folder / step / "config.json", reference)
            ways = _pooling_ways(config or {}, reference)
        elif kind not in ("Transformer", "Normalize"):
            # Normalize sets lengths to 1, which no cosine sees
            raise _unknown_step(reference, f"a step {kind}")
    rule = text_rule or {}
    return PoolingRule(ways, rule.get("max_seq_length"), bool(rule.get("do_lower_case")))


def _read_json(path: Path, reference: str) -> Any:
    """What a file holds; None where there is no such file."""
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"read how {reference} makes sentence vectors",
            f"{path.name}: {error}",
            mend="download or export the model again",
        ) from error


def _pooling_ways(config: dict[str, Any], reference: str) -> tuple[str, ...]:
    """The ways that a pooling step's configuration switches on."""
    chosen = set[str]()
    # newer versions write one name, or several in a list, instead of a flag each
    named = config.get("pooling_mode", [])
    chosen.update([named] if isinstance(named, str) else named)
    for key, is_on in config.items():
        if key.startswith("pooling_mode_") and is_on:
            chosen.add(_FLAGS.get(key, key.removeprefix("pooling_mode_")))
    unknown = sorted(chosen - set(POOLINGS))
    if unknown or not chosen:
        raise _unknown_step(reference, f"pooling by {', '.join(unknown) or 'nothing'}")
    return tuple(way for way in POOLINGS if way in chosen)


def _unknown_step(reference: str, found: str) -> UserError:
    return UserError(
        f"make sentence vectors with {reference}",
        f"its files ask for {found}, which is not known here",
        [f"pooling by {way}" for way in POOLINGS],
        'choose another model, or say pooling = "mean" in [scorer.embedding]',
    )
