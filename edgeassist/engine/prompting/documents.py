"""Messages and tools as chat templates read them: lists and dicts. Sans-I/O."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, Protocol

from edgeassist.engine.messages import ChatMessage, ToolCall, Tools
from edgeassist.engine.nesting import MAX_DEPTH, depth_of
from edgeassist.engine.prompting.escapes import JSON, note
from edgeassist.errors import InvalidRequestError

SYSTEM, USER, ASSISTANT, TOOL = "system", "user", "assistant", "tool"

Variables = tuple[tuple[str, object], ...]

# Parsed tools of so many requests are kept.
_KEPT = 16


class Told(StrEnum):
    """Where a template reads which tools there are."""

    TOOLS = "tools"
    XML_TOOLS = "xml_tools"  # SmolLM3
    SYSTEM = "a key of the system message, as JSON"  # Phi-4-mini
    NOWHERE = "nowhere"


@dataclass(frozen=True, slots=True)
class Manner:
    """How a template reads tools, calls and results.

    Attributes:
        told: Where it reads which tools there are.
        json: Whether it reads arguments as JSON text, and not as an object.
    """

    told: Told = Told.TOOLS
    json: bool = False


PLAIN = Manner()


class Hold(Protocol):
    """What is done with each text of a client before a template sees it."""

    def text(self, message: ChatMessage) -> str:
        """Return what stands for a message's text."""
        ...

    def data(self, value: Any) -> Any:
        """Return what stands for a JSON value."""
        ...

    def schema(self, value: Any) -> Any:
        """Return what stands for a JSON Schema."""
        ...


class AsItIs:
    """Leaves all as it is."""

    def text(self, message: ChatMessage) -> str:
        """Return the text."""
        return message.content

    def data(self, value: Any) -> Any:
        """Return the value."""
        return value

    def schema(self, value: Any) -> Any:
        """Return the schema."""
        return value


AS_IT_IS = AsItIs()


def documents_of(
    messages: Sequence[ChatMessage],
    parts: frozenset[str],
    manner: Manner = PLAIN,
    tools: Tools | None = None,
    hold: Hold = AS_IT_IS,
) -> tuple[list[dict[str, object]], Variables]:
    """Return a conversation as a template reads it, and the variables that it reads beside.

    Calls have ids of our own, numbered, since templates refuse those of others, and a client may write any.

    Args:
        messages: Oldest first.
        parts: The roles whose content is a list of parts.
        manner: How the template reads tools.
        tools: All that may be called; None: nothing.
        hold: What is done with each text.
    """
    documents: list[dict[str, object]] = []
    called: dict[str, tuple[str, str]] = {}
    count = 0
    for message in messages:
        content: object = hold.text(message)
        if message.role in parts:
            content = [{"type": "text", "text": content}]
        document: dict[str, object] = {"role": message.role, "content": content}
        if message.calls:
            document["tool_calls"] = [
                _call(call, at, manner, hold, called) for at, call in enumerate(message.calls, count)
            ]
            count += len(message.calls)
        if message.call_id:
            document["tool_call_id"], document["name"] = called.get(message.call_id, (_numbered(count), ""))
        documents.append(document)
    if tools is None or manner.told is Told.NOWHERE:
        return documents, ()
    functions = [
        {"name": hold.data(name), "description": hold.data(description), "parameters": hold.schema(schema)}
        for name, description, schema in read_tools(tools)
    ]
    if manner.told is Told.SYSTEM:
        if not documents or documents[0]["role"] != SYSTEM:
            documents.insert(0, {"role": SYSTEM, "content": ""})
        documents[0]["tools"] = to_json(functions)
        return documents, ()
    return documents, ((manner.told.value, [{"type": "function", "function": each} for each in functions]),)


@lru_cache(_KEPT)
def read_tools(tools: Tools) -> tuple[tuple[str, str, dict[str, Any]], ...]:
    """Return name, description and schema of each tool; a schema has `type` and `properties` in any case.

    Raises:
        InvalidRequestError: A schema is no JSON object.
    """
    return tuple(
        (
            tool.name,
            tool.description,
            {"type": "object", "properties": {}}
            | _read(tool.parameters, f"the parameters of the tool {tool.name}"),
        )
        for tool in tools.tools
    )


def read_arguments(call: ToolCall) -> dict[str, Any]:
    """Return a call's arguments.

    Raises:
        InvalidRequestError: They are no JSON object.
    """
    return _read(call.arguments, f"the arguments of a call of {call.name}")


def change_texts(value: Any, change: Callable[[str], str]) -> Any:
    """Return a JSON value with another text for each of its texts and keys."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(key): change_texts(each, change) for key, each in value.items()}
    if isinstance(value, list):
        return [change_texts(each, change) for each in value]
    return value


def _read(text: str, what: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    except RecursionError:
        raise _too_deep(what) from None
    if not isinstance(value, dict):
        raise InvalidRequestError(f"{what} are no JSON object")
    if depth_of(value) > MAX_DEPTH:
        raise _too_deep(what)
    return value


def _too_deep(what: str) -> InvalidRequestError:
    return InvalidRequestError(f"{what} have objects and lists more than {MAX_DEPTH} deep in one another")


def _call(
    call: ToolCall, number: int, manner: Manner, hold: Hold, called: dict[str, tuple[str, str]]
) -> dict[str, Any]:
    name, arguments = hold.data(call.name), hold.data(read_arguments(call))
    id_ = _numbered(number)
    called[call.id] = id_, name
    return {
        "id": id_,
        "type": "function",
        "function": {"name": name, "arguments": to_json(arguments) if manner.json else arguments},
    }


def _numbered(number: int) -> str:
    # Mistral's templates want nine letters or digits.
    return f"call{number:05d}"


def to_json(value: object) -> str:
    """Return a JSON value as text."""
    return note(json.dumps(value, ensure_ascii=False), JSON)
