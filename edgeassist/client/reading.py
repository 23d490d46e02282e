"""Reads an event, one of a newer device too: whatever ends a request, its requester hears of it. Sans-I/O."""

from __future__ import annotations

import contextlib
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter, ValidationError

from edgeassist.errors import Code
from edgeassist.protocol.events import Accepted, Called, Chunk, Done, Failed, Progress, Reasoning, parse_event

WireEvent = Accepted | Progress | Reasoning | Chunk | Called | Done | Failed

_OBJECT: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])


class Unread(BaseModel):
    """An event of a kind that this version does not know. It counts in `seq`, and nothing is made of it."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    type: str
    id: str
    seq: int


def read_event(payload: bytes) -> WireEvent | Unread:
    """Return the event; an end that this version can't make out is a failure that says so.

    Raises:
        ValueError: It is no event of any version.
    """
    try:
        return parse_event(payload)
    except ValidationError:
        document = _OBJECT.validate_json(payload)
        known = Unread.model_validate(document)
    match known.type:
        case "error":
            return _failure(known, document)
        case "done":
            why = "the answer has ended in a way that this client does not know: use a newer one"
            return _failure(known, {**document, "code": Code.INTERNAL.value, "message": why})
        case _:
            return known


def read_document(payload: bytes | None) -> dict[str, Any]:
    """Return what a device says of itself; nothing where there is no message, or one that is no JSON object.

    Whoever may publish there can have put anything in its place.
    """
    try:
        return _OBJECT.validate_json(payload or b"{}")
    except ValidationError:
        return {}


def _failure(known: Unread, document: dict[str, Any]) -> Failed:
    """Return what can be made out of an error: of its code, if this version knows it, and of its message."""
    said, message = str(document.get("code")), str(document.get("message", ""))
    code = None
    with contextlib.suppress(ValueError):
        code = Code(said)
    pause = document.get("retry_after_ms")
    return Failed(
        id=known.id,
        seq=known.seq,
        code=code or Code.INTERNAL,
        message=message if code else f"{said}: {message}",
        retryable=document.get("retryable") is True,
        retry_after_ms=pause if isinstance(pause, int) else None,
        text=str(document.get("text", "")),
        device=str(document.get("device", "")),
    )
