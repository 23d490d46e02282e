"""JSON Schemas of pydantic's models, with their docstrings as descriptions and no word that says nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from scripts.contract.words import about, attributes

Schema = dict[str, Any]

# Behind a validator that runs first, pydantic says these by their own names.
_BOUNDS: Mapping[str, str] = {
    "ge": "minimum",
    "le": "maximum",
    "gt": "exclusiveMinimum",
    "lt": "exclusiveMaximum",
}
_ORDER = ["$ref", "allOf", "anyOf", "type", "const", "enum", "description", "default", "required"]
_NULL = {"type": "null"}
# Which of pydantic's formats say something to others.
_FORMATS = {"password"}


class _Described(GenerateJsonSchema):
    """Descriptions from docstrings, bounds by their names, no titles."""

    # Whether what is null is left out of what is sent.
    sparse = False

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never: it is the field's name."""
        del schema
        return False

    def field_is_required(self, field: Any, total: bool) -> bool:  # noqa: FBT001 - pydantic's
        """Whether it is always there: of what is written, every field."""
        return self.mode == "serialization" or super().field_is_required(field, total)

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Return a schema with its default, where it is for what is read."""
        found = super().default_schema(schema)
        return _without(found, "default") if self.mode == "serialization" else found

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """Return a model's."""
        return self._described(super().model_schema(schema), schema["cls"])

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        """Return a dataclass's."""
        return self._described(super().dataclass_schema(schema), schema["cls"])

    def enum_schema(self, schema: core_schema.EnumSchema) -> JsonSchemaValue:
        """Return an enumeration's."""
        found = super().enum_schema(schema)
        return {"description": about(schema["cls"]), **_without(found, "title", "description")}

    def _described(self, found: JsonSchemaValue, kind: type) -> JsonSchemaValue:
        texts = attributes(kind)
        properties, required = found.get("properties", {}), list(found.get("required", ()))
        for name, each in properties.items():
            text = texts.get(name)
            if self.sparse and is_nullable(each):
                properties[name] = each = without_null(each)  # noqa: PLW2901 - what is described
                required = [other for other in required if other != name]
            if text is not None:
                each["description"] = re.sub(r"\bNone\b", "left out" if self.sparse else "null", text)
        rest = _without(found, "title", "description", "required", "properties", "type")
        words = {"description": re.sub(r"\bNone\b", "null", about(kind))} if about(kind) else {}
        needed = {"required": required} if required else {}
        return {**words, "type": "object", **needed, "properties": properties, **rest}


class _Sparse(_Described):
    sparse = True


def schemas_of(
    kinds: Iterable[type[BaseModel]],
    *,
    mode: Literal["validation", "serialization"],
    at: str,
    sparse: bool = False,
) -> dict[str, Schema]:
    """Return the schemas of models, and of what they are made of, by name.

    Args:
        kinds: The models.
        mode: Of what is read, or of what is written.
        at: Where they will stand: what a `$ref` begins with.
        sparse: Whether what is null is left out of what is written.
    """
    _, found = models_json_schema(
        [(kind, mode) for kind in kinds],
        ref_template=f"{at}{{model}}",
        schema_generator=_Sparse if sparse else _Described,
    )
    return inlined({name: tidy(each) for name, each in found.get("$defs", {}).items()}, at)


def tidy(value: Any) -> Any:
    """Return a schema with the bounds' own names, in one order, and without what says nothing."""
    if isinstance(value, list):
        return [tidy(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    named = {_BOUNDS.get(key, key): each for key, each in value.items()}
    found: Schema = {key: _tidy_in(key, each) for key, each in named.items()}
    if found.get("format") not in _FORMATS:
        found.pop("format", None)
    if found.get("default", 0) is None:
        del found["default"]
    found.pop("title", None)
    if str(found.get("$ref", "")).endswith("/JsonValue"):
        del found["$ref"]
    if "$ref" in found and len(found) > 1:  # in draft 7, nothing beside it counts
        found = {"allOf": [{"$ref": found.pop("$ref")}], **found}
    if found.get("additionalProperties") == {}:
        found["additionalProperties"] = True
    alternatives = found.get("anyOf", [])
    if _NULL in alternatives:
        [first, *rest] = (each for each in alternatives if each != _NULL)
        if not rest and isinstance(first.get("type"), str) and {"enum", "const"}.isdisjoint(first):
            del found["anyOf"]
            found = {**first, **found, "type": [first["type"], "null"]}
    return {key: found[key] for key in sorted(found, key=_rank)}


def inlined(schemas: Mapping[str, Schema], at: str) -> dict[str, Schema]:
    """Return schemas with enumerations where they are used, and not by themselves."""
    simple = {f"{at}{name}": each for name, each in schemas.items() if "enum" in each or each == {}}

    def put(value: Any) -> Any:
        if isinstance(value, list):
            return [put(each) for each in value]
        if not isinstance(value, Mapping):
            return value
        if value.get("$ref") in simple:
            return _without(simple[value["$ref"]], "description")
        found = {key: put(each) for key, each in value.items()}
        if len(found.get("allOf", ())) == 1 and "$ref" not in found["allOf"][0]:
            found = {**found["allOf"][0], **_without(found, "allOf")}
        return {key: found[key] for key in sorted(found, key=_rank)} if "type" in found else found

    return {name: put(each) for name, each in schemas.items() if f"{at}{name}" not in simple}


def _rank(keyword: str) -> int:
    return _ORDER.index(keyword) if keyword in _ORDER else len(_ORDER)


def _tidy_in(keyword: str, value: Any) -> Any:
    if keyword in {"default", "examples", "enum"}:
        return value
    return (
        {name: tidy(each) for name, each in value.items()}
        if keyword in {"properties", "$defs"}
        else tidy(value)
    )


def is_nullable(schema: Schema) -> bool:
    """Whether null is a value."""
    return _NULL in schema.get("anyOf", ())


def without_null(schema: Schema) -> Schema:
    """Return it without null as a value."""
    others = [each for each in schema["anyOf"] if each != _NULL]
    rest = _without(schema, "anyOf", "default")
    return {**others[0], **rest} if len(others) == 1 else {"anyOf": others, **rest}


def _without(schema: Mapping[str, Any], *names: str) -> Schema:
    return {key: each for key, each in schema.items() if key not in names}
