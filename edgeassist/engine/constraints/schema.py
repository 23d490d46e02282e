"""JSON Schema (a subset of draft 2020-12) as a grammar.

llguidance ignores keywords that it does not know, reads other drafts' for this one's, and gets some wrong. So it
never sees a client's schema, but one that `reading` wrote: what isn't enforced was refused, by its name and place.
"""

from __future__ import annotations

import json
from typing import NoReturn

from llguidance import LLMatcher

from edgeassist.engine.constraints.documents import Json
from edgeassist.engine.constraints.reading import Reader
from edgeassist.engine.constraints.refusals import Refusal, pointer
from edgeassist.engine.constraints.satisfying import Satisfying
from edgeassist.errors import InvalidRequestError

MAX_BYTES = 65_536

# Each character has one spelling. With \\u escapes llguidance takes {"\\u0061": …} for another name than "a", so that
# additionalProperties would let a declared property in with a value of any kind.
_OPTIONS = {
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
        InvalidRequestError: It is no schema, has no finite answer, is too large, or asks for what isn't enforced;
            the message names the keyword and its place.
    """
    try:
        schema = plain_schema(text)
    except Refusal as refusal:
        message = f"json_schema: {pointer(refusal.place)}: {refusal.reason}"
        raise InvalidRequestError(message) from None
    return LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=_OPTIONS)


def plain_schema(text: str) -> dict[str, Json]:
    """Return a schema whose answers are answers to this one too, and which llguidance understands.

    Raises:
        Refusal: As above.
    """
    reader = Reader(_document(text))
    return Satisfying(reader.read(), reader.places).checked()


def _document(text: str) -> Json:
    if len(text.encode(errors="replace")) > MAX_BYTES:
        raise Refusal(f"the schema has more than {MAX_BYTES:,} bytes")
    try:
        document: Json = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number)
    except RecursionError:
        raise Refusal("the schema is nested too deeply") from None
    except ValueError as error:
        raise Refusal(f"not JSON: {error}") from None
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
