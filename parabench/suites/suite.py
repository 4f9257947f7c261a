"""Suites: what a run is. A TOML file in, a validated object out; paths in it are relative to the
file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from parabench.contracts import Decoding, UserError
from parabench.data.normalise import Normaliser
from parabench.data.text_files import read_whole
from parabench.registry import unknown_name
from parabench.suites import lock

_LARGEST = 2**20
"""Bytes of a suite's file."""
OptionValue = str | int | float | bool

_RELATIVE = re.compile(r"(?P<format>[a-z0-9]+:|)(?P<path>\.\.?/.*)", re.DOTALL)
"""A path that begins at the suite's folder, in a specification of data behind its format."""
_CORPORA = ("data", "pairs")
"""Keys whose value may be a mix of corpora, joined by commas."""
_TEXTS = ("name", "title", "note", "headline", "template", "joiner", "system", "url")
"""Keys of texts, whatever these begin with; a ``system`` that is a text is a chat's message."""
_MODEL_OPTIONS = ("model", "causal", "seq2seq")
"""Options that name a model, or a line of the suite's own table ``[models]``."""


class TrainingDefaults(BaseModel):
    """What ``parabench train`` starts from.

    ``data``: a specification of pairs. ``causal``, ``seq2seq``: a base model of each architecture.
    ``template``: the text that a decoder-only model is given, with ``{source}`` in it; ``chat``
    makes it the user's message, behind the message ``system``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str = ""
    causal: str = ""
    seq2seq: str = ""
    template: str = ""
    chat: bool = False
    system: str = ""


class Suite(BaseModel):
    """Data, systems, scorers, decoding and protocol of a run; ``headline`` is the column that
    ranks, ``gates`` are others in which a system must be above every control to have a rank.

    ``controls`` run beside whatever systems are asked for; ``table`` names the columns of the first
    table, all others follow in a second. Without ``data`` the suite needs the user's own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    note: str = ""
    data: str = ""
    systems: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    scorers: tuple[str, ...]
    headline: str
    gates: tuple[str, ...] = ()
    table: tuple[str, ...] = ()
    dtype: str = "float32"
    decoding: Decoding = Decoding()
    normalise: Normaliser = Normaliser()
    system: Mapping[str, Mapping[str, OptionValue]] = {}
    scorer: Mapping[str, Mapping[str, OptionValue]] = {}
    train: TrainingDefaults = TrainingDefaults()

    @field_validator("systems", "controls", "scorers")
    @classmethod
    def _distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("duplicate name")
        return names

    def options(
        self,
        kind: str,
        name: str,
        family: str,
    ) -> Mapping[str, OptionValue]:
        """The table of a plug-in: that of its family, then what its full name overrides.

        ``kind``: ``system`` or ``scorer``. ``name``: as ``softprompt-20``, whose ``family`` is
        ``softprompt``.
        """
        tables = self.system if kind == "system" else self.scorer
        return {**tables.get(family, {}), **tables.get(name, {})}


def built_in_suites() -> list[str]:
    """The names of the suites that come with the package."""
    names = [entry.name for entry in files("parabench.suites").iterdir()]
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def load_suite(name: str) -> Suite:
    """Load a built-in suite by name, or any suite by the path of its TOML file.

    Its models are those that its lock pins. Raises UserError where the suite or its lock cannot be
    read, or is malformed.
    """
    path = suite_path(name)
    table = _read(path)
    pins = lock.read_lock(find_lock(name))
    try:
        return Suite.model_validate(lock.pinned(table, pins))
    except ValidationError as error:
        # one fault at a time: the others often follow from it
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        found = f"{where}: {first['msg']}"
        raise UserError(
            f"read the suite {path}",
            found,
            mend=f"correct {path.name}",
        ) from None


def fetched_models(name: str) -> list[str]:
    """The models of hubs and packages that a suite's file names, each once, as they stand there.

    ``name`` is that of a built-in suite or the path of a suite's file. Those that training starts
    from come last. Raises UserError for a malformed suite.
    """
    load_suite(name)  # refuses a malformed one
    # the file itself: a loaded suite has the names that its lock pins
    raw = _read(suite_path(name))
    named = []
    for kind in ("system", "scorer"):
        for table in raw.get(kind, {}).values():
            named.append(table.get("model"))
    bases = raw.get("train", {})
    named += [bases.get("causal"), bases.get("seq2seq")]
    return [model for model in dict.fromkeys(named) if lock.is_fetched_model(model)]


def suite_path(name: str) -> Path:
    """The TOML file of a built-in suite, or of one that is given by its path.

    Raises UserError for a name that no suite has.
    """
    if name.endswith(".toml"):
        return Path(name)
    if name not in built_in_suites():
        raise unknown_name("suite", name, built_in_suites())
    return Path(str(files("parabench.suites"))) / f"{name}.toml"


def new_lock_path(name: str) -> Path:
    """Where the lock of a suite is to be written: beside a suite of the user's own, in the current
    folder for one that comes with the package.
    """
    path = suite_path(name)
    is_own = name.endswith(".toml")
    # the folder of an installed package is not the user's to write into
    return lock.lock_path(path if is_own else Path(path.name))


def find_lock(name: str) -> Path:
    """Where the lock of a suite is to be read: the user's own, else one that came with the
    package. The file need not exist.
    """
    own = new_lock_path(name)
    if own.is_file():
        return own
    return lock.lock_path(suite_path(name))


def _read(path: Path) -> dict[str, Any]:
    asked = f"read the suite {path}"
    try:
        raw = tomllib.loads(read_whole(path, _LARGEST).decode())
        folder = path.resolve().parent
        resolved = {key: _resolve(key, value, folder) for key, value in raw.items()}
        return _with_models(resolved, resolved.pop("models", {}))
    except OSError as error:
        raise UserError(
            asked,
            error.strerror or str(error),
            built_in_suites(),
        ) from None
    # tables within tables end in a RecursionError
    except (ValueError, RecursionError) as error:
        raise UserError(
            asked,
            str(error),
            mend=f"correct {path.name}",
        ) from None


def _with_models(value: Any, models: Any) -> Any:
    """A suite's table with the models of its table ``[models]`` in the places of their names.

    Raises ValueError where ``models`` does not map names to models.
    """
    if not isinstance(models, dict) or not all(isinstance(one, str) for one in models.values()):
        raise ValueError('models: must be a table of lines such as opt = "facebook/opt-1.3b"')
    if not isinstance(value, dict):
        return value
    found = {}
    for key, item in value.items():
        named = key in _MODEL_OPTIONS and isinstance(item, str)
        found[key] = models.get(item, item) if named else _with_models(item, models)
    return found


def _resolve(key: str, value: object, folder: Path) -> object:
    """The value of a key with its paths from the suite's ``folder``; texts are left as they are."""
    if isinstance(value, dict):
        return {name: _resolve(name, item, folder) for name, item in value.items()}
    if not isinstance(value, str) or key in _TEXTS:
        return value
    # a mix of corpora has a path in each of its parts
    parts = value.split(",") if key in _CORPORA else [value]
    return ",".join(_resolved(part, folder) for part in parts)


def _resolved(part: str, folder: Path) -> str:
    """A path, or a corpus with its format, from ``folder`` where it begins with ``./`` or ``../``.

    What is behind a question mark are options, and no part of the path.
    """
    match = _RELATIVE.fullmatch(part.strip())
    if match is None:
        return part
    path, mark, options = match["path"].partition("?")
    return f"{match['format']}{(folder / path).resolve()}{mark}{options}"
