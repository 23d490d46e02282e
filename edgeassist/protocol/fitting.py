"""Events and texts that fit: a client with a small buffer names the largest packet that it takes.

PubSubClient, which most ESP32s use, drops a larger one in silence, and without a PUBACK.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import to_json

from edgeassist.protocol.events import Accepted, AnyEvent, Called, Done, Failed
from edgeassist.protocol.tools import CALL_ID_CHARACTERS, ToolCall

# What every event needs in its smallest form, beside the request's id.
NEEDED_BYTES = 128
# Of one character: in UTF-8, and as JSON escapes it.
_MOST_BYTES = 4
_MOST_ESCAPED_BYTES = 6
# Numbers of as many digits as there may be.
_MOST_SEQ, _MOST_INDEX = 9_999_999, 9_999
_TWO_BYTES = frozenset('"\\\b\t\n\f\r')

# What a decision's end still says of each answer when there is room for little, and for the least.
_NO_PROBABILITIES = {"answers": {"__all__": {"probabilities"}}}
_LEAST_OF_ANSWERS = {"answers": {"__all__": {"probabilities", "type", "margin", "score", "noul"}}}


def _all(*names: str) -> dict[str, Any]:
    return dict.fromkeys(names, True)


# What is left out first, next and last of an event that is too large.
_LEFT_OUT: Mapping[type[AnyEvent], tuple[dict[str, Any], ...]] = {
    Accepted: (_all("metadata"), _all("device", "model", "model_ready_in_s"), _all("cancel")),
    Done: (
        _all("reasoning"),
        _all("text", "tool_calls", "timings", "model", "device", "session", "history_dropped", "held_back"),
        _all("metadata"),
        _all("usage"),
        _NO_PROBABILITIES,
        _LEAST_OF_ANSWERS,
    ),
    Failed: (_all("text", "device"), _all("metadata")),
}


def room(packet: int, topic: str, correlation: bytes | None) -> int:
    """Return how many bytes of payload a PUBLISH packet of that size holds, at QoS 1 and with MQTT 5."""
    properties = 0 if correlation is None else 3 + len(correlation)
    variable = 2 + len(topic.encode()) + 2 + _length_bytes(properties) + properties
    return packet - 1 - _length_bytes(packet) - variable


def forms(event: AnyEvent, *, short: bool = False) -> Iterator[bytes]:
    """Yield an event's payload, and then with less and less in it.

    Args:
        event: What is said.
        short: Begin with the short end.
    """
    parts = _LEFT_OUT.get(type(event), ())
    if isinstance(event, Failed) and event.repeat:  # its mark needs the room
        parts = (*parts, _all("retry_after_ms"))
    left_out: dict[str, Any] = {}
    if short:
        left_out |= parts[0]
        if isinstance(event, Done):
            left_out |= parts[1] | _NO_PROBABILITIES
    yield to_json(event, exclude_none=True, exclude=left_out)
    for part in parts:
        if not part.items() <= left_out.items():
            left_out |= part
            yield to_json(event, exclude_none=True, exclude=left_out)


def fitted(event: AnyEvent, most: int | None, *, short: bool = False) -> bytes:
    """Return an event's payload in at most so many bytes (None: any), at least NEEDED_BYTES and the id's.

    Only the answers of a decision may be more, however little is said of each.

    Args:
        event: What is said.
        most: Bytes; what does not fit is left out: first the text, which the client has by then. At last the
            message is cut.
        short: Leave out at once what the short end has not.
    """
    most = 1 << 62 if most is None else most
    payload = b""
    for payload in forms(event, short=short):
        if len(payload) <= most:
            return payload
    if not isinstance(event, Failed):
        return payload
    spare = most - len(payload) + len(to_json(event.message)) - 2
    [message, *_] = split(event.message, max(spare, _MOST_ESCAPED_BYTES), escaped=True)
    *_, least = forms(event.model_copy(update={"message": message}), short=True)
    return least


def call_bytes(name: str) -> int:
    """Return the bytes that every event of a call of that tool fits into, beside the request's id."""
    first = Called(id="", seq=_MOST_SEQ, index=_MOST_INDEX, tool_call_id="x" * CALL_ID_CHARACTERS, name=name,
                   arguments="", more=True, repeat=True)  # fmt: skip
    return len(first.payload()) + _MOST_ESCAPED_BYTES


def call_events(request: str, seq: int, index: int, call: ToolCall, most: int | None) -> list[Called]:
    """Return a call as events, of at most so many bytes each (None: any).

    Args:
        request: The request's id.
        seq: Of the first event.
        index: Which of the answer's calls it is.
        call: What is called.
        most: Bytes; at least `call_bytes` and the id's.
    """
    rest = call.function.arguments
    whole = Called(
        id=request, seq=seq, index=index, tool_call_id=call.id, name=call.function.name, arguments=rest
    )
    if most is None or len(whole.payload()) <= most:
        return [whole]
    first = whole.model_copy(update={"seq": _MOST_SEQ, "arguments": "", "more": True})
    later = first.model_copy(update={"tool_call_id": None, "name": None})
    [beginning, *_] = split(rest, _spare(first, most), escaped=True)
    rest = rest[len(beginning) :]
    others = split(rest, _spare(later, most), escaped=True)
    pieces = [(first, beginning), *((later, piece) for piece in others)]
    return [
        frame.model_copy(
            update={"seq": seq + at, "arguments": piece, "more": True if at < len(pieces) - 1 else None}
        )
        for at, (frame, piece) in enumerate(pieces)
    ]


def split(text: str, most: int, *, escaped: bool = False) -> list[str]:
    """Cut the text between characters into parts of at most so many bytes.

    Args:
        text: Any.
        most: Bytes, at least those of one character: 4, or 6 where they are escaped.
        escaped: Count them as JSON has them: a quotation mark as two bytes.
    """
    if len(text) * (_MOST_ESCAPED_BYTES if escaped else _MOST_BYTES) <= most:
        return [text]
    if escaped and len(to_json(text)) - 2 > len(text.encode()):
        return _split_escaped(text, most)
    parts = []
    data = text.encode()
    start = 0
    while len(data) - start > most:
        end = start + most
        # A byte 10xxxxxx continues a character.
        while data[end] & 0xC0 == 0x80:  # noqa: PLR2004
            end -= 1
        parts.append(data[start:end].decode())
        start = end
    parts.append(data[start:].decode())
    return parts


def _split_escaped(text: str, most: int) -> list[str]:
    parts = []
    start = size = 0
    for place, character in enumerate(text):
        cost = _escaped_bytes(character)
        if size + cost > most:
            parts.append(text[start:place])
            start, size = place, 0
        size += cost
    parts.append(text[start:])
    return parts


def _escaped_bytes(character: str) -> int:
    if character in _TWO_BYTES:
        return 2
    return _MOST_ESCAPED_BYTES if character < " " else len(character.encode())


def _spare(frame: Called, most: int) -> int:
    return max(_MOST_ESCAPED_BYTES, most - len(frame.payload()))


def _length_bytes(value: int) -> int:
    """Return the bytes of a Variable Byte Integer (MQTT 5, section 1.5.5)."""
    return 1 + (value > 127) + (value > 16_383) + (value > 2_097_151)  # noqa: PLR2004 - of the standard
