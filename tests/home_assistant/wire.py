"""Home Assistant's WebSocket API: commands with one result each, and subscriptions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.patience import PATIENCE_S

_EVENTS_HELD = 10_000
_MESSAGE_BYTES = 64 << 20


class CommandError(Exception):
    """Home Assistant refused a command.

    Attributes:
        code: Such as `not_found` or `unknown_command`.
    """

    def __init__(self, command: str, code: str, text: str) -> None:
        super().__init__(f"{command}: {code}: {text}")
        self.code = code


class Events:
    """What a subscription brings, in order."""

    def __init__(self) -> None:
        self._heard: asyncio.Queue[Any] = asyncio.Queue(_EVENTS_HELD)

    def hear(self, event: object) -> None:
        """Take an event, or the exception that ended the connection."""
        self._heard.put_nowait(event)

    async def next(self, patience_s: float = PATIENCE_S) -> Any:
        """Wait for the next one.

        Raises:
            TimeoutError: None came for so long.
            ConnectionClosed: The connection ended.
        """
        async with asyncio.timeout(patience_s):
            event = await self._heard.get()
        if isinstance(event, Exception):
            raise event
        return event

    async def until(self, matches: Callable[[Any], object], patience_s: float = PATIENCE_S) -> Any:
        """Wait for the first that matches, and drop those before it; raises as `next` does."""
        async with asyncio.timeout(patience_s):
            while not matches(event := await self.next(patience_s)):
                pass
        return event


class Wire:
    """A connection that is logged in; see `open_wire`."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = count(1)
        self._results: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._subscribed: dict[int, Events] = {}

    async def command(self, kind: str, /, *, patience_s: float = PATIENCE_S, **fields: Any) -> Any:
        """Send a command, and return its result.

        Raises:
            CommandError: It was refused.
            TimeoutError: There was no result.
            ConnectionClosed: The connection ended.
        """
        return await self._command(next(self._ids), kind, fields, patience_s)

    @asynccontextmanager
    async def subscribe(self, kind: str, /, **fields: Any) -> AsyncIterator[Events]:
        """Send a command that brings events until the block ends; raises as `command` does."""
        number = next(self._ids)
        self._subscribed[number] = events = Events()
        try:
            await self._command(number, kind, fields, PATIENCE_S)
            try:
                yield events
            finally:
                with suppress(ConnectionClosed):
                    await self.command("unsubscribe_events", subscription=number)
        finally:
            del self._subscribed[number]

    async def _command(self, number: int, kind: str, fields: dict[str, Any], patience_s: float) -> Any:
        result = self._results[number] = asyncio.get_running_loop().create_future()
        try:
            await self._socket.send(json.dumps({"id": number, "type": kind, **fields}))
            async with asyncio.timeout(patience_s):
                answer = await result
        finally:
            del self._results[number]
        if not answer["success"]:
            raise CommandError(kind, answer["error"]["code"], answer["error"]["message"])
        return answer["result"]

    async def read(self) -> None:
        """Hand out what comes, until the connection ends."""
        try:
            async for text in self._socket:
                self._hear(json.loads(text))
            ended: Exception = ConnectionClosed(None, None)
        except ConnectionClosed as error:
            ended = error
        for result in self._results.values():
            if not result.done():
                result.set_exception(ended)
        for events in self._subscribed.values():
            events.hear(ended)

    def _hear(self, message: dict[str, Any]) -> None:
        if message["type"] == "event" and (events := self._subscribed.get(message["id"])):
            events.hear(message["event"])
        elif message["type"] == "result" and (result := self._results.get(message["id"])):
            result.set_result(message)


@asynccontextmanager
async def open_wire(host: str, port: int, token: str) -> AsyncIterator[Wire]:
    """Connect and log in.

    Raises:
        OSError: Nobody listens there.
        PermissionError: The token is refused.
    """
    async with connect(
        f"ws://{host}:{port}/api/websocket", max_size=_MESSAGE_BYTES, compression=None
    ) as socket:
        await socket.recv()
        await socket.send(json.dumps({"type": "auth", "access_token": token}))
        if (answer := json.loads(await socket.recv()))["type"] != "auth_ok":
            raise PermissionError(answer["message"])
        wire = Wire(socket)
        reading = asyncio.create_task(wire.read(), name="home-assistant-wire")
        try:
            yield wire
        finally:
            await socket.close()
            await reading
