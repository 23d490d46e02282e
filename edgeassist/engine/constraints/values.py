"""The keywords of JSON Schema that take other values than schemas: what is written for each."""

from __future__ import annotations

from collections.abc import Callable

from edgeassist.engine.constraints import numbers, patterns
from edgeassist.engine.constraints.documents import TYPES, Json, number_of
from edgeassist.engine.constraints.formats import FORMATS
from edgeassist.engine.constraints.refusals import Refusal, shown

MAX_ITEMS = 1000
MAX_LENGTH = 100_000

_SHORT_ESCAPES = "\b\f\n\r\t"


def spelled(text: str) -> str:
    r"""Return a text that has one spelling in an answer.

    Raises:
        Refusal: It would need an escape like \u0001, or is no text.
    """
    for each in text:
        if (each < " " and each not in _SHORT_ESCAPES) or each == "\x7f" or "\ud800" <= each <= "\udfff":
            raise Refusal(f"the character U+{ord(each):04X} is not written here")
    return text


def name_pattern(text: str) -> str:
    """Return what is written for a pattern of `patternProperties`."""
    try:
        return f"^(?:{patterns.found(text, ascii_only=True)})$"
    except Refusal as refusal:
        raise Refusal(f"the pattern can't be enforced: {refusal.reason}") from None


def check_beside_patterns(node: dict[str, Json]) -> None:
    """Check what stands beside `patternProperties`.

    Dialects differ in which names a pattern is found in, but for printable ASCII.

    Raises:
        Refusal: It would let in names on which they differ.
    """
    if node.get("additionalProperties") is not False:
        raise Refusal("'patternProperties' is enforced with \"additionalProperties\": false beside it only")
    names = node.get("properties", {})
    if not all(name.isascii() and name.isprintable() for name in (names if isinstance(names, dict) else ())):
        raise Refusal("beside 'patternProperties', the names in 'properties' must be printable ASCII")


def _type(key: str, node: dict[str, Json]) -> dict[str, Json]:
    value = node[key]
    names = value if isinstance(value, list) else [value]
    known = (*TYPES, "integer")
    if not names or not all(name in known for name in names) or len(set(map(str, names))) < len(names):
        raise Refusal(f"'type' takes one of {', '.join(known)}, or a list of them")
    found = [str(name) for name in names]
    if "multipleOf" in node and numbers.multiple(node["multipleOf"]).is_integer():
        found = ["integer" if name == "number" else name for name in found]
    if "number" in found:
        found = [name for name in found if name != "integer"]
    unique: list[Json] = [*dict.fromkeys(found)]
    return {key: unique if len(unique) > 1 else unique[0]}


def _value(key: str, node: dict[str, Json]) -> dict[str, Json]:
    value = node[key]
    if key == "enum" and (not isinstance(value, list) or not value):
        raise Refusal("'enum' takes a list of values, one at least")
    _check_value(key, value)
    return {key: value}


def _check_value(key: str, value: Json) -> None:
    if isinstance(value, str):
        spelled(value)
    elif isinstance(value, list):
        for each in value:
            _check_value(key, each)
    elif isinstance(value, dict):
        for name, each in value.items():
            spelled(name)
            _check_value(key, each)
    elif isinstance(value, int | float) and not isinstance(value, bool) and not numbers.is_exact(value):
        raise Refusal(
            f"'{key}' has a number of more than 15 digits, which not every reader takes for the same"
        )


def _pattern(key: str, node: dict[str, Json]) -> dict[str, Json]:
    value = node[key]
    if not isinstance(value, str):
        raise Refusal("'pattern' takes a text")
    try:
        return {"pattern": f"^(?:{patterns.found(value)})$"}
    except Refusal as refusal:
        raise Refusal(f"'pattern' can't be enforced: {refusal.reason}") from None


def _format(key: str, node: dict[str, Json]) -> dict[str, Json]:
    value = node[key]
    if not isinstance(value, str) or value not in FORMATS:
        raise Refusal(
            f"the format '{shown(str(value))}' is not enforced here; these are: {', '.join(FORMATS)}"
        )
    return {"pattern": f"^(?:{FORMATS[value]})$"}


def _bound(_: str, node: dict[str, Json]) -> dict[str, Json]:
    return numbers.bounds(node, whole=node.get("type") == "integer")


def _multiple(key: str, node: dict[str, Json]) -> dict[str, Json]:
    if "type" in node or not numbers.multiple(node[key]).is_integer():
        return {key: node[key]}
    return {"type": ["integer" if name == "number" else name for name in TYPES], key: node[key]}


def _required(key: str, node: dict[str, Json]) -> dict[str, Json]:
    value = node[key]
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise Refusal("'required' takes a list of names")
    return {key: [spelled(name) for name in dict.fromkeys(map(str, value))]}


def _count(key: str, node: dict[str, Json]) -> dict[str, Json]:
    number = number_of(node[key])
    if number is None or number < 0 or number != number // 1:
        raise Refusal(f"'{key}' takes a whole number, 0 or more")
    most = MAX_LENGTH if key.endswith("Length") else MAX_ITEMS
    if number > most:
        raise Refusal(f"'{key}' is enforced up to {most:,}")
    return {key: int(number)}


def _least_properties(key: str, node: dict[str, Json]) -> dict[str, Json]:
    """Refuse what one name that comes twice would seem to fulfil."""
    found = _count(key, node)
    required = node.get("required")
    named = len(set(map(str, required))) if isinstance(required, list) else 0
    closed = node.get("additionalProperties") is False and not node.get("patternProperties")
    if not closed and int(str(found[key])) - named > 1:
        raise Refusal(
            f"'{key}' is enforced up to one more than 'required' names, where other names are allowed"
        )
    return found


def _unique(key: str, node: dict[str, Json]) -> dict[str, Json]:
    if node[key] is not False:
        raise Refusal(f"the keyword '{key}' is not enforced here")
    return {}


VALUES: dict[str, Callable[[str, dict[str, Json]], dict[str, Json]]] = {
    "type": _type,
    "const": _value,
    "enum": _value,
    "pattern": _pattern,
    "format": _format,
    "minLength": _count,
    "maxLength": _count,
    "minimum": _bound,
    "maximum": _bound,
    "exclusiveMinimum": _bound,
    "exclusiveMaximum": _bound,
    "multipleOf": _multiple,
    "required": _required,
    "minProperties": _least_properties,
    "maxProperties": _count,
    "minItems": _count,
    "maxItems": _count,
    "uniqueItems": _unique,
}
