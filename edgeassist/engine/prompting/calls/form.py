"""What a form of tool calls is: the Protocol that each one fulfils."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from edgeassist.engine.messages import ToolCall, Tools
from edgeassist.engine.prompting.parser import AnswerParser

# Returns a rule's body in Lark for the JSON values of a schema. It is given that as JSON text, and what stands
# between items, and between a key and its value.
JsonOf = Callable[[str, str, str], str]
# Returns how a mark stands in Lark: as text, or as the control token that it is in the model's vocabulary.
MarkOf = Callable[[str], str]


class Form(Protocol):
    """How a model family writes tool calls.

    Attributes:
        name: For logs and `info`.
        marks: What in it may be control tokens of the vocabulary.
    """

    name: str
    marks: tuple[str, ...]

    def write(self, calls: Sequence[ToolCall]) -> str:
        """Return calls as the model writes them, without text."""
        ...

    def grammar(self, tools: Tools, json_of: JsonOf, mark_of: MarkOf) -> str:
        """Return the Lark grammar of a whole answer, with the start rule `start`.

        With `Choice.AUTO` it is text in which no call begins, calls, or text and then calls; with `REQUIRED`
        it is calls; with `NONE` text. Every call is valid against its tool's schema.

        Raises:
            InvalidRequestError: A tool's schema asks for what isn't enforced; names the tool and the place.
        """
        ...

    def parser(self, rest: AnswerParser) -> AnswerParser:
        """Return what reads one answer.

        Args:
            rest: Reads what is no call. Each call becomes one part of the kind TOOL_CALL.
        """
        ...
