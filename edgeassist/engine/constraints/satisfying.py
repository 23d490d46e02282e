"""Whether a schema that `reading` wrote has answers, that end, and by one schema of a `oneOf` only."""

from __future__ import annotations

from collections.abc import Iterator

from edgeassist.engine.constraints.documents import TYPES, Json, Schema, parts_of
from edgeassist.engine.constraints.refusals import Refusal

_IN_PLACE = ("allOf", "anyOf", "oneOf")
_MAX_HOPS = 16
_MAX_COMPARISONS = 100_000


class Satisfying:
    """Looks at one schema.

    Args:
        schema: With what it refers to in `$defs`.
        places: Where its document has each schema, by its `id`.
    """

    def __init__(self, schema: dict[str, Json], places: dict[int, tuple[str, ...]]) -> None:
        self._root = schema
        self._places = places
        definitions = schema.get("$defs", {})
        self._definitions: dict[str, Json] = definitions if isinstance(definitions, dict) else {}
        self._finite: dict[int, bool] = {}
        self._comparisons = 0

    def checked(self) -> dict[str, Json]:
        """Return the schema without what has no finite answer, and with `anyOf` for `oneOf`.

        Raises:
            Refusal: Nothing is left, it refers to itself without an object or a list between, or two schemas
                of a `oneOf` may allow the same answer.
        """
        self._check_loops()
        self._find_finite()
        if not self._is_finite(self._root):
            raise Refusal("no finite answer fulfils it")
        found = self._written(self._root)
        assert isinstance(found, dict)  # noqa: S101 - a root that allows nothing was refused
        return found

    # --- references -------------------------------------------------------------------------------------

    def _target(self, schema: dict[str, Json]) -> Json:
        return self._definitions[str(schema["$ref"]).rpartition("/")[2]]

    def _check_loops(self) -> None:
        done: set[int] = set()
        for start in (self._root, *self._definitions.values()):
            self._follow(start, (), done)

    def _follow(self, schema: Json, way: tuple[int, ...], done: set[int]) -> None:
        if not isinstance(schema, dict) or id(schema) in done:
            return
        if id(schema) in way:
            raise Refusal(
                "it refers to itself with no object or list between", self._places.get(id(schema), ())
            )
        for each in self._parts(schema):
            self._follow(each, (*way, id(schema)), done)
        done.add(id(schema))

    def _parts(self, schema: dict[str, Json]) -> Iterator[Json]:
        """Yield the schemas that look at the same value."""
        if "$ref" in schema:
            yield self._target(schema)
        for key in _IN_PLACE:
            yield from _schemas(schema, key)

    # --- finite answers ---------------------------------------------------------------------------------

    def _find_finite(self) -> None:
        """Find what has finite answers: what needs nothing else first, then what needs only that."""
        tops = [*reversed(self._definitions.values()), self._root]
        left = [each for top in tops for each in _all_in(top)]
        count = len(left) + 1
        while len(left) < count:
            count = len(left)
            left = [each for each in left if not self._found_finite(each)]

    def _found_finite(self, schema: dict[str, Json]) -> bool:
        found = self._finite[id(schema)] = self._has_finite(schema)
        return found

    def _is_finite(self, schema: Json) -> bool:
        return self._finite.get(id(schema), False) if isinstance(schema, dict) else schema is True

    def _has_finite(self, schema: dict[str, Json]) -> bool:
        if "$ref" in schema and not self._is_finite(self._target(schema)):
            return False
        if not all(map(self._is_finite, _schemas(schema, "allOf"))):
            return False
        for key in ("anyOf", "oneOf"):
            if key in schema and not any(map(self._is_finite, _schemas(schema, key))):
                return False
        if "const" in schema or "enum" in schema:
            return True
        return any(self._has_finite_type(schema, name) for name in _types(schema))

    def _has_finite_type(self, schema: dict[str, Json], name: str) -> bool:
        if name == "object":
            required = schema.get("required", [])
            names = required if isinstance(required, list) else []
            return all(self._is_finite(_property(schema, str(each))) for each in names)
        if name == "array":
            prefix = _schemas(schema, "prefixItems")
            least = schema.get("minItems", 0)
            count = least if isinstance(least, int) else 0
            more = count <= len(prefix) or self._is_finite(schema.get("items", True))
            return more and all(map(self._is_finite, prefix[:count]))
        return True

    # --- writing ----------------------------------------------------------------------------------------

    def _written(self, schema: Json) -> Schema:
        if not isinstance(schema, dict):
            return schema is True
        if not self._is_finite(schema):
            return False
        found: dict[str, Json] = {}
        for key, value in schema.items():
            match key:
                case "properties" | "patternProperties" | "$defs" if isinstance(value, dict):
                    found[key] = {name: self._written(each) for name, each in value.items()}
                case "items" | "additionalProperties":
                    found[key] = self._written(value)
                case "oneOf":
                    self._check_apart(schema)
                    options: Json = [self._written(each) for each in _schemas(schema, key)]
                    if "anyOf" in schema:
                        others = found.get("allOf", [])
                        found["allOf"] = [*(others if isinstance(others, list) else []), {"anyOf": options}]
                    else:
                        found["anyOf"] = options
                case "allOf" | "anyOf" | "prefixItems":
                    mine = found.get(key, [])
                    found[key] = [
                        *(mine if isinstance(mine, list) else []),
                        *(self._written(each) for each in _schemas(schema, key)),
                    ]
                case _:
                    found[key] = value
        return found

    # --- oneOf ------------------------------------------------------------------------------------------

    def _check_apart(self, schema: dict[str, Json]) -> None:
        options = _schemas(schema, "oneOf")
        types = _types(schema)
        for at, one in enumerate(options):
            for other in options[at + 1 :]:
                if not self._apart(one, other, types, _MAX_HOPS):
                    raise Refusal(
                        "'oneOf' is enforced where its schemas can't both hold (by type, or by a required "
                        "property with a 'const' of its own): write 'anyOf'",
                        self._places.get(id(schema), ()),
                    )

    def _apart(self, one: Json, other: Json, types: set[str], hops: int) -> bool:
        """Return whether it is certain that no value of these types fulfils both."""
        self._spend(1)
        if not self._is_finite(one) or not self._is_finite(other):
            return True
        if not isinstance(one, dict) or not isinstance(other, dict) or not hops:
            return False
        if self._parts_apart(one, other, types, hops - 1) or self._parts_apart(other, one, types, hops - 1):
            return True
        types = types & _types(one) & _types(other)
        mine, theirs = _values(one), _values(other)
        if mine is not None and theirs is not None:
            self._spend(len(mine) * len(theirs))
            return not any(_equal(each, another) for each in mine for another in theirs)
        return not types or (types == {"object"} and self._objects_apart(one, other, hops - 1))

    def _spend(self, comparisons: int) -> None:
        self._comparisons += comparisons
        if self._comparisons > _MAX_COMPARISONS:
            raise Refusal("it takes too much to find out whether the schemas of 'oneOf' can both hold")

    def _parts_apart(self, schema: dict[str, Json], other: Json, types: set[str], hops: int) -> bool:
        every = [*_schemas(schema, "allOf"), *([self._target(schema)] if "$ref" in schema else [])]
        if any(self._apart(each, other, types, hops) for each in every):
            return True
        options = (_schemas(schema, key) for key in ("anyOf", "oneOf") if key in schema)
        return any(all(self._apart(each, other, types, hops) for each in one_of) for one_of in options)

    def _objects_apart(self, one: dict[str, Json], other: dict[str, Json], hops: int) -> bool:
        names = {str(name) for schema in (one, other) for name in _list(schema.get("required"))}
        return any(
            self._apart(_property(one, name), _property(other, name), set(TYPES), hops)
            for name in sorted(names)
        )


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _schemas(schema: dict[str, Json], key: str) -> list[Json]:
    return _list(schema.get(key))


def _types(schema: dict[str, Json]) -> set[str]:
    named = schema.get("type", list(TYPES))
    types = {
        "number" if name == "integer" else str(name)
        for name in (named if isinstance(named, list) else [named])
    }
    values = _values(schema)
    return types if values is None else types & {_type_of(value) for value in values}


def _type_of(value: Json) -> str:
    kinds: list[tuple[type, str]] = [
        (bool, "boolean"),
        (int, "number"),
        (float, "number"),
        (str, "string"),
        (list, "array"),
        (dict, "object"),
    ]
    return next((name for kind, name in kinds if isinstance(value, kind)), "null")


def _values(schema: dict[str, Json]) -> list[Json] | None:
    if "const" in schema:
        return [schema["const"]]
    return _list(schema["enum"]) if "enum" in schema else None


def _equal(one: Json, other: Json) -> bool:
    if _type_of(one) != _type_of(other):
        return False
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[name], other[name]) for name in one)
    return one == other


def _property(schema: dict[str, Json], name: str) -> Json:
    """Return the schema of a property, as far as it has one by name."""
    properties = schema.get("properties", {})
    if isinstance(properties, dict) and name in properties:
        return properties[name]
    return True if "patternProperties" in schema else schema.get("additionalProperties", True)


def _all_in(schema: Json) -> Iterator[dict[str, Json]]:
    if isinstance(schema, dict):
        for each in parts_of(schema):
            yield from _all_in(each)
        yield schema
