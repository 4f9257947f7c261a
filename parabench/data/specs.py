"""What a person types behind ``--data``:
``parabank2:PATH=0.5,paranmt:PATH?max_words=30&case=lower=0.5``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from parabench.contracts import UserError
from parabench.data import fetching
from parabench.data.corpora import CORPUS_FORMATS, CorpusColumns
from parabench.data.filters import Filters

FORM = "FORMAT:PATH?option=value&option=value=SHARE, the options and the share where wanted; joined by commas"


@dataclass(frozen=True)
class CorpusSpec:
    """One corpus of a mix; ``share`` is its part of the rows drawn."""

    form: str
    path: str
    columns: CorpusColumns = field(default_factory=CorpusColumns)
    filters: Filters = field(default_factory=Filters)
    share: float = 1.0


def parse_corpora(text: str) -> tuple[CorpusSpec, ...]:
    """The corpora of a specification, their shares made to sum to 1; UserError says what was not
    understood.
    """
    parts = [_part(part.strip()) for part in text.split(",")]
    given = [share for _, share in parts]
    if len(parts) > 1 and (None in given or not 0 < sum(filter(None, given)) < float("inf")):
        raise _error(text, "a mix needs a share above 0 for each corpus")
    total = sum(filter(None, given)) or 1.0
    return tuple(
        CorpusSpec(
            spec.form,
            spec.path,
            spec.columns,
            spec.filters,
            (share or 1.0) / (total if share else 1.0),
        )
        for spec, share in parts
    )


def _part(text: str) -> tuple[CorpusSpec, float | None]:
    head, _, options = text.partition("?")
    form, _, path = head.partition(":")
    if form not in CORPUS_FORMATS:
        raise UserError(
            f"read a corpus of the format {form!r}",
            "no such format",
            CORPUS_FORMATS,
            "parabank2:PATH",
        )
    if options:
        options, share = _shared(options, r"(?:.*&)?[^&=]+=[^&=]+")
    else:
        path, share = _shared(path, r".+")
    settings = [part.partition("=")[::2] for part in options.split("&") if part]
    if not path or not all(name and value and "=" not in value for name, value in settings):
        raise _error(text, "not of the form")
    columns, filters = _options(text, dict(settings))
    return CorpusSpec(form, _at_hand(path), columns, filters), share


def _at_hand(path: str) -> str:
    """The path itself, or where the file of an https address lies once it is fetched."""
    if not path.startswith(("https://", "http://")):
        return path
    if not path.startswith("https://"):
        raise UserError(
            f"read {path}",
            "an address without TLS",
            mend="give an https:// address, or download the file",
        )
    local = fetching.DOWNLOAD_FOLDER / fetching.find_corpus(path).file
    if not local.exists():
        raise UserError(
            f"read {path}", "it is not fetched yet", mend=f"parabench data fetch {path}"
        )
    return str(local)


def _shared(text: str, rest: str) -> tuple[str, float | None]:
    """A text without the share at its end, where what is left has the form ``rest``."""
    match = re.fullmatch(rf"({rest})=(\d*\.?\d+)", text)
    return (match[1], float(match[2])) if match else (text, None)


def _options(text: str, options: Mapping[str, Any]) -> tuple[CorpusColumns, Filters]:
    known = {kind: {f.name for f in fields(kind)} for kind in (CorpusColumns, Filters)}
    for name in options:
        if not any(name in names for names in known.values()):
            raise _error(text, f"no option {name!r}", sorted(set().union(*known.values())))
    try:
        given = [
            {name: value for name, value in options.items() if name in names}
            for names in known.values()
        ]
        return TypeAdapter(CorpusColumns).validate_python(given[0]), TypeAdapter(
            Filters
        ).validate_python(given[1])
    except ValidationError as error:
        first = error.errors()[0]
        raise _error(text, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _error(text: str, found: str, choices: list[str] | None = None) -> UserError:
    return UserError(f"use --data {text!r}", found, choices or (), FORM)
