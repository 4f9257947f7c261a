"""Specifications of corpora, as they are typed behind ``--data``.

``parabank2:PATH=0.5,paranmt:PATH?max_words=30&case=lower=0.5``
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from parabench.contracts import UserError
from parabench.data import catalogue
from parabench.data.corpora import CORPUS_FORMATS
from parabench.data.corpus_tables import CorpusColumns, delimiter_of
from parabench.data.filters import Filters
from parabench.data.text_files import unpacked_suffix

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
    is_mix = len(parts) > 1
    if is_mix and (None in shares or not 0 < total < math.inf):
        raise _error(text, "a mix needs a share above 0 for each corpus")
    specs = []
    for spec, share in parts:
        # a single corpus may come without a share: it is all that is drawn from
        part_of_rows = share / total if share else 1.0
        specs.append(replace(spec, share=part_of_rows))
    return tuple(specs)


def _unnamed_format(text: str, path: str) -> UserError:
    """The error for a ``path`` that was given alone; what it ends in may be its format."""
    suffix = unpacked_suffix(path).removeprefix(".")
    form = suffix if suffix in CORPUS_FORMATS else "tsv"
    columns = "?source=NAME&target=NAME" if "?" not in text and form != "tsv" else ""
    found = "a path without the format in front of it"
    return UserError(
        f"read the corpus {text}", found, CORPUS_FORMATS, f"--data '{form}:{text}{columns}'"
    )


def _part(text: str) -> tuple[CorpusSpec, float | None]:
    """One corpus, and its share where it has one."""
    head, _, options = text.partition("?")
    form, _, path = head.partition(":")
    if form not in CORPUS_FORMATS:
        asked = f"read a corpus of the format {form!r}"
        if not path:
            raise _unnamed_format(text, head)
        raise UserError(asked, "no such format", CORPUS_FORMATS, "parabank2:PATH")
    # the share is behind the last thing there is: the options, or else the path
    if options:
        options, share = _shared(options, r"(?:.*&)?[^&=]+=[^&=]+")
    else:
        path, share = _shared(path, r".+")
    if not path:
        raise _error(text, "not of the form")
    settings = dict[str, str]()
    for setting in filter(None, options.split("&")):
        name, _, value = setting.partition("=")
        if not name or not value or "=" in value:
            raise _error(text, "not of the form")
        if name in settings:
            raise _error(text, f"the option {name!r} twice")
        settings[name] = value
    columns, filters = _options(text, form, settings)
    return CorpusSpec(form, _local_path(path), columns, filters), share


def _local_path(path: str) -> str:
    """The path itself, or where the file of an https address is once it is fetched.

    Raises UserError where it is not fetched yet.
    """
    if not path.startswith(("https://", "http://")):
        return path
    # over http anyone on the way could change what is trained on
    if not path.startswith("https://"):
        mend = "give an https:// address, or download the file"
        raise UserError(
            f"read {path}",
            "an address without TLS",
            mend=mend,
        )
    local = catalogue.DOWNLOAD_FOLDER / catalogue.find_corpus(path).file
    if not local.exists():
        mend = f"parabench data fetch {path}"
        raise UserError(
            f"read {path}",
            "it is not fetched yet",
            mend=mend,
        )
    return str(local)


def _shared(text: str, rest: str) -> tuple[str, float | None]:
    """A text without the share at its end, where what is left has the form ``rest``."""
    match = re.fullmatch(rf"({rest})=(\d*\.?\d+)", text)
    if match is None:
        return text, None
    return match[1], float(match[2])


def _options(
    text: str,
    form: str,
    options: Mapping[str, str],
) -> tuple[CorpusColumns, Filters]:
    """The options of one corpus, checked against its format and one another."""
    of_columns = {one.name for one in fields(CorpusColumns)}
    of_filters = {one.name for one in fields(Filters)}
    # a format reads some columns only: an option for another would be ignored without a word
    obeyed = {*_COLUMNS_OF[form], *of_filters}
    for name in options:
        if name not in obeyed:
            where = f" for the format {form}" if name in of_columns else ""
            raise _error(
                text,
                f"no option {name!r}{where}",
                sorted(obeyed),
            )
    columns = _checked(text, CorpusColumns, options, of_columns)
    filters = _checked(text, Filters, options, of_filters)
    delimiter_of(columns.delimiter)  # raises before a file is opened
    _check_bounds(text, filters)
    if filters.bounds_score and form not in _OWN_SCORES and not columns.score:
        raise _error(text, "a bound of the score, and no column of scores: add score=COLUMN")
    return columns, filters


def _check_bounds(text: str, filters: Filters) -> None:
    """Raise UserError for a bound that bounds nothing without a word, or that no row can pass."""
    # NaN is neither below nor above anything: it would switch its filter off
    if math.isnan(filters.min_score) or math.isnan(filters.max_score):
        raise _error(text, "a bound of the score that is no number")
    if filters.min_score > filters.max_score:
        raise _error(text, "a min_score above the max_score: no row could pass")
    if filters.min_words < 0 or filters.max_words < 0:
        raise _error(text, "a number of words below 0")
    if 0 < filters.max_words < filters.min_words:
        raise _error(text, "min_words above max_words: no row could pass")
    # one side is at least as long as the other, so that a ratio below 1 passes none
    if filters.max_ratio != 0 and not 1 <= filters.max_ratio < math.inf:
        raise _error(text, f"max_ratio={filters.max_ratio}: neither 0 (no bound) nor 1 or more")
    # 85 for 85 % would let every near copy pass
    if not 0 < filters.near_copy <= 1:
        raise _error(text, f"near_copy={filters.near_copy}: not a share above 0, up to 1")


def _checked(
    text: str,
    kind: type,
    options: Mapping[str, str],
    names: set[str],
) -> Any:
    """A dataclass from those options that it has; raises UserError where a value is unfit."""
    given = {name: value for name, value in options.items() if name in names}
    try:
        return TypeAdapter(kind).validate_python(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise _error(text, f"{where}: {first['msg']}") from None


def _error(
    text: str,
    found: str,
    choices: Sequence[str] = (),
) -> UserError:
    return UserError(
        f"use --data {text!r}",
        found,
        choices,
        FORM,
    )
