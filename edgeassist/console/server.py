"""Hands out the page on loopback: a few connections at a time, none of them for long."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
from http import HTTPStatus
from types import TracebackType
from typing import Self

from edgeassist.console.http import MAX_HEAD_BYTES, HttpError, read_request, write_response
from edgeassist.console.site import Site
from edgeassist.errors import ConfigurationError

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
# A browser opens six at a time; whoever is beyond it waits for the kernel.
CONNECTIONS = 64
# For all of one connection: the head, and a file of some hundred kilobytes through a slow tunnel.
LIMIT_S = 30.0


class Server:
    """The listener.

    Args:
        site: What is answered.
        port: On loopback; 0: one that is free.
    """

    def __init__(self, site: Site, port: int) -> None:
        self._site = site
        self._wanted = port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where the page is."""
        port = self._wanted if self._server is None else self._server.sockets[0].getsockname()[1]
        return f"http://localhost:{port}/"

    async def __aenter__(self) -> Self:
        """Begin to listen.

        Raises:
            ConfigurationError: Somebody else has the port, or it may not be had.
        """
        try:
            self._server = await asyncio.start_server(
                self._connected, HOST, self._wanted, limit=MAX_HEAD_BYTES, backlog=CONNECTIONS
            )
        except OSError as error:
            why = {errno.EADDRINUSE: "is taken", errno.EACCES: "is for root only"}.get(
                error.errno or 0, f"can't be had: {error.strerror}"
            )
            raise ConfigurationError(
                f"port {self._wanted} of {HOST} {why}: name another (the setting console.port, or "
                "edgeassist console --port)"
            ) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening, and end what is open."""
        if self._server is not None:
            self._server.close()
        for each in self._open:
            each.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= CONNECTIONS:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer), name="console-connection")
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request; what a browser does wrong, or gives up, is its own affair."""
        try:
            async with asyncio.timeout(LIMIT_S):
                writer.write(await self._answer(reader))
                writer.write_eof()
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            log.debug("a connection to the console broke off", exc_info=True)
        finally:
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        with_body = True
        try:
            request = read_request(await _head(reader))
            with_body = request.method != "HEAD"
            response = self._site.answer(request)
        except HttpError as error:
            response = self._site.refuse(error)
        return write_response(response, with_body=with_body)


async def _head(reader: asyncio.StreamReader) -> bytes:
    """Return a request's head with the empty line at its end.

    Raises:
        HttpError: It is too long.
        IncompleteReadError: It breaks off.
    """
    head = bytearray()
    with contextlib.suppress(asyncio.LimitOverrunError):
        while len(head) <= MAX_HEAD_BYTES:
            line = await reader.readuntil(b"\n")
            head += line
            if line in {b"\r\n", b"\n"}:
                return bytes(head)
    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    raise HttpError(status, f"a head has at most {MAX_HEAD_BYTES} bytes")
