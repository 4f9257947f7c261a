"""Suites: what a run is. A TOML file in, a validated object out; paths in it are relative to the file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from parabench.contracts import Decoding, UserError
from parabench.data.normalise import Normaliser
from parabench.registry import unknown

Option = str | int | float | bool


class Suite(BaseModel):
    """Data, systems, scorers, decoding and protocol of a run; ``headline`` is the column that ranks.

    ``controls`` run beside whatever systems are asked for. Without ``data`` the suite needs the user's own.
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
    dtype: str = "float32"
    decoding: Decoding = Decoding()
    normalise: Normaliser = Normaliser()
    system: Mapping[str, Mapping[str, Option]] = {}
    scorer: Mapping[str, Mapping[str, Option]] = {}

    @field_validator("systems", "controls", "scorers")
    @classmethod
    def _distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("a name stands twice")
        return names

    def options(self, kind: str, name: str, family: str) -> Mapping[str, Option]:
        """The table of a plug-in: that of its family, then what its full name overrides."""
        tables = self.system if kind == "system" else self.scorer
        return {**tables.get(family, {}), **tables.get(name, {})}


def built_in() -> list[str]:
    """The names of the suites that come with the package."""
    return sorted(
        entry.name[:-5] for entry in (files("parabench") / "suites").iterdir() if entry.name.endswith(".toml")
    )


def load(name: str) -> Suite:
    """A built-in suite by name, or any suite by the path of its TOML file."""
    path = Path(name) if name.endswith(".toml") else Path(str(files("parabench"))) / "suites" / f"{name}.toml"
    if not name.endswith(".toml") and name not in built_in():
        raise unknown("suite", name, built_in())
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        return Suite.model_validate(_resolve(raw, path.resolve().parent))
    except OSError as error:
        raise UserError(f"read the suite {path}", error.strerror or str(error), built_in()) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"read the suite {path}", str(error), mend=f"correct {path.name}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"read the suite {path}", f"{where}: {first['msg']}", mend=f"correct {path.name}") from None


def _resolve(value: object, folder: Path) -> object:
    if isinstance(value, dict):
        return {key: _resolve(item, folder) for key, item in value.items()}
    if isinstance(value, str) and value.startswith(("./", "../")):
        return str((folder / value).resolve())
    return value
