"""Filling in pages: every value escaped, every missing name an error, every inline script and style
admitted by hash.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

CSP_CLOSED = ("base-uri 'none'", "form-action 'none'")


def load_template(package: str, name: str, **filters: Callable[..., object]) -> Template:
    """The page ``templates/name`` of a package, with these filters."""
    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    return environment.get_template(name)


def template_text(package: str, *names: str) -> str:
    """Files of a package's ``templates/`` as they are, joined."""
    return "".join((files(package) / "templates" / name).read_text("utf-8") for name in names)


def csp_hash(text: str) -> str:
    """The source expression by which a content-security policy admits this inline text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def script_json(value: Any) -> str:
    """JSON that stays inside its script element whatever its strings hold."""
    text = json.dumps(json_ready(value), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def json_ready(value: Any) -> Any:
    """The value as JSON holds it: sequences as lists, undefined numbers as null."""
    if isinstance(value, Mapping):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [json_ready(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
