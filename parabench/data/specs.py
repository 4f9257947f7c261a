"""Specifications of corpora, as they are typed behind ``--data``.

``parabank2:PATH=0.5,paranmt:PATH?max_words=30&case=lower=0.5``
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from parabench.contracts import UserError
from parabench.data import fetching
from parabench.data.corpora import CORPUS_FORMATS, CorpusColumns, delimiter_of
from parabench.data.filters import Filters

FORM = (
    "FORMAT:PATH?option=value&option=value=SHARE, "
    "the options and the share where wanted; joined by commas"
)

_OWN_SCORES = ("parabank2", "paranmt")
"""Formats whose rows bring their score in a place of its own."""
_COLUMNS_OF: Mapping[str, Sequence[str]] = {
    "parabank2": (),
    "paranmt": (),
    "tsv": ("source", "target", "score"),
    "csv": ("source", "target", "score", "delimiter"),
    "jsonl": ("source", "target", "score"),
    "parquet": ("source", "target", "score"),
    "hf": ("source", "target", "score", "split"),
}
"""Options about columns that a format obeys; others would be ignored without a word."""


@dataclass(frozen=True)
class CorpusSpec:
    """One corpus of a mix; ``share`` is its part of the rows drawn."""

    form: str
    path: str
    columns: CorpusColumns = field(default_factory=CorpusColumns)
    filters: Filters = field(default_factory=Filters)
    share: float = 1.0


def parse_corpora(text: str) -> tuple[CorpusSpec, ...]:
    """Parse a specification; the shares are made to sum to 1.

    Raises UserError that says which part was not understood.
    """
    parts = [_part(part.strip()) for part in text.split(",")]
    shares = [share for _, share in parts]
    total = sum(filter(None, shares))
    if len(parts) > 1 and (None in shares or not 0 < total < math.inf):
        raise _error(text, "a mix needs a share above 0 for each corpus")
    return tuple(
        CorpusSpec(
            spec.form, spec.path, spec.columns, spec.filters, share / total if share else 1.0
        )
        for spec, share in parts
    )


def _part(text: str) -> tuple[CorpusSpec, float | None]:
    """One corpus, and its share where it has one."""
    head, _, options = text.partition("?")
    form, _, path = head.partition(":")
    if form not in CORPUS_FORMATS:
        asked = f"read a corpus of the format {form!r}"
        raise UserError(asked, "no such format", CORPUS_FORMATS, "parabank2:PATH")
    if options:
        options, share = _shared(options, r"(?:.*&)?[^&=]+=[^&=]+")
    else:
        path, share = _shared(path, r".+")
    settings = [part.partition("=")[::2] for part in options.split("&") if part]
    if not path or not all(name and value and "=" not in value for name, value in settings):
        raise _error(text, "not of the form")
    columns, filters = _options(text, form, dict(settings))
    return CorpusSpec(form, _local_path(path), columns, filters), share


def _local_path(path: str) -> str:
    """The path itself, or where the file of an https address is once it is fetched."""
    if not path.startswith(("https://", "http://")):
        return path
    if not path.startswith("https://"):
        mend = "give an https:// address, or download the file"
        raise UserError(f"read {path}", "an address without TLS", mend=mend)
    local = fetching.DOWNLOAD_FOLDER / fetching.find_corpus(path).file
    if not local.exists():
        mend = f"parabench data fetch {path}"
        raise UserError(f"read {path}", "it is not fetched yet", mend=mend)
    return str(local)


def _shared(text: str, rest: str) -> tuple[str, float | None]:
    """A text without the share at its end, where what is left has the form ``rest``."""
    match = re.fullmatch(rf"({rest})=(\d*\.?\d+)", text)
    return (match[1], float(match[2])) if match else (text, None)


def _options(text: str, form: str, options: Mapping[str, str]) -> tuple[CorpusColumns, Filters]:
    """The options of one corpus, checked against its format and one another."""
    of_columns = {one.name for one in fields(CorpusColumns)}
    of_filters = {one.name for one in fields(Filters)}
    obeyed = {*_COLUMNS_OF[form], *of_filters}
    for name in options:
        if name not in obeyed:
            where = f" for the format {form}" if name in of_columns else ""
            raise _error(text, f"no option {name!r}{where}", sorted(obeyed))
    columns = _checked(text, CorpusColumns, options, of_columns)
    filters = _checked(text, Filters, options, of_filters)
    delimiter_of(columns.delimiter)
    if math.isnan(filters.min_score) or math.isnan(filters.max_score):
        raise _error(text, "a bound of the score that is no number")
    if filters.bounds_score and form not in _OWN_SCORES and not columns.score:
        raise _error(text, "a bound of the score, and no column of scores: add score=COLUMN")
    return columns, filters


def _checked(text: str, kind: type, options: Mapping[str, str], names: set[str]) -> Any:
    """A dataclass from those options that it has; raises UserError where a value is unfit."""
    given = {name: value for name, value in options.items() if name in names}
    try:
        return TypeAdapter(kind).validate_python(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise _error(text, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _error(text: str, found: str, choices: Sequence[str] = ()) -> UserError:
    return UserError(f"use --data {text!r}", found, choices, FORM)
