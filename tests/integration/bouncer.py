"""A doorkeeper before a broker: hangs up on a client that publishes where it must not, as some brokers do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from edgeassist.sandbox import HOST

_PUBLISH = 0x30
_SUBSCRIBE = 0x80


class Bouncer:
    """A TCP link to a local broker of MQTT 3.1.1 or 5, at a port of its own.

    Args:
        port: The broker's.
        forbids: Whether it hangs up on a message, of which it gets the topic and the packet's length.
        forbidden_filter: It hangs up on a SUBSCRIBE that has this in it.
    """

    def __init__(
        self,
        port: int,
        forbids: Callable[[str, int], bool] = lambda _topic, _length: False,
        *,
        forbidden_filter: str | None = None,
    ) -> None:
        self._target = port
        self._forbids = forbids
        self._forbidden_filter = forbidden_filter
        self.hung_up = 0

    async def __aenter__(self) -> Bouncer:
        self._server = await asyncio.start_server(self._carry, HOST, 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(HOST, self._target)
        back = asyncio.create_task(self._bring_back(there_reader, writer))
        try:
            while True:
                kind, header, body = await _packet(reader)
                if kind & 0xF0 == _PUBLISH:
                    topic = body[2 : 2 + int.from_bytes(body[:2])].decode()
                    if self._forbids(topic, len(body)):
                        self.hung_up += 1
                        return
                forbidden = self._forbidden_filter
                if kind & 0xF0 == _SUBSCRIBE and forbidden is not None and forbidden.encode() in body:
                    self.hung_up += 1
                    return
                there_writer.write(header + body)
                await there_writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            back.cancel()
            there_writer.close()
            writer.close()

    @staticmethod
    async def _bring_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
        writer.close()


async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes, bytes]:
    header = await reader.readexactly(1)
    length = shift = 0
    while True:
        byte = await reader.readexactly(1)
        header += byte
        length |= (byte[0] & 0x7F) << shift
        shift += 7
        if byte[0] < 0x80:
            return header[0], header, await reader.readexactly(length)
