"""JSON Schema (a subset of draft 2020-12) as a grammar.

llguidance ignores keywords that it does not know, reads those of other drafts, and gets some wrong. So it
sees no client's schema, but one that `reading` wrote: what isn't enforced was refused, by its name and place.
"""

from __future__ import annotations

import json
from typing import NoReturn

from llguidance import LLMatcher

from edgeassist.engine.constraints.documents import Json
from edgeassist.engine.constraints.reading import Reader
from edgeassist.engine.constraints.refusals import Refusal, pointer
from edgeassist.engine.constraints.satisfying import Satisfying
from edgeassist.engine.nesting import MAX_DEPTH, depth_of
from edgeassist.errors import InvalidRequestError

MAX_BYTES = 65_536
_TOO_DEEP = f"objects and lists stand more than {MAX_DEPTH} deep in one another"

# Beside these, or with them, other members may be what makes an answer valid.
_MERGING = (
    *("$ref", "allOf", "anyOf", "oneOf", "enum", "const"),
    *("additionalProperties", "patternProperties", "minProperties"),
)

# Each character has one spelling. With \u escapes llguidance takes {"\u0061": …} for another name than "a",
# so that additionalProperties would let in what property "a" does not allow.
_OPTIONS: dict[str, Json] = {
    "whitespace_flexible": False,
    "item_separator": ",",
    "key_separator": ":",
    "json_allowed_escapes": 'nrbtf\\"',
}


def grammar_of_schema(text: str) -> str:
    """Return llguidance's grammar of the answers that a schema allows, as compact JSON.

    Properties come in the schema's order.

    Args:
        text: A JSON Schema.

    Raises:
        InvalidRequestError: It is no schema, has no finite answer, is too large, or asks for what isn't
            enforced; the message names the keyword and its place. What only a compile shows is not found.
    """
    try:
        schema = plain_schema(text)
    except Refusal as refusal:
        message = f"json_schema: {pointer(refusal.place)}: {refusal.reason}"
        raise InvalidRequestError(message) from None
    return LLMatcher.grammar_from_json_schema(json.dumps(schema))


def plain_schema(text: str) -> dict[str, Json]:
    """Return a schema whose answers are answers to this one too, as llguidance understands it.

    Raises:
        Refusal: As above.
    """
    return {**_plain(_document(text)), "x-guidance": _OPTIONS}


def arguments_schema(text: str) -> dict[str, Json]:
    """Return the schema of a tool's arguments as `plain_schema` does, without llguidance's options.

    Names that the schema does not tell of are no arguments, unless it says that there may be others.

    Raises:
        Refusal: As above, or they are no object.
    """
    document = _document(text)
    if isinstance(document, dict):
        if document.setdefault("type", "object") != "object":
            raise Refusal('the parameters of a tool are an object: write "type": "object"')
        if not any(key in document for key in ("$ref", "allOf", "anyOf", "oneOf", "enum", "const")):
            document.setdefault("properties", {})
        _close(document)
    return _plain(document)


def json_of(schema: dict[str, Json]) -> str:
    """Return what llguidance is given for arguments, or a part of them: with the spaces that models write."""
    return json.dumps({**schema, "x-guidance": {**_OPTIONS, "item_separator": ", ", "key_separator": ": "}})


def _plain(document: Json) -> dict[str, Json]:
    reader = Reader(document)
    return Satisfying(reader.read(), reader.places).checked()


def _close(schema: Json) -> None:
    """Let objects have no other members than those that are told of, where nothing else is said of them."""
    if not isinstance(schema, dict) or any(key in schema for key in _MERGING):
        return
    properties, required = schema.get("properties"), schema.get("required", [])
    if isinstance(properties, dict):
        if isinstance(required, list) and all(
            isinstance(name, str) and name in properties for name in required
        ):
            schema.setdefault("additionalProperties", False)
        for each in properties.values():
            _close(each)
    _close(schema.get("items"))


def _document(text: str) -> Json:
    if len(text.encode(errors="replace")) > MAX_BYTES:
        raise Refusal(f"the schema has more than {MAX_BYTES:,} bytes")
    try:
        document: Json = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number)
    except RecursionError:
        raise Refusal(_TOO_DEEP) from None
    except ValueError as error:
        raise Refusal(f"not JSON: {error}") from None
    if depth_of(document) > MAX_DEPTH:
        raise Refusal(_TOO_DEEP)
    return document


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Refusal(f"{json.dumps(twice[:100])} stands twice in one object")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def end_of_json(text: str, start: int) -> int:
    """Return where the JSON value ends that begins there.

    Raises:
        Refusal: There is none.
    """
    try:
        return json.JSONDecoder().raw_decode(text, start)[1]
    except (ValueError, RecursionError):
        raise Refusal("no JSON follows it") from None
