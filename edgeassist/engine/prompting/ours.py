"""Tools for models whose chat template has no place for them: told and called in plain text. Sans-I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from edgeassist.engine.messages import ChatMessage, ToolCall, Tools
from edgeassist.engine.prompting.documents import (
    ASSISTANT,
    SYSTEM,
    USER,
    change_texts,
    read_arguments,
    read_tools,
    to_json,
)
from edgeassist.engine.prompting.escapes import MARK

_TOLD = """\
# Tools

You may call functions to do what the user asks. Here they are, each as a line of JSON:
<tools>
{tools}
</tools>

To call one, answer with its name and arguments as JSON within <tool_call> tags:
<tool_call>
{{"name": <function-name>, "arguments": <arguments-as-a-JSON-object>}}
</tool_call>
What it returns comes within <tool_response> tags."""
_MARKED = re.compile(rf"{MARK}(\\u[0-9a-f]{{4}}|\\.|.)", re.DOTALL)


def with_tools(messages: Sequence[ChatMessage], tools: Tools) -> list[ChatMessage]:
    """Return a conversation whose system prompt ends with the tools."""
    lines = [
        to_json({"name": name, "description": description, "parameters": schema})
        for name, description, schema in read_tools(tools)
    ]
    told = _TOLD.format(tools="\n".join(lines))
    if messages and messages[0].role == SYSTEM:
        first, *rest = messages
        return [ChatMessage(SYSTEM, f"{first.content}\n\n{told}" if first.content else told), *rest]
    return [ChatMessage(SYSTEM, told), *messages]


def call_as_text(message: ChatMessage, control: re.Pattern[str]) -> ChatMessage:
    """Return an assistant's message whose calls are text.

    Args:
        message: With calls.
        control: Matches control tokens. An assistant's message may hold some of them, but no argument.
    """
    said = [message.content] if message.content else []
    return ChatMessage(ASSISTANT, "\n".join([*said, *(_written(call, control) for call in message.calls)]))


def results_as_text(messages: Sequence[ChatMessage]) -> ChatMessage:
    """Return the results of tools as a message of the user's."""
    return ChatMessage(
        USER, "\n".join(f"<tool_response>\n{message.content}\n</tool_response>" for message in messages)
    )


def _written(call: ToolCall, control: re.Pattern[str]) -> str:
    # Each control token is marked, and then its first character is escaped.
    arguments = change_texts(
        read_arguments(call), lambda text: control.sub(lambda found: f"{MARK}{found.group()}", text)
    )
    said = json.dumps({"name": call.name, "arguments": arguments}, ensure_ascii=False)
    return f"<tool_call>\n{_MARKED.sub(_escape, said)}\n</tool_call>"


def _escape(marked: re.Match[str]) -> str:
    character = json.loads(f'"{marked[1]}"')
    return f"\\u{ord(character):04x}" if character.isascii() else json.dumps(character)[1:-1]
