"""HTML pages from templates: values are escaped, a missing name is an error.

Inline scripts and styles are admitted by their hash in the content-security policy, so that text
which slipped through as markup could still not run.
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
"""Directives of a page that neither sends forms nor changes what relative links mean."""


def load_template(package: str, name: str, **filters: Callable[..., object]) -> Template:
    """Load the template ``templates/<name>`` of a package.

    Args:
        package: dotted name of the package, such as ``parabench.report``.
        name: file name within its ``templates`` folder.
        filters: jinja2 filters by name, added to the built-in ones.
    """
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
    """Files of a package's ``templates`` folder as they are, joined."""
    folder = files(package) / "templates"
    return "".join((folder / name).read_text("utf-8") for name in names)


def csp_hash(text: str) -> str:
    """The source expression by which a content-security policy admits an inline text.

    See W3C, Content Security Policy Level 3, 8.4.
    """
    sha256 = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(sha256).decode()}'"


def script_json(value: Any) -> str:
    """JSON that cannot end the script element it is in, whatever its strings hold."""
    text = json.dumps(json_ready(value), separators=(",", ":"), allow_nan=False)
    # Within JSON these three occur in strings only, where their escapes mean the same.
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def json_ready(value: Any) -> Any:
    """Turn a nested value into what JSON holds: lists for sequences, null for undefined numbers."""
    if isinstance(value, Mapping):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [json_ready(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
