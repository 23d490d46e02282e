"""Paho's client, with what it lacks for a broker that is not its own.

It overrides private methods of paho 2.2. `tests/integration/test_broker_client.py` holds them to what they
do.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any, Literal

from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTErrorCode, MQTTProtocolVersion

# What is read from the socket at once. Paho asks for the rest of the packet, and memory for that much is
# taken before a byte of it is there.
_PIECE_BYTES = 1 << 16
# What is read ahead: paho asks for each packet in three pieces, the first two of one byte, and once more to
# see that there is none.
_AHEAD_BYTES = 1 << 12
_FAILURE = 0x80
# Of PUBLISH: bits of the first byte, and the bytes of the topic's length.
_QOS, _RETAIN = 0x06, 0x01
_LENGTH = 2
# The bytes of a PUBACK without a reason code.
_BARE = 2
# The failures that a PUBACK may tell (MQTT 5, table 3-4); paho knows no other there.
_ALLOWED = frozenset({0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99})


class TolerantClient(Client):
    """A client that reads the head of a packet that is too long, and takes any reason code of a PUBACK.

    Attributes:
        most_bytes: Of a longer packet, only so many bytes are kept, and delivered as if they were all of it.
        on_cut: Called with the length of such a packet, before its body is read.
        on_acknowledged: Called with the packet id and the reason code when the broker refuses a message at
            QoS 1, and when it takes one whose packet id is `watched`. Paho's own `on_publish` costs as much
            as sending.
        watched: Of which messages success is told too.
        dry: Set when the socket had no more to read; to be unset when it has.
        on_plain: Called with topic, payload and whether it is retained, of a message at QoS 0 without
            properties, as most that watches hear: paho's `on_message` costs as much as all else.
    """

    most_bytes = 1 << 20
    dry = False

    on_cut: Callable[[int], None] = staticmethod(lambda _size: None)
    on_acknowledged: Callable[[int, int], None] = staticmethod(lambda _packet, _code: None)
    on_plain: Callable[[str, bytes, bool], None] | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        self.watched: set[int] = set()
        self._ahead = b""
        self._ahead_at = 0
        super().__init__(*args, **options)

    @property
    def awaits(self) -> bool:
        """Whether something that was published is not acknowledged yet."""
        return bool(self._out_messages)

    @property
    def ahead(self) -> bool:
        """Whether something was read from the socket that is not taken yet: no selector tells of it."""
        return self._ahead_at < len(self._ahead)

    def limit_in_flight(self, count: int) -> None:
        """Have at most so many messages unacknowledged; for `on_connect`, where paho's own setter refuses."""
        self._max_inflight_messages = count

    def _easy_log(self, level: int, fmt: str, *args: Any) -> None:
        """Log nothing: what matters is told by callbacks, and paho calls this for every packet."""

    def reconnect(self) -> MQTTErrorCode:
        """See `Client.reconnect`, which `connect` calls."""
        self._ahead, self._ahead_at = b"", 0
        return super().reconnect()

    def _sock_recv(self, bufsize: int) -> bytes:
        if bufsize > self.most_bytes and not isinstance(self._in_packet["packet"], _Head):
            self._in_packet["packet"] = _Head(self.most_bytes)
            self.on_cut(bufsize)
        if not self.ahead:
            if self.dry:
                raise BlockingIOError
            wanted = min(max(bufsize, _AHEAD_BYTES), _PIECE_BYTES)
            try:
                self._ahead, self._ahead_at = super()._sock_recv(wanted), 0
            except BlockingIOError:
                self.dry = True
                raise
            # TLS gives no more than a record at once.
            self.dry = 0 < len(self._ahead) < wanted and not isinstance(self._sock, ssl.SSLSocket)
        begin = self._ahead_at
        self._ahead_at = min(begin + bufsize, len(self._ahead))
        return self._ahead[begin : self._ahead_at]

    def _handle_publish(self) -> MQTTErrorCode:
        command, packet = self._in_packet["command"], self._in_packet["packet"]
        begin = _LENGTH + int.from_bytes(packet[:_LENGTH])
        if self._protocol == MQTTProtocolVersion.MQTTv5:
            bare = packet[begin : begin + 1] == b"\0"
            payload = packet[begin + 1 :]
        else:
            bare, payload = begin <= len(packet), packet[begin:]
        if self.on_plain is None or command & _QOS or not bare or begin == _LENGTH:
            return super()._handle_publish()
        try:
            topic = packet[_LENGTH:begin].decode()
        except UnicodeDecodeError:
            return super()._handle_publish()
        self.on_plain(topic, bytes(payload), bool(command & _RETAIN))
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _handle_pubackcomp(self, cmd: Literal["PUBACK", "PUBCOMP"]) -> MQTTErrorCode:
        packet = self._in_packet["packet"]
        code = packet[2] if len(packet) > _BARE else 0
        mid = int.from_bytes(packet[:_BARE])
        watched = mid in self.watched
        if code < _FAILURE and len(packet) >= _BARE and self._on_publish is None:
            # Success, as nearly always: nobody reads the reason code and the properties that paho would make.
            status = MQTTErrorCode.MQTT_ERR_SUCCESS
            with self._out_message_mutex:
                if mid in self._out_messages:
                    status = self._do_on_publish(mid, None, None)  # type: ignore[arg-type]
            if watched:
                self.on_acknowledged(mid, code)
            return status
        if code >= _FAILURE and code not in _ALLOWED:
            # Mosquitto's message_size_limit answers with one that is for other packets; paho ends the
            # connection over it.
            packet[2] = _FAILURE
        status = super()._handle_pubackcomp(cmd)
        if watched or code >= _FAILURE:
            self.on_acknowledged(mid, code)
        return status


class _Head(bytearray):
    """The beginning of a packet, to which paho adds the rest."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__()
        self._most_bytes = most_bytes

    def __iadd__(self, more: bytes) -> _Head:  # type: ignore[misc, override]
        self.extend(more[: self._most_bytes - len(self)])
        return self
