"""Which form of tool calls a model has. Stands in until the families' forms are there."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from edgeassist.engine.messages import ToolCall, Tools
from edgeassist.engine.prompting.calls.form import Form, JsonOf, MarkOf
from edgeassist.engine.prompting.parser import AnswerParser


class Tagged:
    """JSON in plain `<tool_call>` tags."""

    name = "tagged"
    marks: tuple[str, ...] = ("<tool_call>", "</tool_call>")

    def write(self, calls: Sequence[ToolCall]) -> str:
        """Return calls as text (`Form.write`)."""
        return "\n".join(
            f'<tool_call>\n{{"name": "{call.name}", "arguments": {call.arguments}}}\n</tool_call>'
            for call in calls
        )

    def grammar(self, tools: Tools, json_of: JsonOf, mark_of: MarkOf) -> str:
        """Return the grammar (`Form.grammar`)."""
        raise NotImplementedError

    def parser(self, rest: AnswerParser) -> AnswerParser:
        """Return what reads one answer (`Form.parser`)."""
        return rest


class Another(Tagged):
    """Any other."""

    name = "another"


OURS: Form = Tagged()
_SIGNS = ('"parameters"', "[TOOL_CALLS]", "<function=", "<|tool_call>")
_ANOTHER: Form = Another()


def find_form(written: str | None, source: str, vocabulary: Collection[str]) -> Form:
    """Return the form of calls that a template writes.

    Args:
        written: What it wrote for a call of `zqtool` with `{"zqkey": "zqvalue"}`; None: it writes none.
        source: Its text.
        vocabulary: The texts of tokens that may be marks.
    """
    del source, vocabulary
    return _ANOTHER if written is not None and any(sign in written for sign in _SIGNS) else OURS
