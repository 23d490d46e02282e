"""Where the refusal of a broken request goes: read from what is left of it.

Broken JSON stays refused: a trailing comma, single quotes, a text that was cut off. But whoever sent it waits
for an answer under the id and on the topic that it named.
"""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json

from edgeassist.protocol.asking import MIN_PACKET_BYTES, End, EndKind, Format, PacketBytes, ReplyFormat
from edgeassist.protocol.values import Name

# What is read of a broken text at most; it takes a few milliseconds.
MAX_BYTES = 65_536
MAX_TOKENS = 4096

# Linear: a string that never ends takes the rest of the text, so nothing is looked at twice.
_TOKEN = re.compile(
    r"""
      (?P<double>"(?:[^"\\]++|\\.?)*+"?)
    | '(?P<single>[^'\\]*+)'
    | (?P<mark>[{}\[\]:,])
    | (?P<word>[^\s{}\[\]:,"']+)
    | '
    """,
    re.VERBOSE | re.DOTALL,
)
_UNREADABLE = "\ufffd"


class Address(BaseModel):
    """What of a broken request tells how its sender wants to hear of it.

    Attributes:
        max_packet: As in a request; the least where it can't be told, so that small clients hear of it, too.
    """

    model_config = ConfigDict(frozen=True, strict=True)

    id: Name | None = None
    reply_to: str | None = None
    format: Format = ReplyFormat.EVENTS
    max_packet: PacketBytes | None = None
    end: EndKind = End.FULL


def salvage(payload: bytes) -> Address:
    """Return the address of a request that was refused; it never raises."""
    try:
        values = from_json(payload.rstrip(b"\0 \t\r\n"))
    except ValueError:
        values = {"max_packet": MIN_PACKET_BYTES, **_scan(payload[:MAX_BYTES])}
    if not isinstance(values, dict):
        return Address(max_packet=MIN_PACKET_BYTES)
    try:
        return Address.model_validate(values)
    except ValidationError as error:
        wrong = {problem["loc"][0] for problem in error.errors(include_url=False, include_input=False)}
    smallest = {"max_packet": MIN_PACKET_BYTES} if "max_packet" in wrong else {}
    return Address.model_validate({key: each for key, each in values.items() if key not in wrong} | smallest)


def _scan(payload: bytes) -> dict[str, Any]:
    """Return the texts and numbers of the outermost object of what resembles JSON."""
    text = payload.decode("utf-8-sig", errors="replace")
    found: dict[str, Any] = {}
    depth = 0
    before: re.Match[str] | None = None
    key: Any = None
    for count, token in enumerate(_TOKEN.finditer(text)):
        mark = token["mark"]
        if count == MAX_TOKENS or (count == 0 and mark != "{"):
            break
        if mark is None:
            if depth == 1 and key is not None and (value := _value(token, len(text))) is not None:
                found[key] = value
            before, key = token, None
        elif mark == ":":
            key = None if before is None or depth != 1 else _value(before, len(text))
            key = key if isinstance(key, str) else None
        else:
            depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(mark, 0)
            before = key = None
            if depth == 0:
                break
    return found


def _value(token: re.Match[str], length: int) -> Any:
    """Return the text, number or bare name that a token is; None where it is incomplete or something else."""
    if token["single"] is not None:
        value = token["single"]
    elif token["word"] is not None and token.end() == length:  # it may have been longer
        return None
    else:
        try:
            value = json.loads(token[0], strict=False)
        except ValueError:
            value = token["word"]
    return None if isinstance(value, str) and _UNREADABLE in value else value
