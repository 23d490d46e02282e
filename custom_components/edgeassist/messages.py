"""A chat log as messages of the wire, and back. Imports nothing of Home Assistant.

What Home Assistant has in its chat log is known here by its attributes only: `role`, `content`, `tool_calls`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .events import Called
from .layout import Layout

# As many messages a request may have (docs/protocol.md); the system prompt is one.
MAX_MESSAGES = 256
# So many questions are left out at once, where there are more.
_BLOCK = 32

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Written:
    """An answer as the box wrote it; `native` of the chat log.

    A box finds the tokens of its own answers again if they come back as it wrote them, white space too.

    Attributes:
        arguments: Of each call, by its id.
    """

    arguments: Mapping[str, str]

    @classmethod
    def of(cls, calls: Iterable[Called]) -> Written:
        """Return that of an answer with these calls."""
        return cls({call.call: call.arguments for call in calls})


def arguments_of(call: Called) -> dict[str, Any]:
    """Return a call's arguments as Home Assistant takes them.

    Small models write null or an empty text where an argument does not matter, and Home Assistant would
    look for a device of no name.
    """
    arguments = json.loads(call.arguments or "{}")
    return {name: value for name, value in arguments.items() if value is not None and value != ""}


def messages_of(
    contents: Sequence[Any],
    layout: Layout,
    local: Callable[[datetime], datetime],
    *,
    turns: int | None = None,
) -> list[Message]:
    """Return the messages of a chat log.

    Args:
        contents: Of the chat log, the system prompt first.
        layout: Of that system prompt.
        local: Turns a time into the home's.
        turns: Only so many of the last questions, with what belongs to them; None for all.
    """
    said = _last_turns(contents[1:], turns)
    spoken = {content.content for content in said if content.role == "assistant"}
    messages: list[Message] = [{"role": "system", "content": layout.system}] if layout.system else []
    first = True
    for content in said:
        match content.role:
            case "user":
                before = layout.before(first=first, asked_at=local(content.created))
                messages.append({"role": "user", "content": before + content.content})
                first = False
            case "assistant" if content.tool_calls:
                messages.append(_calling(content))
            case "assistant" if content.content:
                messages.append({"role": "assistant", "content": content.content})
            case "tool_result":
                messages.append(
                    {
                        "role": "tool",
                        "tool_call_id": content.tool_call_id,
                        "content": _result(content, spoken),
                    }
                )
            case _:
                pass
    return messages


def questions(contents: Sequence[Any]) -> int:
    """Return how many questions a chat log has."""
    return sum(content.role == "user" for content in contents)


def _last_turns(contents: Sequence[Any], turns: int | None) -> Sequence[Any]:
    """Return what belongs to the last questions, and is no more than a request may have."""
    starts = [index for index, content in enumerate(contents) if content.role == "user"]
    if turns is not None and turns < len(starts):
        starts = starts[len(starts) - turns :]
        contents = contents[starts[0] :]
        starts = [start - starts[0] for start in starts]
    room = MAX_MESSAGES - 1
    if len(contents) <= room:
        return contents
    fits = [start for start in starts if len(contents) - start <= room]
    # Many at once, so that the next questions find what comes before them as it was.
    blocks = [start for start in starts[::_BLOCK] if start in fits]
    return contents[[*blocks, *fits, 0][0] :]


def _calling(content: Any) -> Message:
    written = content.native.arguments if isinstance(content.native, Written) else {}
    return {
        "role": "assistant",
        "content": content.content or None,
        "tool_calls": [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": call.tool_name,
                    "arguments": written.get(call.id) or _json(call.tool_args),
                },
            }
            for call in content.tool_calls
        ],
    }


def _result(content: Any, spoken: Set[str | None]) -> str:
    """Return a tool's result as text.

    Where it has words, these, and not the JSON around them: they are shorter to read, and a small model says
    aloud what it has read last.
    """
    # It is `result` since Home Assistant 2026.10, `tool_result` before.
    result = content.result.data if hasattr(content, "result") else content.tool_result
    match result:
        case {"error": str(), "error_text": str(words)} if words:
            return f"Error: {words}"
        case {"success": True, "result": str(words)} if words:
            return words
        # Home Assistant 2026.2 later writes what the model said of a result into it. It stays as it was.
        case {"speech": {"plain": {"speech": str(words)}}} if words and words not in spoken:
            return words
        case {"response_type": "action_done", "data": {"success": [*done], "failed": [*failed]}}:
            return _done(done, failed)
        case _:
            return _json(result)


def _done(done: Sequence[Any], failed: Sequence[Any]) -> str:
    """Return what an intent did, by name: of entities, where they are told beside their areas."""
    said = []
    for word, targets in (("Done", done), ("Failed", failed)):
        names = [target.get("name") for target in targets if target.get("type") == "entity"]
        names = names or [target.get("name") for target in targets]
        said += [f"{word}: {', '.join(map(str, names))}."] if names else []
    return " ".join(said) or "Done."


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
