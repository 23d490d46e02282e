"""A microcontroller's MQTT client: 3.1.1, and one buffer, as PubSubClient has it.

A packet that is larger than the buffer is read to its end and dropped in silence: nobody hears of it, and the
broker gets no PUBACK. One of ours can't be larger either.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Self

from edgeassist.sandbox import HOST
from tests.patience import PATIENCE_S

BUFFER_BYTES = 256
KEEPALIVE_S = 600

_CONNECT, _PUBLISH, _PUBACK, _SUBSCRIBE, _DISCONNECT = 0x10, 0x30, 0x40, 0x82, 0xE0


class SmallClient:
    """Connected inside its `async with`.

    Args:
        port: The broker's.
        name: The client's id.
        filter: What it hears, at which QoS.

    Attributes:
        heard: Topic and payload of what was heard, in order.
        dropped: The sizes of the packets that did not fit.
    """

    def __init__(self, port: int, name: str, filter: str, *, qos: int = 0) -> None:  # noqa: A002 - MQTT's word
        self._port = port
        self._name = name
        self._filter = filter
        self._qos = qos
        self._news = asyncio.Event()
        self.heard: list[tuple[str, bytes]] = []
        self.dropped: list[int] = []

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(HOST, self._port)
        self._send(_CONNECT, _text("MQTT") + b"\x04\x02" + KEEPALIVE_S.to_bytes(2) + _text(self._name))
        assert await self._read() == (0x20, b"\0\0")
        self._send(_SUBSCRIBE, b"\0\1" + _text(self._filter) + bytes([self._qos]))
        assert await self._read() == (0x90, bytes([0, 1, self._qos]))
        self._task = asyncio.create_task(self._listen(), name="small-client")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._send(_DISCONNECT, b"")
        self._writer.close()
        await self._writer.wait_closed()

    def say(self, topic: str, payload: bytes) -> None:
        """Publish at QoS 0; PubSubClient knows no other."""
        self._send(_PUBLISH, _text(topic) + payload)

    async def until(
        self, matches: Callable[[str, bytes], bool], timeout_s: float = PATIENCE_S
    ) -> tuple[str, bytes]:
        """Wait until such a message was heard, and return it."""
        async with asyncio.timeout(timeout_s):
            while True:
                for message in self.heard:
                    if matches(*message):
                        return message
                self._news.clear()
                await self._news.wait()

    async def end(self, request: str | None = None) -> dict[str, Any]:
        """Wait for the terminal event (of that request), and return it."""

        def ends(_topic: str, payload: bytes) -> bool:
            event = event_of(payload)
            return event.get("type") in {"done", "error"} and request in {None, event["id"]}

        return event_of((await self.until(ends))[1])

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events among what was heard."""
        return [event for _, payload in self.heard if (event := event_of(payload))]

    def _send(self, kind: int, body: bytes) -> None:
        packet = bytes([kind]) + _length(len(body)) + body
        assert len(packet) <= BUFFER_BYTES, "the small client can't send that"
        self._writer.write(packet)

    async def _read(self) -> tuple[int, bytes | None]:
        """Return a packet's first byte and body; None for one that does not fit."""
        header = await self._reader.readexactly(2)
        length, shift = header[-1] & 0x7F, 7
        while header[-1] & 0x80:
            header += await self._reader.readexactly(1)
            length |= (header[-1] & 0x7F) << shift
            shift += 7
        body = await self._reader.readexactly(length)
        size = len(header) + length
        if size <= BUFFER_BYTES:
            return header[0], body
        self.dropped.append(size)
        return header[0], None

    async def _listen(self) -> None:
        while True:
            kind, body = await self._read()
            if kind & 0xF0 != _PUBLISH or body is None:
                continue
            topic_end = 2 + int.from_bytes(body[:2])
            start = topic_end
            if kind & 0x06:
                self._send(_PUBACK, body[topic_end : topic_end + 2])
                start += 2
            self.heard.append((body[2:topic_end].decode(), body[start:]))
            self._news.set()


def event_of(payload: bytes) -> dict[str, Any]:
    """Return the event that a payload is; empty where it is none."""
    try:
        document = json.loads(payload)
    except ValueError:
        return {}
    return document if isinstance(document, dict) and "type" in document else {}


def _text(value: str) -> bytes:
    return len(value).to_bytes(2) + value.encode()


def _length(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 0x7F | 0x80, value >> 7])
