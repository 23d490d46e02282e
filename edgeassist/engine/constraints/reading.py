"""Reads a client's JSON Schema and writes it again, with what llguidance enforces as it is meant."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from urllib.parse import unquote

from edgeassist.engine.constraints import numbers, values
from edgeassist.engine.constraints.documents import Json, Schema, height
from edgeassist.engine.constraints.refusals import Refusal, pointer, shown

MAX_SCHEMAS = 2000
# llguidance reads what is referred to within what refers to it, on the thread's stack: up to 9 kB each.
MAX_WAY = 400

Place = tuple[str, ...]

# `discriminator` says nothing that `oneOf` does not.
_ANNOTATIONS = frozenset(
    [
        "title",
        "description",
        "default",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
        "$comment",
        "discriminator",
        "$defs",
        "definitions",
    ]
)
# Their keywords mean the same, as far as they are enforced here.
_DRAFTS = ("draft-06/schema", "draft-07/schema", "draft/2019-09/schema", "draft/2020-12/schema")
# In what is written for llguidance itself.
_AS_IT_IS: dict[str, Json] = {"whitespace_flexible": False}
_HINTS = {
    "nullable": "put \"null\" into 'type'",
    "dependencies": "it is of an older draft",
    "additionalItems": "it is of an older draft; write 'prefixItems' and 'items'",
    "id": "it is of an older draft",
    "$anchor": "refer to '#/$defs/…'",
}


class Reader:
    """Reads one document.

    Attributes:
        places: Of each schema that was written, by its `id`, where the document has it.
    """

    def __init__(self, document: Json) -> None:
        self._document = document
        self._names: dict[Place, str] = {}
        self._multiples: list[float] = []
        self._count = 0
        self.places: dict[int, Place] = {}

    def read(self) -> dict[str, Json]:
        """Return the schema, with what it refers to in `$defs`.

        Raises:
            Refusal: Something in it is invalid, or not enforced.
        """
        root = self._schema(self._document, ())
        definitions: dict[str, Json] = {}
        while pending := list(islice(self._names.items(), len(definitions), None)):
            for place, name in pending:
                definitions[name] = self._schema(self._at(place), place)
        if height(root) + sum(map(height, definitions.values())) > MAX_WAY:
            raise Refusal(f"all that it refers to is more than {MAX_WAY} schemas deep together")
        numbers.check_together(self._multiples)
        whole: dict[str, Json] = root if isinstance(root, dict) else {} if root else {"allOf": [False]}
        if definitions:
            whole["$defs"] = definitions
        return whole

    def _schema(self, node: Json, place: Place) -> Schema:
        if isinstance(node, bool):
            return node
        if not isinstance(node, dict):
            raise Refusal("a schema is an object, true or false", place)
        self._count += 1
        if self._count > MAX_SCHEMAS:
            raise Refusal(f"there are more than {MAX_SCHEMAS:,} schemas in it")
        written: dict[str, Json] = {}
        for key in node:
            if key in _ANNOTATIONS or (key.startswith("x-") and key != "x-guidance"):
                continue
            try:
                _add(written, self._keyword(key, node, place))
            except Refusal as refusal:
                raise Refusal(refusal.reason, refusal.place or place) from None
        self.places[id(written)] = place
        return written

    def _keyword(  # noqa: PLR0911 - one for each keyword
        self, key: str, node: dict[str, Json], place: Place
    ) -> dict[str, Json]:
        """Return what is written for a keyword."""
        value = node[key]
        if read := values.VALUES.get(key):
            if key == "multipleOf":
                self._multiples.append(numbers.multiple(value))
            return read(key, node)
        match key:
            case "allOf" | "anyOf" | "oneOf" | "prefixItems":
                return {key: self._list(key, value, place)}
            case "items" | "additionalProperties":
                if isinstance(value, list):
                    raise Refusal(f"'{key}' with a list is of an older draft: write 'prefixItems'")
                return {key: self._schema(value, (*place, key))}
            case "properties":
                return {key: self._properties(key, value, place, name_of=values.spelled)}
            case "patternProperties":
                values.check_beside_patterns(node)
                return {key: self._properties(key, value, place, name_of=values.name_pattern)}
            case "$ref":
                return {key: self._reference(value)}
            case "$schema" | "$id" | "x-guidance":
                _check_identity(key, value, place)
                return {}
        hint = f": {_HINTS[key]}" if key in _HINTS else ""
        raise Refusal(f"the keyword '{shown(key)}' is not enforced here{hint}")

    def _list(self, key: str, value: Json, place: Place) -> list[Json]:
        if not isinstance(value, list) or not value:
            raise Refusal(f"'{key}' takes a list of schemas, one at least")
        return [self._schema(each, (*place, key, str(at))) for at, each in enumerate(value)]

    def _properties(
        self, key: str, value: Json, place: Place, *, name_of: Callable[[str], str]
    ) -> dict[str, Json]:
        if not isinstance(value, dict):
            raise Refusal(f"'{key}' takes an object of schemas")
        found: dict[str, Json] = {}
        for name, each in value.items():
            at = (*place, key, name)
            try:
                known = name_of(name)
            except Refusal as refusal:
                raise Refusal(refusal.reason, at) from None
            found[known] = self._schema(each, at)
        return found

    def _reference(self, value: Json) -> str:
        if not isinstance(value, str):
            raise Refusal("'$ref' takes a text")
        if value != "#" and not value.startswith("#/"):
            raise Refusal("'$ref' is followed within the schema only: '#', or '#/…'")
        steps = unquote(value[2:]).split("/") if value != "#" else []
        place = tuple(step.replace("~1", "/").replace("~0", "~") for step in steps)
        self._at(place)
        name = self._names.setdefault(place, f"d{len(self._names)}")
        return f"#/$defs/{name}"

    def _at(self, place: Place) -> Json:
        found = self._document
        for step in place:
            if isinstance(found, dict) and step in found:
                found = found[step]
            elif isinstance(found, list) and step in map(str, range(len(found))):
                found = found[int(step)]
            else:
                raise Refusal(f"'$ref' points to {pointer(place)}, where nothing is")
        return found


def _check_identity(key: str, value: Json, place: Place) -> None:
    if key == "$schema" and not str(value).rstrip("#").endswith(_DRAFTS):
        raise Refusal("'$schema' names a draft that is not read here; 2020-12 is")
    if key == "x-guidance" and (place or value != _AS_IT_IS):
        raise Refusal("the keyword 'x-guidance' is not enforced here: the answer is compact JSON")
    if key == "$id" and place:
        raise Refusal("the keyword '$id' is enforced at the top only")


def _add(written: dict[str, Json], more: dict[str, Json]) -> None:
    """Add what one more keyword asks for: of a pattern and a format, both hold."""
    for key, value in more.items():
        if key == "pattern" and key in written:
            _add(written, {"allOf": [{key: value}]})
        elif key == "allOf" and isinstance(others := written.get(key), list) and isinstance(value, list):
            written[key] = [*others, *value]
        else:
            written[key] = value
