"""The whole daemon in one process: what only shows when all rooms are connected."""

from __future__ import annotations

import asyncio

import pytest

from edgeassist.errors import Code
from edgeassist.gateways.homeassistant.discovery import Discovery
from edgeassist.protocol.events import Chunk, Done, Failed
from edgeassist.protocol.requests import PromptRequest
from edgeassist.protocol.state import Availability
from edgeassist.sandbox import PrivateBroker
from edgeassist.supervision.supervisor import Phase
from tests.conftest import AsyncConnect
from tests.integration.house import running
from tests.toy_transport import ToyTransport

SLOW = "!script repeat=200 delay_ms=20\nabcd"


async def test_the_device_is_online_even_if_home_assistants_part_of_a_new_connection_fails(
    broker: PrivateBroker,
    connect: AsyncConnect,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_self: Discovery) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Discovery, "connected", fail)
    async with running(broker, connect) as (_, client):
        assert await client.availability() is Availability.ONLINE
    assert "Discovery failed to act on a new connection" in caplog.text


async def test_an_engine_that_is_replaced_on_purpose_costs_a_running_stream_and_nothing_else(
    broker: PrivateBroker, connect: AsyncConnect
) -> None:
    async with running(broker, connect) as (app, client):
        toy = ToyTransport(app.requests)
        streams = [toy.ask(PromptRequest(prompt=SLOW)) for _ in range(2)]
        for stream in streams:
            while not isinstance(await anext(stream), Chunk):
                pass
        waiting = asyncio.create_task(client.answer("hello"))
        app.supervisor.replace("another model was chosen")
        for stream in streams:
            end = [event async for event in stream][-1]
            assert isinstance(end, Failed)
            assert (end.code, end.retryable) == (Code.MODEL_LOADING, True)
            assert "another model was chosen" in end.message
        answer = await waiting
        assert isinstance(answer, Done)
        assert answer.text == "hello"
        assert app.supervisor.phase is Phase.READY
        assert app.supervisor.restarts == 0
