"""Tools, calls and results as plain text, where a chat template has no place for them. Sans-I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from msgspec.structs import replace

from edgeassist.engine.messages import ChatMessage, ToolCall, Tools
from edgeassist.engine.prompting.calls.form import Form
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
_MARKED = re.compile(rf"""{MARK}(\\u[0-9a-f]{{4}}|\\["\\/bfnrt]|[^\\])""")


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


def call_as_text(message: ChatMessage, form: Form, control: re.Pattern[str]) -> ChatMessage:
    """Return an assistant's message whose calls are text.

    Args:
        message: With calls.
        form: In which the model writes them.
        control: Matches control tokens. An assistant's message may hold some of them, but no argument: there
            they are escaped.
    """
    marked = [_marked(call, control) for call in message.calls]
    said = [message.content] if message.content else []
    return ChatMessage(ASSISTANT, "\n".join([*said, _MARKED.sub(_escape, form.write(marked))]))


def results_as_text(messages: Sequence[ChatMessage]) -> ChatMessage:
    """Return the results of tools as a message of the user's."""
    return ChatMessage(
        USER, "\n".join(f"<tool_response>\n{message.content}\n</tool_response>" for message in messages)
    )


def _marked(call: ToolCall, control: re.Pattern[str]) -> ToolCall:
    """Return a call with a mark before each control token."""
    arguments = change_texts(
        read_arguments(call), lambda text: control.sub(lambda found: f"{MARK}{found.group()}", text)
    )
    return replace(call, arguments=json.dumps(arguments, ensure_ascii=False))


def _escape(marked: re.Match[str]) -> str:
    character = json.loads(f'"{marked[1]}"', strict=False) if marked[1] != '"' else '"'
    return f"\\u{ord(character):04x}" if character.isascii() else json.dumps(character)[1:-1]
