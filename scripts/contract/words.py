"""Descriptions, taken from docstrings: what a class is, and what its attributes are."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

_ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n        .*)*)", re.MULTILINE)


def about(kind: type) -> str:
    """Return what a docstring says of a class, without its attributes."""
    return _clean((inspect.getdoc(kind) or "").partition("Attributes:\n")[0])


def attributes(kind: type) -> dict[str, str]:
    """Return what docstrings say of a class's attributes; a base's where its own says nothing."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        own = inspect.cleandoc(each.__dict__.get("__doc__") or "")
        found |= {name: _clean(text) for name, text in _listed(own)}
    return found


def camel_case(name: str) -> str:
    """Return a name of ours as the document has names: `log_level` is `logLevel`."""
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


def _listed(doc: str) -> Iterator[tuple[str, str]]:
    part = doc.partition("Attributes:\n")[2].partition("\n\n")[0]
    yield from ((found[1], found[2]) for found in _ATTRIBUTE.finditer(part))


def _clean(text: str) -> str:
    """Return a docstring's text as one line, in the words of JSON."""
    line = " ".join(text.split())
    return re.sub(r"\bTrue\b", "true", re.sub(r"\bFalse\b", "false", line))
