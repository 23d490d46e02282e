"""Tools as a program sees them: what it offers, what is called, and what came of it. Sans-I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from edgeassist.client.formats import AnswerFormatError
from edgeassist.protocol.events import Called


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool, to be carried out.

    Attributes:
        id: By which its result names it.
        name: The tool's.
        arguments: By name, as the tool's schema wants them.
    """

    id: str
    name: str
    arguments: dict[str, Any]

    @classmethod
    def of(cls, called: Called) -> Self:
        """Return the call that an event carries, which must be whole.

        Raises:
            AnswerFormatError: The arguments are no object in JSON.
        """
        try:
            arguments = json.loads(called.arguments)
        except (ValueError, RecursionError):
            arguments = None
        if not isinstance(arguments, dict):
            raise AnswerFormatError(
                f"{called.name} is called with what is no JSON object: {called.arguments[:100]!r}"
            )
        return cls(called.tool_call_id or "", called.name or "", arguments)

    def result(self, value: Any) -> dict[str, Any]:
        """Return the message that tells the model what came of it.

        Args:
            value: A text, or what can be written as JSON; an error too, in words.
        """
        content = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return {"role": "tool", "tool_call_id": self.id, "content": content}

    def asked(self) -> dict[str, Any]:
        """Return the call as an assistant's message has it in `tool_calls`."""
        function = {"name": self.name, "arguments": json.dumps(self.arguments, ensure_ascii=False)}
        return {"id": self.id, "type": "function", "function": function}


def tool(name: str, description: str = "", parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a tool, for the field `tools`.

    Args:
        name: 1 to 64 of A-Z a-z 0-9 _ -.
        description: What it does, for the model.
        parameters: The JSON Schema of its arguments, of an object; None: it takes none.
    """
    function: dict[str, Any] = {"name": name, "description": description}
    if parameters is not None:
        function["parameters"] = dict(parameters)
    return {"type": "function", "function": function}
