"""An MQTT client that does nothing by itself: it acknowledges, and breaks off, when it is told to."""

from __future__ import annotations

import select
import socket
import time
from dataclasses import dataclass
from typing import Self

from edgeassist.sandbox import HOST

_CONNECT, _CONNACK, _PUBLISH, _PUBACK = 0x10, 0x20, 0x30, 0x40
_SUBSCRIBE, _SUBACK, _UNSUBSCRIBE, _UNSUBACK, _DISCONNECT = 0x82, 0x90, 0xA2, 0xB0, 0xE0
_SESSION_EXPIRY, _RECEIVE_MAXIMUM, _MESSAGE_EXPIRY, _SHARED_AVAILABLE = 0x11, 0x21, 0x02, 0x2A
# How long each property's value is; None: a length of two bytes stands before it.
_PROPERTY_BYTES: dict[int, int | None] = {
    0x11: 4, 0x12: None, 0x13: 2, 0x15: None, 0x16: None, 0x1A: None, 0x1C: None, 0x1F: None, 0x21: 2,
    0x22: 2, 0x24: 1, 0x25: 1, 0x27: 4, 0x28: 1, 0x29: 1, 0x2A: 1,
}  # fmt: skip
ANSWER_S = 5.0


class GoneError(Exception):
    """The broker closed the connection, or did not answer within ANSWER_S seconds."""


@dataclass(frozen=True, slots=True)
class Message:
    """A PUBLISH that arrived at QoS 1."""

    number: int
    packet_id: int
    dup: bool


class Member:
    """One connection, open inside its `with` block; leaving it breaks off without a DISCONNECT.

    Args:
        port: The broker's, on loopback.
        client_id: Whose session it is.
        version: Of MQTT, 5 or 4 (which is 3.1.1).
        clean: Whether the session begins anew (and with 3.1.1, ends with the connection).
        expiry_s: How long the session outlives the connection; with MQTT 5 only.
        receive_maximum: How many messages may be unacknowledged; with MQTT 5 only. None: 65,535.

    Attributes:
        session_present: Whether the broker had a session of this id.
        shared: Whether it says that it has shared subscriptions; with 3.1.1 always true.
        refusals: Reason codes of PUBACKs that were errors.

    Raises:
        GoneError: There was no CONNACK that says yes.
    """

    def __init__(
        self,
        port: int,
        client_id: str,
        version: int = 5,
        *,
        clean: bool = False,
        expiry_s: int = 3600,
        receive_maximum: int | None = None,
    ) -> None:
        self.version = version
        self.shared = True
        self.refusals: list[int] = []
        self._ids = 0
        self._data = b""
        self._arrived: list[Message] = []
        self._socket = socket.create_connection((HOST, port), ANSWER_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        properties = bytes([_SESSION_EXPIRY]) + (0 if clean else expiry_s).to_bytes(4)
        if receive_maximum is not None:
            properties += bytes([_RECEIVE_MAXIMUM]) + receive_maximum.to_bytes(2)
        head = _text("MQTT") + bytes([version, 2 if clean else 0]) + (600).to_bytes(2)
        self._send(_CONNECT, head + self._properties(properties) + _text(client_id))
        body = self._answer(_CONNACK)
        if body[1] != 0:
            raise GoneError(f"CONNACK {body[1]:#x}")
        self.session_present = bool(body[0] & 1)
        if version == 5:
            self.shared = _value(body[2:], _SHARED_AVAILABLE, 1) == 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.break_off()

    def break_off(self) -> None:
        """Close the socket, as a box does whose plug is pulled (the broker need not wait to find out)."""
        self._socket.close()

    def leave(self, *, expiry_s: int | None = None) -> None:
        """DISCONNECT, with another end for the session by choice; with MQTT 5 only."""
        properties = b"" if expiry_s is None else bytes([_SESSION_EXPIRY]) + expiry_s.to_bytes(4)
        self._send(_DISCONNECT, b"\0" + self._properties(properties) if self.version == 5 else b"")
        self._socket.close()

    def subscribe(self, topic_filter: str) -> int:
        """Subscribe at QoS 1, and return the SUBACK's code: 1, a lower QoS, or an error from 128 on."""
        packet_id = self._next_id()
        self._send(_SUBSCRIBE, packet_id + self._properties() + _text(topic_filter) + b"\1")
        return self._answer(_SUBACK)[-1]

    def unsubscribe(self, topic_filter: str) -> None:
        """Unsubscribe, and wait for the UNSUBACK."""
        self._send(_UNSUBSCRIBE, self._next_id() + self._properties() + _text(topic_filter))
        self._answer(_UNSUBACK)

    def publish(self, topic: str, numbers: range, *, expires_s: int | None = None) -> None:
        """Publish these numbers at QoS 1, one after another, each when the one before is acknowledged."""
        properties = b"" if expires_s is None else bytes([_MESSAGE_EXPIRY]) + expires_s.to_bytes(4)
        for number in numbers:
            payload = str(number).encode()
            self._send(_PUBLISH | 2, _text(topic) + self._next_id() + self._properties(properties) + payload)
            body = self._answer(_PUBACK)
            if len(body) > 2 and body[2] >= 0x80:
                self.refusals.append(body[2])

    def acknowledge(self, message: Message, reason: int = 0) -> None:
        """Send the PUBACK of one message; a reason other than 0 with MQTT 5 only."""
        self._send(_PUBACK, message.packet_id.to_bytes(2) + (bytes([reason, 0]) if reason else b""))

    def listen(
        self, quiet_s: float = 0.4, *, most: int | None = None, acknowledge: bool = False
    ) -> list[Message]:
        """Return what arrives until nothing has for so long, or until there are so many."""
        heard: list[Message] = []
        while most is None or len(heard) < most:
            if not self._arrived and not self._receive(time.monotonic() + quiet_s):
                break
            message = self._arrived.pop(0)
            heard.append(message)
            if acknowledge:
                self.acknowledge(message)
        return heard

    def told_to_go(self) -> str:
        """Return what the broker says as it ends this connection, e.g. "DISCONNECT 0x8e" or "closed"."""
        try:
            body = self._answer(_DISCONNECT)
        except GoneError as gone:
            return str(gone)
        return f"DISCONNECT {body[0]:#x}"

    def _receive(self, deadline: float) -> bool:
        """Read until a message has arrived; False if none has by then."""
        while not self._arrived:
            packet = self._packet(deadline)
            if packet is None:
                return False
            self._note(*packet)
        return True

    def _answer(self, kind: int) -> bytes:
        deadline = time.monotonic() + ANSWER_S
        while True:
            packet = self._packet(deadline)
            if packet is None:
                raise GoneError("nothing")
            if packet[0] & 0xF0 == kind & 0xF0:
                return packet[1]
            self._note(*packet)

    def _note(self, first: int, body: bytes) -> None:
        if first & 0xF0 == _DISCONNECT:
            raise GoneError(f"DISCONNECT {body[0] if body else 0:#x}")
        if first & 0xF0 != _PUBLISH:
            raise GoneError(f"a packet {first:#x} that nobody awaits")
        at = 2 + int.from_bytes(body[:2])
        packet_id = int.from_bytes(body[at : at + 2])
        payload = body[at + 2 :]
        if self.version == 5:
            length, size = _length(payload)
            payload = payload[size + length :]
        self._arrived.append(Message(int(payload), packet_id, bool(first & 8)))

    def _packet(self, deadline: float) -> tuple[int, bytes] | None:
        """The next packet: its first byte, and what follows its length. None: not by then."""
        while True:
            if len(self._data) > 1:
                try:
                    length, size = _length(self._data[1:])
                except IndexError:
                    length, size = 1 << 30, 0
                end = 1 + size + length
                if len(self._data) >= end:
                    first, body = self._data[0], self._data[1 + size : end]
                    self._data = self._data[end:]
                    return first, body
            if not select.select([self._socket], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return None
            try:
                data = self._socket.recv(1 << 16)
            except ConnectionError:
                data = b""
            if not data:
                raise GoneError("closed")
            self._data += data

    def _properties(self, properties: bytes = b"") -> bytes:
        return bytes([len(properties)]) + properties if self.version == 5 else b""

    def _next_id(self) -> bytes:
        self._ids += 1
        return self._ids.to_bytes(2)

    def _send(self, first: int, body: bytes) -> None:
        length, rest = b"", len(body)
        while True:
            rest, low = divmod(rest, 128)
            length += bytes([low | (128 if rest else 0)])
            if not rest:
                break
        try:
            self._socket.sendall(bytes([first]) + length + body)
        except ConnectionError as error:
            raise GoneError("closed") from error


def _text(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(2) + data


def _length(data: bytes) -> tuple[int, int]:
    """A variable byte integer and how many bytes it took. Raises IndexError where it is not whole."""
    value = at = 0
    while True:
        value |= (data[at] & 127) << 7 * at
        at += 1
        if not data[at - 1] & 128:
            return value, at


def _value(data: bytes, wanted: int, default: int) -> int:
    """One number out of the properties at the start of `data`."""
    length, at = _length(data)
    end = at + length
    while at < end:
        kind, at = data[at], at + 1
        if kind == 0x26:  # a pair of strings
            for _ in range(2):
                at += 2 + int.from_bytes(data[at : at + 2])
            continue
        size = _PROPERTY_BYTES[kind]
        if size is None:
            at += 2 + int.from_bytes(data[at : at + 2])
            continue
        if kind == wanted:
            return int.from_bytes(data[at : at + size])
        at += size
    return default
