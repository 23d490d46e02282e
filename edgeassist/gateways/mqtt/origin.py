"""A message that asked for something, as bytes that the journal keeps, and back. Sans-I/O."""

from __future__ import annotations

import msgspec

from edgeassist.protocol.packets import Inbound


class _Origin(msgspec.Struct, array_like=True, frozen=True):
    """New fields go to the end, with defaults: an older journal is to be read."""

    topic: str
    payload: bytes
    packet_id: int = 0
    response_topic: str | None = None
    correlation: bytes | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Origin)


def to_bytes(message: Inbound) -> bytes:
    """Return what of a message makes its request, and the place of the answer."""
    return _encoder.encode(
        _Origin(
            message.topic, message.payload, message.packet_id, message.response_topic, message.correlation
        )
    )


def from_bytes(origin: bytes) -> Inbound:
    """Return the message again.

    Raises:
        ValueError: These are not the bytes of one.
    """
    try:
        came = _decoder.decode(origin)
    except msgspec.MsgspecError as error:
        raise ValueError(f"no message: {error}") from None
    return Inbound(
        came.topic,
        came.payload,
        packet_id=came.packet_id,
        response_topic=came.response_topic,
        correlation=came.correlation,
    )
