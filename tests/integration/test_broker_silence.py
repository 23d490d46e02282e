"""A broker that takes the connection, and never answers the subscriptions."""

from __future__ import annotations

import asyncio

import pytest

from edgeassist.broker import Broker
from edgeassist.protocol.packets import Subscription
from tests.conftest import options_for
from tests.patience import PATIENCE_S

CONNACK = b"\x20\x02\x00\x00"


async def test_subscriptions_that_are_never_answered_end_the_connection_with_a_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edgeassist.broker.connection.CONNECT_TIMEOUT_S", 0.5)
    ups: list[str] = []
    reasons: asyncio.Queue[str] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CONNACK)
        while await reader.read(1024):
            pass
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        broker = Broker(
            options_for(port, protocol="3.1.1"),
            on_up=lambda: ups.append("up"),
            on_down=reasons.put_nowait,
        )
        broker.subscribe(Subscription("a/b", qos=1), lambda _message: None)
        broker.start()
        try:
            async with asyncio.timeout(PATIENCE_S):
                reason = await reasons.get()
        finally:
            await broker.stop()
    assert "did not answer the subscriptions within 0.5 s" in reason
    assert ups == []
