"""Reads a client's JSON Schema, keyword by keyword, and writes it again with what llguidance enforces as meant."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from urllib.parse import unquote

from edgeassist.engine.constraints import numbers, patterns
from edgeassist.engine.constraints.documents import TYPES, Json, Schema, is_number
from edgeassist.engine.constraints.formats import FORMATS
from edgeassist.engine.constraints.refusals import Refusal, pointer

MAX_SCHEMAS = 2000
MAX_DEPTH = 64
MAX_ITEMS = 1000
MAX_LENGTH = 100_000

Place = tuple[str, ...]

_ANNOTATIONS = frozenset(
    "title description default examples deprecated readOnly writeOnly $comment discriminator $defs definitions".split()
)
# What later drafts than 3 share, with the keywords that are enforced here. Of $schema only the end is looked at.
_DRAFTS = ("draft-06/schema", "draft-07/schema", "draft/2019-09/schema", "draft/2020-12/schema")
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_HINTS = {
    "x-guidance": "the answer is compact JSON",
    "nullable": "put \"null\" into 'type'",
    "dependencies": "it is of an older draft",
    "additionalItems": "it is of an older draft; write 'prefixItems' and 'items'",
    "id": "it is of an older draft",
    "$anchor": "refer to '#/$defs/…'",
}
_SHORT_ESCAPES = "\b\f\n\r\t"


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
        root = self._schema(self._document, (), 0)
        definitions: dict[str, Schema] = {}
        while pending := list(islice(self._names.items(), len(definitions), None)):
            for place, name in pending:
                definitions[name] = self._schema(self._at(place), place, 0)
        numbers.check_together(self._multiples)
        whole: dict[str, Json] = root if isinstance(root, dict) else {} if root else {"allOf": [False]}
        if definitions:
            whole["$defs"] = dict(definitions)
        return whole

    def _schema(self, node: Json, place: Place, depth: int) -> Schema:
        if isinstance(node, bool):
            return node
        if not isinstance(node, dict):
            raise Refusal("a schema is an object, true or false", place)
        self._count += 1
        if self._count > MAX_SCHEMAS:
            raise Refusal(f"there are more than {MAX_SCHEMAS:,} schemas in it")
        if depth > MAX_DEPTH:
            raise Refusal(f"schemas are nested more than {MAX_DEPTH} deep", place)
        written: dict[str, Json] = {}
        for key in node:
            if key not in _ANNOTATIONS and (not key.startswith("x-") or key in _HINTS):
                try:
                    self._keyword(key, node, written, (place, depth))
                except Refusal as refusal:
                    raise Refusal(refusal.reason, refusal.place or place) from None
        self.places[id(written)] = place
        return written

    def _keyword(self, key: str, node: dict[str, Json], written: dict[str, Json], where: tuple[Place, int]) -> None:
        value = node[key]
        place, depth = where
        match key:
            case "$schema" | "$id":
                self._check_identity(key, value, place)
            case "type":
                written["type"] = _types(value, whole="multipleOf" in node and _is_whole(node["multipleOf"]))
            case "const" | "enum":
                written[key] = _values(key, value)
            case "$ref":
                written[key] = self._reference(value)
            case "allOf" | "anyOf" | "oneOf" | "prefixItems":
                if not isinstance(value, list) or not value:
                    raise Refusal(f"'{key}' takes a list of schemas, with one at least")
                written[key] = [
                    self._schema(each, (*place, key, str(index)), depth + 1) for index, each in enumerate(value)
                ]
            case "items" if isinstance(value, list):
                raise Refusal("'items' with a list is of an older draft: write 'prefixItems'")
            case "items" | "additionalProperties":
                written[key] = self._schema(value, (*place, key), depth + 1)
            case "properties":
                written[key] = self._properties(key, value, where, name_of=_written_text)
            case "patternProperties":
                if node.get("additionalProperties") is not False:
                    raise Refusal("'patternProperties' is enforced with \"additionalProperties\": false beside it only")
                if not all(name.isascii() for name in node.get("properties") or {}):
                    raise Refusal("beside 'patternProperties', the names in 'properties' must be ASCII")
                written[key] = self._properties(key, value, where, name_of=_name_pattern)
            case "required":
                written[key] = _names(value)
            case "minProperties" | "maxProperties":
                written[key] = _count(key, value, MAX_ITEMS)
                _check_min_properties(node)
            case "minItems" | "maxItems":
                written[key] = _count(key, value, MAX_ITEMS)
            case "minLength" | "maxLength":
                written[key] = _count(key, value, MAX_LENGTH)
            case "uniqueItems" if value is False:
                pass
            case "pattern" | "format":
                pattern = _pattern(value) if key == "pattern" else _format(value)
                if "pattern" in written:
                    _and(written, {"pattern": pattern})
                else:
                    written["pattern"] = pattern
            case "multipleOf":
                if numbers.check_multiple(value) and "type" not in node:
                    written["type"] = _types(list(TYPES), whole=True)
                written[key] = value
                self._multiples.append(float(str(value)))
            case _ if key in _BOUNDS:
                types = node.get("type")
                written.update(numbers.bounds(node, whole=types == "integer"))
            case _:
                hint = f": {_HINTS[key]}" if key in _HINTS else ""
                raise Refusal(f"the keyword '{_shown(key)}' is not enforced here{hint}")

    def _check_identity(self, key: str, value: Json, place: Place) -> None:
        if key == "$schema" and not str(value).rstrip("#").endswith(_DRAFTS):
            raise Refusal("'$schema' names a draft that is not read here; 2020-12 is")
        if key == "$id" and place:
            raise Refusal("the keyword '$id' is enforced at the top only")

    def _properties(
        self, key: str, value: Json, where: tuple[Place, int], *, name_of: Callable[[str], str]
    ) -> dict[str, Json]:
        if not isinstance(value, dict):
            raise Refusal(f"'{key}' takes an object of schemas")
        place, depth = where
        found: dict[str, Json] = {}
        for name, each in value.items():
            at = (*place, key, name)
            try:
                known = name_of(name)
            except Refusal as refusal:
                raise Refusal(refusal.reason, at) from None
            found[known] = self._schema(each, at, depth + 1)
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
            elif isinstance(found, list) and step.isdecimal() and step.isascii() and int(step[:9]) < len(found):
                found = found[int(step[:9])]
            else:
                raise Refusal(f"'$ref' points to {pointer(place)}, where nothing is")
        return found


def _shown(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text[:60])


def _is_whole(multiple: Json) -> bool:
    return is_number(multiple) and float(str(multiple)).is_integer()


def _types(value: Json, *, whole: bool) -> Json:
    names = value if isinstance(value, list) else [value]
    known = (*TYPES, "integer")
    if not names or not all(name in known for name in names) or len(set(map(str, names))) < len(names):
        raise Refusal(f"'type' takes one of {', '.join(known)}, or a list of them")
    found: list[Json] = ["integer" if whole and name == "number" else name for name in names]
    if "number" in found or found.count("integer") > 1:
        found = [name for at, name in enumerate(found) if name != "integer" or ("number" not in found and at == found.index("integer"))]
    return found if len(found) > 1 else found[0]


def _values(key: str, value: Json) -> Json:
    if key == "enum" and (not isinstance(value, list) or not value):
        raise Refusal("'enum' takes a list of values, with one at least")
    _check_value(key, value)
    return value


def _check_value(key: str, value: Json) -> None:
    if isinstance(value, str):
        _written_text(value)
    elif isinstance(value, list):
        for each in value:
            _check_value(key, each)
    elif isinstance(value, dict):
        for name, each in value.items():
            _written_text(name)
            _check_value(key, each)
    elif is_number(value) and not numbers.is_exact(value):
        raise Refusal(f"'{key}' has a number of more than 15 digits, which not every reader takes for the same")


def _written_text(text: str) -> str:
    """Return a text that has one spelling in the answer.

    Raises:
        Refusal: It would need an escape like \\u0001, or is none.
    """
    for each in text:
        if (each < " " and each not in _SHORT_ESCAPES) or each == "\x7f" or "\ud800" <= each <= "\udfff":
            raise Refusal(f"the character U+{ord(each):04X} is not written here")
    return text


def _pattern(value: Json) -> str:
    if not isinstance(value, str):
        raise Refusal("'pattern' takes a text")
    try:
        return f"^(?:{patterns.found(value)})$"
    except Refusal as refusal:
        raise Refusal(f"'pattern' can't be enforced: {refusal.reason}") from None


def _name_pattern(value: str) -> str:
    try:
        return f"^(?:{patterns.found(value, ascii_only=True)})$"
    except Refusal as refusal:
        raise Refusal(f"the pattern can't be enforced: {refusal.reason}") from None


def _format(value: Json) -> str:
    if not isinstance(value, str) or value not in FORMATS:
        raise Refusal(f"the format '{_shown(str(value))}' is not enforced here; these are: {', '.join(FORMATS)}")
    return f"^(?:{FORMATS[value]})$"


def _and(written: dict[str, Json], schema: Json) -> None:
    others = written.get("allOf")
    written["allOf"] = [*(others if isinstance(others, list) else []), schema]


def _names(value: Json) -> Json:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise Refusal("'required' takes a list of names")
    return [_written_text(str(name)) for name in dict.fromkeys(map(str, value))]


def _count(key: str, value: Json, most: int) -> int:
    number = float(str(value)) if is_number(value) else -1
    if number < 0 or not (number.is_integer() or number > most):
        raise Refusal(f"'{key}' takes a whole number, 0 or more")
    if number > most:
        raise Refusal(f"'{key}' is enforced up to {most:,}")
    return int(number)


def _check_min_properties(node: dict[str, Json]) -> None:
    """Refuse what one name that comes twice would seem to fulfil."""
    least = node.get("minProperties", 0)
    required = node.get("required", [])
    closed = node.get("additionalProperties") is False and not node.get("patternProperties")
    named = len(required) if isinstance(required, list) else 0
    if not closed and is_number(least) and float(str(least)) - named > 1:
        raise Refusal("'minProperties' is enforced up to one more than 'required' names, where other names are allowed")
