"""A request that one box hands to another: what the client published, and what the first box knows of it.

The payload is a line of JSON and, behind its line feed, the client's payload as it was, byte for byte.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, ValidationError

from edgeassist.errors import InvalidRequestError
from edgeassist.fleet.routing import MOST_HOPS, Search
from edgeassist.protocol.packets import Inbound
from edgeassist.protocol.topics import check_topic_name
from edgeassist.protocol.values import AnyName, Name

MAX_HEAD_BYTES = 200_000
# What MQTT carries as Correlation Data.
MAX_CORRELATION_BYTES = 65_535
_MARKER = b"marker "
_CANCEL = b"cancel "


class _Head(BaseModel):
    """The first line. Boxes of another version may say more."""

    model_config = ConfigDict(frozen=True)

    v: Literal[1] = 1
    sender: str
    topic: str
    response_topic: str | None = None
    correlation: str | None = None
    left_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    hops: Annotated[int, Field(ge=1, le=MOST_HOPS)]
    search: Search = Search.NONE
    id: Name | None = None
    again: bool | None = None


@dataclass(frozen=True, slots=True)
class Envelope:
    """A request that is handed on.

    Attributes:
        sender: The device that hands it on.
        message: As the client published it.
        hops: How often it was handed on, this time included.
        left_s: How long it may take from now on; None where only its own limit counts.
        search: How far the search for its conversation is.
        id: The request's id, which is made up where the client gave none.
        again: Whether a box that is gone had it, and may have ended it.
    """

    sender: str
    message: Inbound
    hops: int
    left_s: float | None = None
    search: Search = Search.NONE
    id: str | None = None
    again: bool = False

    def encode(self) -> bytes:
        """Return it as a payload."""
        message = self.message
        correlation = message.correlation
        head = _Head(
            sender=self.sender,
            topic=message.topic,
            response_topic=message.response_topic,
            correlation=None if correlation is None else base64.b64encode(correlation).decode(),
            left_s=None if self.left_s is None else round(max(0.0, self.left_s), 3),
            hops=self.hops,
            search=self.search,
            id=self.id,
            again=self.again or None,
        )
        return head.model_dump_json(exclude_none=True).encode() + b"\n" + message.payload


def marker(token: str) -> bytes:
    """Return what a box hands to itself, to see that nothing else stands in its session before it."""
    return _MARKER + token.encode()


def token_of(payload: bytes) -> str | None:
    """Return a marker's token; None where the payload is none."""
    return payload.removeprefix(_MARKER).decode(errors="replace") if payload.startswith(_MARKER) else None


class FollowingCancel(BaseModel):
    """What a box sends after a request that it handed on, and that is cancelled.

    Whoever ends the request answers the command, so that it is answered once.

    Attributes:
        request: The request's id.
        client: Whose; "" for clients without a topic of their own.
        id: The command's.
        asker: On whose topic the command came; None for the shared one.
        correlation: The command's Correlation Data, in base64.
        response_topic: The command's.
    """

    model_config = ConfigDict(frozen=True)

    request: Name
    client: str
    id: AnyName | None = None
    asker: Name | None = None
    correlation: Base64Bytes | None = None
    response_topic: str | None = None

    def encode(self) -> bytes:
        """Return the payload."""
        return _CANCEL + self.model_dump_json(exclude_none=True).encode()


def cancel_of(payload: bytes) -> FollowingCancel | None:
    """Return the cancel that the payload is; None where it is none."""
    if not payload.startswith(_CANCEL):
        return None
    try:
        return FollowingCancel.model_validate_json(payload.removeprefix(_CANCEL))
    except ValidationError:
        return None


def open_envelope(payload: bytes) -> Envelope:
    """Return what was handed on.

    Raises:
        InvalidRequestError: It is no envelope, or one of a version that is not known.
    """
    line, feed, rest = payload.partition(b"\n")
    if not feed or len(line) > MAX_HEAD_BYTES:
        raise InvalidRequestError("what was handed over has no line of JSON at its beginning")
    try:
        head = _Head.model_validate_json(line)
        correlation = None if head.correlation is None else base64.b64decode(head.correlation, validate=True)
    except (ValidationError, binascii.Error) as error:
        raise InvalidRequestError(f"what was handed over can't be read: {error}") from None
    # No client can have published otherwise; an answer to it could not be sent.
    check_topic_name(head.topic)
    if correlation is not None and len(correlation) > MAX_CORRELATION_BYTES:
        raise InvalidRequestError(f"what was handed over has {len(correlation)} bytes of Correlation Data")
    message = Inbound(
        topic=head.topic, payload=rest, response_topic=head.response_topic, correlation=correlation
    )
    again = head.again or False
    return Envelope(head.sender, message, head.hops, head.left_s, head.search, head.id, again)
