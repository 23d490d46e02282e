"""JSON Schemas as Home Assistant writes them, and as the device enforces them.

Imports nothing of Home Assistant. The device refuses a keyword that it can't enforce. Home Assistant writes
some of these, OpenAPI's `nullable`, and formats of its own, so they are put otherwise, or left out: Home
Assistant checks what a tool is called with itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]

_ANNOTATIONS = frozenset(("title", "description", "default", "examples"))
_ENFORCED = frozenset(
    (
        *("type", "enum", "const", "properties", "required", "additionalProperties", "items", "minItems"),
        *("maxItems", "minLength", "maxLength", "pattern", "minimum", "maximum", "exclusiveMinimum"),
        *("exclusiveMaximum", "anyOf", "allOf"),
    )
)
_FORMATS = frozenset(("date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"))
_TIME = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
# What Home Assistant means by these. Times are the home's own, so they have no offset.
_PATTERNS = {
    "time": f"^{_TIME}$",
    "date-time": f"^[0-9]{{4}}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01]) {_TIME}$",
    "entity_id": "^[a-z0-9_]+\\.[a-z0-9_]+$",
    "ISO 3166-1 alpha-2": "^[A-Z]{2}$",
    "RFC 5646": "^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$",
}
_COLOUR: Schema = {"type": "integer", "minimum": 0, "maximum": 255}
_MAX_EXACT = 2**53
_NULL: Schema = {"type": "null"}
_TYPES = frozenset(("null", "boolean", "number", "integer", "string", "array", "object"))
_MOST = {"minItems": 1000, "maxItems": 1000, "minLength": 100_000, "maxLength": 100_000}
_MAX_PATTERN = 4096
# Groups that look around, have names or flags; what a group matched, and edges of words.
_UNENFORCED = re.compile(r"\(\?(?!:)|(?<!\\)(?:\\\\)*\\[0-9ABCEGHIJKLMNOPQRTUVXYZabceghijklmopqyz]")


def enforceable(schema: Mapping[str, Any]) -> Schema:
    """Return a schema that the device takes, and whose answers the given one allows as far as it can be told.

    Args:
        schema: JSON Schema or OpenAPI, as voluptuous_openapi and probatio write it. What is none allows
            anything.
    """
    if not isinstance(schema, Mapping):
        return {}
    kept = {key: value for key, value in schema.items() if key in _ENFORCED or key in _ANNOTATIONS}
    if "oneOf" in schema:
        kept["anyOf"] = schema["oneOf"]
    _drop_unenforced(kept)
    for key in ("anyOf", "allOf"):
        if key in kept:
            kept[key] = [enforceable(each) for each in kept[key]]
    if isinstance(kept.get("items"), Mapping):
        kept["items"] = enforceable(kept["items"])
    if "properties" in kept:
        kept["properties"] = {name: enforceable(each) for name, each in kept["properties"].items()}
        # Where others are allowed, a small model goes on and on with properties of its own.
        kept.setdefault("additionalProperties", False)
    if isinstance(kept.get("additionalProperties"), Mapping):
        kept["additionalProperties"] = enforceable(kept["additionalProperties"])
    _bound_numbers(kept)
    _put_format(kept, schema.get("format"))
    if schema.get("uniqueItems") and "enum" in kept.get("items", {}):
        kept.setdefault("maxItems", len(kept["items"]["enum"]))
    return _nullable(kept) if schema.get("nullable") else kept


def complete(schema: Schema) -> Schema:
    """Return the schema with every property required, where one that was optional may be null.

    A small model ends an object of which nothing is required at once.
    """
    done = dict(schema)
    if "properties" in schema:
        required = schema.get("required", ())
        done["properties"] = {
            name: complete(each) if name in required else _nullable(complete(each))
            for name, each in schema["properties"].items()
        }
        done["required"] = list(schema["properties"])
    if isinstance(schema.get("items"), dict):
        done["items"] = complete(schema["items"])
    return done


def tidied(value: Any, schema: Schema) -> Any:
    """Return an answer to the completed schema as the original has it: without nulls for what is optional.

    Args:
        value: The answer.
        schema: What was given to `complete`.
    """
    if isinstance(value, dict) and "properties" in schema:
        required = schema.get("required", ())
        return {
            name: tidied(each, schema["properties"].get(name, {}))
            for name, each in value.items()
            if each is not None or name in required
        }
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        return [tidied(each, schema["items"]) for each in value]
    return value


def told(schema: Schema) -> str:
    """Return how a model is told what to fill in, since it does not see what bounds its answer."""
    lines = ["Answer with one JSON object and nothing else. Its fields:"]
    required = schema.get("required", ())
    for name, each in schema.get("properties", {}).items():
        words = [str(each["description"])] if each.get("description") else []
        words.append(_kind(each))
        if name not in required:
            words.append("null if unknown")
        lines.append(f"- {name}: {'; '.join(words)}")
    return "\n".join(lines)


def _kind(schema: Schema) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(str(each) for each in schema["enum"])
    if "anyOf" in schema:
        kinds = dict.fromkeys(_kind(each) for each in schema["anyOf"])
        return ", or ".join(kinds)
    kind = schema.get("type", "value")
    if isinstance(kind, list):
        return _kind({"anyOf": [{**schema, "type": each} for each in kind]})
    if kind in {"array", "object"}:
        names = ", ".join(schema.get("properties", {}))
        inside = _kind(schema["items"]) if "items" in schema else names
        return f"{'list' if kind == 'array' else 'object'} of {inside}".removesuffix(" of ")
    if "minimum" in schema and "maximum" in schema:
        return f"{kind} from {schema['minimum']:g} to {schema['maximum']:g}"
    return str({"string": "text", "boolean": "true or false"}.get(kind, kind))


def _nullable(schema: Schema) -> Schema:
    if not schema or schema.get("type") == "null" or _NULL in schema.get("anyOf", ()):
        return schema
    about = {key: schema[key] for key in _ANNOTATIONS if key in schema}
    rest = {key: value for key, value in schema.items() if key not in about}
    if set(rest) == {"anyOf"}:
        return {**about, "anyOf": [*rest["anyOf"], _NULL]}
    return {**about, "anyOf": [rest, _NULL]}


def _put_format(schema: Schema, name: str | None) -> None:
    if name in _FORMATS:
        schema["format"] = name
    elif name in _PATTERNS:
        schema.setdefault("pattern", _PATTERNS[name])
    elif name == "RGB":
        schema["items"] = _COLOUR


def _drop_unenforced(schema: Schema) -> None:
    """Take away values of keywords that the device does not take: it would refuse all of a request."""
    for key in ("anyOf", "allOf", "enum"):
        if not schema.get(key, True) or not isinstance(schema.get(key, []), list):
            del schema[key]
    for key, kind in (("items", Mapping), ("properties", Mapping), ("required", list), ("pattern", str)):
        if not isinstance(schema.get(key, {} if kind is Mapping else kind()), kind):
            del schema[key]
    kinds = schema.get("type", [])
    if not {*kinds} <= _TYPES if isinstance(kinds, list) else kinds not in _TYPES:
        del schema["type"]
    for key, most in _MOST.items():
        if schema.get(key, 0) > most:
            del schema[key]
    pattern = schema.get("pattern", "")
    if len(pattern) > _MAX_PATTERN or _UNENFORCED.search(pattern):
        del schema["pattern"]


def _bound_numbers(schema: Schema) -> None:
    for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
        bound = schema.get(key)
        if bound is not None and (isinstance(bound, bool) or abs(bound) > _MAX_EXACT):
            del schema[key]
