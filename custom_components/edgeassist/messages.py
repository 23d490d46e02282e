"""A chat log as messages of the wire, and back. Imports nothing of Home Assistant.

What Home Assistant has in its chat log is known here by its attributes only: `role`, `content`, `tool_calls`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .events import Called, read_object
from .failures import Failure, Why
from .layout import Layout
from .reaching import was_unreached

# As many messages a request may have (docs/protocol.md); the system prompt is one.
MAX_MESSAGES = 256
# As long may a tool's name be there, of these characters.
MAX_NAME = 64
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]")
# So many questions are left out at once, where there are more.
_BLOCK = 32
# A tool's result of so many characters is not cut, whatever else has no room.
_SHORT = 1000

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Written:
    """An answer as the box wrote it; `native` of the chat log.

    A box finds the tokens of its own answers again if they come back as it wrote them, white space too.

    Attributes:
        arguments: Of each call, by its id.
        names: Likewise: the box may know a tool by another name than Home Assistant.
    """

    arguments: Mapping[str, str]
    names: Mapping[str, str]

    @classmethod
    def of(cls, calls: Iterable[Called]) -> Written:
        """Return that of an answer with these calls."""
        made = list(calls)
        return cls({call.call: call.arguments for call in made}, {call.call: call.name for call in made})


def wire_name(name: str) -> str:
    """Return a tool's name as the wire takes it: some APIs have names with dots or without end."""
    return _NO_NAME.sub("_", name)[:MAX_NAME] or "_"


def arguments_of(call: Called) -> dict[str, Any]:
    """Return a call's arguments as Home Assistant takes them.

    Small models write null or an empty text where an argument does not matter, and Home Assistant would
    look for a device of no name.

    Raises:
        Failure: They are no arguments.
    """
    arguments = read_object(call.arguments or "{}")
    if arguments is None:
        raise Failure(Why.INTERNAL, {"message": f"the arguments of {call.name} are no JSON object"})
    whole: dict[str, Any] = _whole(arguments)
    return {name: value for name, value in whole.items() if value is not None and value != ""}


def _whole(value: Any) -> Any:
    """Return a value without halves of characters, which JSON can write, and nobody can publish or show."""
    match value:
        case str():
            return value.encode(errors="replace").decode()
        case dict():
            return {_whole(name): _whole(each) for name, each in value.items()}
        case list():
            return [_whole(each) for each in value]
        case _:
            return value


def messages_of(
    contents: Sequence[Any],
    layout: Layout,
    local: Callable[[datetime], datetime],
    *,
    turns: int | None = None,
    most: int | None = None,
) -> list[Message]:
    """Return the messages of a chat log.

    Args:
        contents: Of the chat log, the system prompt first.
        layout: Of that system prompt.
        local: Turns a time into the home's.
        turns: Only so many of the last questions, with what belongs to them; None for all.
        most: As many characters of a tool's result; None for all.
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
                        "content": _cut(_result(content, spoken), most),
                    }
                )
            case _:
                pass
    return _answered(messages)


def data_of(content: Any) -> Any:
    """Return what a tool has returned."""
    # It is `result` since Home Assistant 2026.10, `tool_result` before.
    return content.result.data if hasattr(content, "result") else content.tool_result


def halved_results(messages: Iterable[Message]) -> int | None:
    """Return half of the characters of the longest result; None where none is long."""
    longest = max((len(each["content"]) for each in messages if each["role"] == "tool"), default=0)
    return longest // 2 if longest >= 2 * _SHORT else None


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


def _answered(messages: Iterable[Message]) -> list[Message]:
    """Return messages in which each call has a result, as the box wants them.

    One that was cancelled has none, nor has one that another agent has made by itself.
    """
    whole: list[Message] = []
    lacking: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            lacking = [call for call in lacking if call != message["tool_call_id"]]
        else:
            whole += map(_no_result, lacking)
            lacking = [call["id"] for call in message.get("tool_calls", ())]
        whole.append(message)
    return [*whole, *map(_no_result, lacking)]


def _no_result(call: str) -> Message:
    return {"role": "tool", "tool_call_id": call, "content": "Error: it has no result."}


def _cut(text: str, most: int | None) -> str:
    if most is None or len(text) <= most:
        return text
    return f"{text[:most]} … (cut off here: it had {len(text)} characters)"


def _calling(content: Any) -> Message:
    written = content.native if isinstance(content.native, Written) else Written({}, {})
    return {
        "role": "assistant",
        "content": content.content or None,
        "tool_calls": [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": written.names.get(call.id) or wire_name(call.tool_name),
                    "arguments": written.arguments.get(call.id) or _json(call.tool_args),
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
    result = data_of(content)
    match result:
        case {"error": str(), "error_text": str(words)} if words:
            return f"Error: {words}"
        case {"success": True, "result": str(words)} if words:
            return words
        # Home Assistant 2026.2 later writes what the model said of a result into it. It stays as it was.
        case {"speech": {"plain": {"speech": str(words)}}} if words and words not in spoken:
            return words
        case {"response_type": "action_done", "data": {"success": [*done], "failed": [*failed]}}:
            # What an intent was asked for, such as the timers that run.
            slots = result.get("speech_slots")
            told = [_json(slots)] if slots else []
            return " ".join([*([] if told and not (done or failed) else [_done(done, failed)]), *told])
        case _:
            return _json(result)


def _done(done: Sequence[Any], failed: Sequence[Any]) -> str:
    """Return what an intent did, by name: of entities, where they are told beside their areas."""
    said = []
    for word, targets in (("Done", done), ("Failed", failed)):
        entities = [target for target in targets if target.get("type") == "entity"]
        names = [_name_of(target) for target in entities or targets]
        said += [f"{word}: {', '.join(map(str, names))}."] if names else []
    return " ".join(said) or "Done."


def _name_of(target: Mapping[str, Any]) -> str:
    return f"{target.get('name')}{' (unavailable)' if was_unreached(target) else ''}"


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError):  # a key that is no text, or a value within itself
        return str(value)
