"""The request's life knows no transport: a toy one asks, streams, cancels and is cancelled beside MQTT."""

from __future__ import annotations

import asyncio

from edgeassist.errors import Code
from edgeassist.protocol.events import AnyEvent, Chunk, Done, Failed
from edgeassist.protocol.requests import PromptRequest
from edgeassist.sandbox import PrivateBroker
from tests.conftest import AsyncConnect
from tests.integration.house import running
from tests.patience import PATIENCE_S
from tests.toy_transport import ToySink, ToyTransport

SLOW = "!script repeat=50 delay_ms=20\nabcd"


def text_of(events: list[AnyEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, Chunk))


async def test_both_ask_at_once_and_get_the_same_answer(broker: PrivateBroker, connect: AsyncConnect) -> None:
    async with running(broker, connect) as (app, client):
        toy = ToyTransport(app.requests)
        said, heard = await asyncio.gather(
            toy.answer(PromptRequest(id="same", prompt=SLOW)), client.answer(SLOW, id="same")
        )
        assert isinstance(said[-1], Done)
        assert isinstance(heard, Done)
        assert text_of(said) == said[-1].text == heard.text == "abcd" * 50
        assert [event.seq for event in said] == list(range(len(said)))
        assert said[0].type == "accepted"
        # A transport of another kind has no topic to cancel at.
        assert b'"cancel"' not in said[0].payload()


async def test_a_toy_that_gives_up_cancels_its_own_and_nobody_elses(
    broker: PrivateBroker, connect: AsyncConnect
) -> None:
    async with running(broker, connect) as (app, client):
        answer = asyncio.create_task(client.answer(SLOW, id="same"))
        async for event in ToyTransport(app.requests).ask(PromptRequest(id="same", prompt=SLOW)):
            if isinstance(event, Chunk):
                break
        end = await answer
        assert isinstance(end, Done)
        assert app.requests.tally.errors[Code.CANCELLED] == 1


async def test_each_can_cancel_what_the_other_asked(broker: PrivateBroker, connect: AsyncConnect) -> None:
    async with running(broker, connect) as (app, client):
        toy = ToyTransport(app.requests)
        said = asyncio.create_task(toy.answer(PromptRequest(id="t", prompt=SLOW)))
        heard = asyncio.create_task(client.answer(SLOW, id="m"))
        async with asyncio.timeout(PATIENCE_S):
            while app.requests.running < 2:
                await asyncio.sleep(0.01)
        response = await client.command("cancel", request="t", client="toy/1")
        assert response.data == {"cancelled": 1}
        assert app.requests.cancel("m")
        for end in ((await said)[-1], await heard):
            assert isinstance(end, Failed)
            assert end.code is Code.CANCELLED


async def test_a_congested_transport_holds_up_no_other(broker: PrivateBroker, connect: AsyncConnect) -> None:
    async with running(broker, connect) as (app, client):
        sink = ToySink(congested=True, chunk_bytes=1 << 16)
        said = asyncio.create_task(ToyTransport(app.requests).answer(PromptRequest(prompt=SLOW), sink))
        heard = [event async for event in client.ask(SLOW)]
        assert len([event for event in heard if isinstance(event, Chunk)]) > 1
        # All of its text waited for the end, which is never held back.
        assert [event.text for event in await said if isinstance(event, Chunk)] == ["abcd" * 50]


async def test_a_deadline_ends_a_toys_request_too(broker: PrivateBroker, connect: AsyncConnect) -> None:
    async with running(broker, connect) as (app, _):
        end = (await ToyTransport(app.requests).answer(PromptRequest(prompt=SLOW, timeout_s=0.3)))[-1]
        assert isinstance(end, Failed)
        assert end.code is Code.DEADLINE_EXCEEDED
