"""A broker that takes the connection, and never answers the subscriptions, or a message."""

from __future__ import annotations

import asyncio

import pytest

from edgeassist.broker import Broker
from edgeassist.protocol.packets import Outbound, Subscription
from tests.conftest import options_for
from tests.patience import PATIENCE_S

CONNACK = b"\x20\x02\x00\x00"
CONNECT, PUBLISH = 1, 3


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


class Mute:
    """A broker of MQTT 3.1.1 that hangs up on its first message, and acknowledges none on one topic."""

    def __init__(self, topic: str) -> None:
        self._topic = topic.encode()
        self.hung_up = False
        self.acknowledged: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                kind, length = await reader.readexactly(2)  # no packet here has 128 bytes
                body = await reader.readexactly(length)
                if kind >> 4 == CONNECT:
                    writer.write(CONNACK)
                elif kind >> 4 == PUBLISH and not self.hung_up:
                    self.hung_up = True
                    return
                elif kind >> 4 == PUBLISH:
                    end = 2 + int.from_bytes(body[:2])
                    if body[2:end] != self._topic:
                        self.acknowledged.append(body[2:end])
                        writer.write(b"\x40\x02" + body[end : end + 2])
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@pytest.mark.parametrize("first", ["mute", "heard"])
async def test_a_message_that_is_never_acknowledged_does_not_hold_up_others_for_ever(
    monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    monkeypatch.setattr("edgeassist.broker.sender.ACKNOWLEDGE_S", 0.3)
    settled: dict[str, asyncio.Future[bool]] = {}
    mute = Mute("mute")
    async with await asyncio.start_server(mute.serve, "127.0.0.1", 0) as server:
        broker = Broker(options_for(server.sockets[0].getsockname()[1], protocol="3.1.1"))
        for topic in sorted(("mute", "heard"), key=lambda each: each != first):
            settled[topic] = asyncio.get_running_loop().create_future()
        broker.start()
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not broker.connected:
                    await asyncio.sleep(0.01)
                for topic, outcome in settled.items():
                    broker.publish(Outbound(topic, b"x", qos=1, on_settled=outcome.set_result))
                outcomes = {topic: await outcome for topic, outcome in settled.items()}
        finally:
            await broker.stop()
    assert mute.hung_up
    assert outcomes == {"mute": False, "heard": True}
    assert b"heard" in mute.acknowledged
    assert broker.dropped == 1
    assert "mute: the broker has not acknowledged it within 0.3 s" in str(broker.sender.refusals.last)
