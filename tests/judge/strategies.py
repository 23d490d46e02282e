"""Schemas of the keywords that are enforced, alone and merged, for hypothesis."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any

from hypothesis import strategies as st

NAMES = st.sampled_from(["a", "b", "c", "", "é", "a\nb", 'q"', "x\\y", "ab", "😀"])
TEXTS = st.sampled_from(["", "a", "b", "ab", "é😀", 'say "x"', "\\", "two\nlines", "a/b"])
NUMBERS = st.one_of(
    st.integers(-30, 30),
    st.integers(-(2**53), 2**53),
    st.sampled_from(
        [0.0, 0.1, -0.1, 0.5, 1.5, -2.25, 19.99, 1e-7, -1e-15, 123456.789, 1e15, 0.30000000000000004, 5e-324]
    ),
    st.floats(-1e6, 1e6),
)
BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
COUNTS = st.integers(0, 4)
PATTERNS = st.sampled_from(
    [
        "a",
        "^a",
        "b$",
        "^a|b$",
        "^[a-c]{1,3}$",
        r"^\d+$",
        r"\s",
        r"^\S+$",
        r"^\w*$",
        r"^\W$",
        r"^\D{2}$",
        "^.$",
        "^.*a.*$",
        "^[^a]$",
        r"^[^\s]{2}$",
        r"[^\W\d]",
        r"^(ab|c)+$",
        r"^(?:x|y?)z*?$",
        r"^[\]\-/^]+$",
        r"\.",
        "^$",
        "",
        r"^[\s\S]$",
        r"^\x41\u00e9$",
    ]
)
FORMATS = ["date", "time", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"]
LITERALS: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda below: st.lists(below, max_size=2) | st.dictionaries(NAMES, below, max_size=2),
    max_leaves=3,
)


def _keywords(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=values)


def _numbers() -> st.SearchStrategy[dict[str, Any]]:
    return _keywords(
        type=st.sampled_from(["number", "integer", ["integer", "null"]]),
        minimum=NUMBERS,
        maximum=NUMBERS,
        exclusiveMinimum=NUMBERS,
        exclusiveMaximum=NUMBERS,
        multipleOf=st.sampled_from([1, 2, 3, 7, 10, 0.5, 0.25, 100]),
    )


def _strings() -> st.SearchStrategy[dict[str, Any]]:
    return _keywords(
        type=st.just("string"),
        minLength=COUNTS,
        maxLength=st.integers(0, 12),
        pattern=PATTERNS,
        format=st.sampled_from(FORMATS),
    )


def _objects(below: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return _keywords(
        type=st.just("object"),
        properties=st.dictionaries(NAMES, below, max_size=3),
        required=st.lists(NAMES, max_size=3, unique=True),
        additionalProperties=below,
        minProperties=st.integers(0, 2),
        maxProperties=COUNTS,
    )


def _maps(below: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "patternProperties": st.dictionaries(
                st.sampled_from(["^a", "b$", r"^\d", "^[^x]$", "é", "^.{2}$"]), below, max_size=2
            ),
            "additionalProperties": st.sampled_from([False]),
        },
        optional={
            "properties": st.dictionaries(st.sampled_from(["a", "b", "ab", "1"]), below, max_size=2),
            "required": st.lists(st.sampled_from(["a", "b", "1"]), max_size=1),
        },
    )


def _lists(below: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return _keywords(
        type=st.just("array"),
        items=below,
        prefixItems=st.lists(below, min_size=1, max_size=2),
        minItems=st.integers(0, 2),
        maxItems=COUNTS,
    )


def _merged(below: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    several = st.lists(below, min_size=1, max_size=3)
    combined = _keywords(allOf=several, anyOf=several, oneOf=several)
    return st.builds(
        lambda one, other, first: {**one, **other} if first else {**other, **one},
        combined,
        below.filter(lambda each: isinstance(each, dict)),
        st.booleans(),
    )


def _below(below: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(_objects(below), _maps(below), _lists(below), _merged(below))


_LEAVES = st.one_of(
    st.booleans(),
    _numbers(),
    _strings(),
    st.builds(lambda value: {"const": value}, LITERALS),
    st.builds(lambda values: {"enum": values}, st.lists(LITERALS, min_size=1, max_size=3)),
    st.builds(
        lambda values, type_, value: {"enum": values, **({"type": type_} if type_ else {"const": value})},
        st.lists(LITERALS, min_size=2, max_size=4),
        st.sampled_from(["string", "integer", ["string", "null"], None]),
        LITERALS,
    ),
    st.builds(
        lambda name: {"type": name},
        st.sampled_from(["null", "boolean", "object", "array", ["string", "null"]]),
    ),
    st.sampled_from([{"$ref": "#"}, {"$ref": "#/$defs/x"}, {"$ref": "#/$defs/x~1y"}]),
)


# Made once: hypothesis looks through a strategy whenever it is made.
_PART = st.recursive(_LEAVES, _below, max_leaves=8)
_ROOT = _PART.filter(lambda each: isinstance(each, dict))


@st.composite
def schemas(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a schema, with two definitions that it may refer to."""
    definitions = {"x": draw(_PART), "x/y": draw(_PART)}
    return {**draw(_ROOT), "$defs": definitions}


def bounded() -> st.SearchStrategy[dict[str, Any]]:
    """Draw schemas of numbers with bounds."""
    bounds = dict.fromkeys(BOUNDS, NUMBERS)
    return st.fixed_dictionaries({"type": st.sampled_from(["number", "integer"])}, optional=bounds)


def spelled(values: list[float]) -> list[str]:
    """Return spellings of these numbers and of their neighbours."""
    exact = [Decimal(repr(value)) for value in values]
    steps = [Decimal(f"1e-{digits}") for digits in (0, 1, 3, 15, 17, 20)]
    context = Context(prec=60)
    near = [
        each
        for value in exact
        for step in steps
        for each in (value, context.add(value, step), context.subtract(value, step))
    ]
    return [
        text
        for value in near
        for text in (f"{value:f}", f"{value:f}0" if "." in f"{value:f}" else f"{value:f}.0")
    ]
