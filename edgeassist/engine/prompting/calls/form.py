"""What a form of tool calls is: the Protocols that each one fulfils, and that its grammar is written with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from edgeassist.engine.messages import ToolCall, Tools
from edgeassist.engine.prompting.parser import AnswerParser

# A JSON Schema as `constraints.reading` writes it: what isn't enforced was refused.
Schema = dict[str, Any]


class Writer(Protocol):
    """Writes what only a model's compiler knows, in llguidance's Lark."""

    def arguments(self, number: int) -> Schema:
        """Return the schema of a tool's arguments, of an object.

        Args:
            number: Which of the tools.

        Raises:
            InvalidRequestError: It asks for what isn't enforced; names the tool and the place.
        """
        ...

    def json(self, schema: Schema, root: Schema) -> str:
        """Return a rule's body for JSON values, with ", " between items and ": " behind names.

        Args:
            schema: Of the values.
            root: Where it stands; what it refers to is there.
        """
        ...

    def text(self, rule: str, schema: Schema, mark: str) -> list[str]:
        """Return the rules of a text, as it is, and the mark behind it, which does not stand in it.

        Args:
            rule: The name of the first.
            schema: Of the text: `type`, `enum`, `const`, `minLength`, `maxLength`, `pattern`.
            mark: What ends the text.

        Raises:
            Unwritable: It asks for more.
        """
        ...

    def mark(self, text: str) -> str:
        """Return a mark: as text, or as the control token that it is in the model's vocabulary."""
        ...


class Unwritable(Exception):  # noqa: N818 - what it is
    """A form can't write what a schema asks for.

    Args:
        reason: What, on one line.
        place: The keys that lead to it in the tool's parameters.
    """

    def __init__(self, reason: str, *place: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.place = place


class Form(Protocol):
    """How a model family writes tool calls."""

    @property
    def name(self) -> str:
        """For logs."""
        ...

    @property
    def marks(self) -> tuple[str, ...]:
        """What in it may be control tokens of the vocabulary."""
        ...

    def write(self, calls: Sequence[ToolCall]) -> str:
        """Return calls as the model writes them, without text."""
        ...

    def grammar(self, tools: Tools, writer: Writer) -> str:
        """Return the Lark grammar of a whole answer, with the start rule `start`.

        With `Choice.AUTO` it is text in which no call begins, calls, or text and then calls; with `REQUIRED`
        it is calls; with `NONE` text. Every call is valid against its tool's schema.

        Raises:
            InvalidRequestError: A tool's schema asks for what isn't enforced; names the tool and the place.
            Unwritable: That of the tool that the writer was asked for last asks for what is not enforced in
                this form.
        """
        ...

    def parser(self, tools: Tools, rest: AnswerParser) -> AnswerParser:
        """Return what reads one answer.

        Args:
            tools: What may be called.
            rest: Reads what is no call. Each call becomes one part of the kind TOOL_CALL.
        """
        ...
