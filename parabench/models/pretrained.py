"""The one place that calls transformers' ``from_pretrained``: files of this machine, no code of a
model's own.

A repository may name Python files of its own in ``auto_map``. transformers runs them when asked to
trust them, or when a terminal answers its question with y; ``trust_remote_code=False`` asks
nothing and runs nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from parabench.contracts import UserError
from parabench.models.local import check_own_files

_LARGEST_CONFIG = 16 << 20
"""Bytes of a configuration that is read; the largest in use have some hundred kilobytes."""

_LARGEST_SIZES = (
    (re.compile(r"layers?$|^n_layer|_depth$|^depth"), 10_000),
    (re.compile(r"experts"), 100_000),
    (re.compile(r"vocab|position|^n_ctx|max_(seq|source|target)"), 100_000_000),
    (
        re.compile(r"size$|dim$|^d_|_d$|heads|^n_embd|^n_inner|^n_head|groups|rank|kernel"),
        10_000_000,
    ),
)
"""Names of sizes in a configuration, and the most that a model of today could have of each."""


def load_pretrained(loader: Any, folder: Path, reference: str, **settings: Any) -> Any:
    """Let one of transformers' Auto classes load from a folder, quietly.

    ``loader``: the class, such as ``AutoTokenizer``. ``reference``: the model as it was asked for.
    ``settings``: more arguments of its ``from_pretrained``.

    Raises UserError where the files cannot be read, where the architecture is one that only the
    folder's own code knows, where the configuration has sizes that no model has, and where loading
    would read other weights than the folder's own.
    """
    check_config(folder, reference)
    check_own_files(reference, folder)
    with _quiet_loading(), _errors_as_user_errors(reference):
        return loader.from_pretrained(
            folder,
            trust_remote_code=False,
            local_files_only=True,
            **settings,
        )


def load_tokenizer(folder: Path, reference: str, **settings: Any) -> Any:
    """The tokenizer of a model folder; ``settings`` as of transformers' AutoTokenizer.

    Raises UserError as ``load_pretrained``.
    """
    from transformers import AutoTokenizer

    return load_pretrained(
        AutoTokenizer,
        folder,
        reference,
        **settings,
    )


def check_config(folder: Path, reference: str) -> None:
    """Refuse a configuration that would not fit into memory, before any model is built from it.

    Raises UserError where ``folder/config.json`` is too large, no JSON object, or has a size (of
    layers, words, heads ...) beyond what any model has.
    """
    file = folder / "config.json"
    if not file.is_file():
        return  # what needs one says so itself
    size = file.stat().st_size
    if size > _LARGEST_CONFIG:
        raise _unusable(reference, f"config.json has {size} bytes")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise _unusable(reference, f"config.json is not JSON: {error}") from None
    if not isinstance(config, dict):
        raise _unusable(reference, "config.json holds no JSON object")
    check_sizes(config, reference)


def check_sizes(config: Mapping[str, Any], reference: str) -> None:
    """Refuse a configuration with a size that no model has.

    ``config`` is what config.json holds, or would; ``reference`` the model as it was asked for.
    Raises UserError naming the size.
    """
    for name, value in _numbers(config):
        for pattern, most in _LARGEST_SIZES:
            if pattern.search(name) and value > most:
                found = f"{name} of {value:g} in config.json, more than {most}"
                raise _unusable(reference, found)


def _numbers(config: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Every number in a configuration, and in those inside it, with its name."""
    waiting: list[Mapping[str, Any]] = [config]
    while waiting:
        for name, value in waiting.pop().items():
            if isinstance(value, dict):
                waiting.append(value)
            # a bool is an int to Python
            elif isinstance(value, int | float) and not isinstance(value, bool):
                yield name, value


def _unusable(reference: str, found: str) -> UserError:
    return UserError(
        f"load the model {reference}", found, mend="download or export the checkpoint again"
    )


def check_weights(model: Any, reference: str) -> None:
    """Refuse a model whose weights are not all finite.

    Raises UserError naming the first parameter with a NaN or an infinity: every text would be
    empty, and every score NaN.
    """
    for name, weights in model.named_parameters():
        if not weights.numel() or not weights.is_floating_point():
            continue
        low, high = weights.aminmax()  # NaN where any is, in one pass without a copy
        if not (low.isfinite() and high.isfinite()):
            raise _unusable(reference, f"the weights {name} are not finite numbers")


@contextmanager
def _errors_as_user_errors(reference: str) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    # a configuration that makes no sense ends in whatever its architecture's code comes upon first:
    # an assertion of torch, a TypeError, a validation error of transformers' own
    except Exception as error:
        lines = str(error).strip().splitlines() or ["no reason given"]
        # transformers says in its own words that it would need to run the model's code
        mend = "check that the checkpoint is complete and in safetensors format"
        if "trust_remote_code" in str(error) or "custom code" in str(error):
            lines = ["its architecture exists only as code in its own folder, which is never run"]
            mend = "use a model of an architecture that transformers has built in"
        elif isinstance(error, ImportError):
            mend = "install what it asks for"
        raise UserError(
            f"load the model {reference}", f"{type(error).__name__}: {lines[0]}", mend=mend
        ) from error


@contextmanager
def _quiet_loading() -> Iterator[None]:
    """No progress bars and no warnings of transformers: what matters is checked and raised."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
