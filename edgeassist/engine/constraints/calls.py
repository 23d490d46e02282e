"""Tools and the form in which a model calls them, as a grammar."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llguidance import LLMatcher

from edgeassist.engine.constraints.refusals import Refusal, pointer
from edgeassist.engine.constraints.schema import MAX_BYTES, arguments_schema, json_of
from edgeassist.engine.messages import Tools
from edgeassist.engine.prompting.calls.form import Form, Unwritable
from edgeassist.engine.prompting.calls.lark import quoted, without
from edgeassist.engine.prompting.calls.parameters import NOT_HERE, NOTHING
from edgeassist.errors import InvalidRequestError

_OF_TEXTS = frozenset({"type", "enum", "const", "minLength", "maxLength", "pattern", "allOf"})


def grammar_of_calls(
    tools: Tools, form: Form, marks: Mapping[str, int], possible: Callable[[str], bool]
) -> str:
    """Return llguidance's grammar of an answer that may call tools.

    Args:
        tools: What may be called, and whether.
        form: How the model writes calls.
        marks: The ids of those marks that are control tokens.
        possible: Whether there is a text that a grammar allows.

    Raises:
        InvalidRequestError: A tool's parameters ask for what isn't enforced. What only a compile shows is not
            found here.
    """
    if sum(len(tool.parameters.encode()) for tool in tools.tools) > MAX_BYTES:
        raise InvalidRequestError(f"tools: all parameters have more than {MAX_BYTES:,} bytes together")
    if tools.only and all(tool.name != tools.only for tool in tools.tools):
        raise InvalidRequestError("tool_choice: there is no tool of that name")
    writer = _Writer(tools, marks, possible)
    try:
        return LLMatcher.grammar_from_lark(form.grammar(tools, writer))
    except Unwritable as unwritable:
        raise _refused(writer.number, unwritable.place, unwritable.reason) from None


def _refused(number: int, place: tuple[str, ...], reason: str) -> InvalidRequestError:
    return InvalidRequestError(f"tools.{number}.function.parameters: {pointer(place)}: {reason}")


class _Writer:
    """Fulfils `Writer`.

    Attributes:
        number: Which tool was asked for last.
    """

    def __init__(self, tools: Tools, marks: Mapping[str, int], possible: Callable[[str], bool]) -> None:
        self._tools = tools
        self._possible = possible
        self._marks = marks
        self.number = 0

    def arguments(self, number: int) -> dict[str, Any]:
        self.number = number
        try:
            return arguments_schema(self._tools.tools[number].parameters)
        except Refusal as refusal:
            raise _refused(number, refusal.place, refusal.reason) from None

    def json(self, schema: dict[str, Any], root: dict[str, Any]) -> str:
        known = root.get("$defs")
        return f"%json {json_of(schema if known is None else {**schema, '$defs': known})}"

    def text(self, rule: str, schema: dict[str, Any], mark: str) -> list[str]:
        several = [schema, *(each for each in schema.get("allOf", []) if each is not True)]
        for each in several:
            if not isinstance(each, dict) or each.get("type", "string") != "string":
                raise Unwritable(f"'allOf' {NOT_HERE}")
            if other := next((key for key in each if key not in _OF_TEXTS), None):
                raise Unwritable(f"'{other}' {NOT_HERE}")
            if each is not schema and "allOf" in each:
                raise Unwritable(f"'allOf' in 'allOf' {NOT_HERE}")
        parts = [without(mark), *(part for each in several for part in _parts(each, mark))]
        body, ending = " & ".join(parts), self.mark(mark)
        # Within a grammar it would show on the way only.
        if len(parts) > 1 and not self._possible(LLMatcher.grammar_from_lark(f"start: TEXT\nTEXT: {body}")):
            raise Unwritable(NOTHING)
        if ending.startswith("<"):
            return [f"{rule}: {rule.upper()} {ending}", f"{rule.upper()}: {body}"]
        # As a terminal of its own, the mark's beginning would be taken for text.
        return [f"{rule}: {rule.upper()}", f"{rule.upper()}: ({body}) {ending}"]

    def mark(self, text: str) -> str:
        return f"<[{self._marks[text]}]>" if text in self._marks else quoted(text)


def _parts(schema: dict[str, Any], mark: str) -> list[str]:
    """Return the terminals' bodies that a text is all of."""
    parts = []
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if least or most is not None:
        parts.append(f"/(?s:.{{{least},{'' if most is None else most}}})/")
    if "pattern" in schema:
        body = schema["pattern"].removeprefix("^").removesuffix("$")
        parts.append(f"/{body.replace('/', chr(92) + '/')}/")
    for values in (schema.get("enum"), [schema["const"]] if "const" in schema else None):
        if values is not None:
            texts = [value for value in values if isinstance(value, str) and mark not in value]
            if not texts:
                raise Unwritable(NOTHING)
            parts.append("(" + " | ".join(map(quoted, texts)) + ")")
    return parts
