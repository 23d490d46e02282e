"""Messages that nobody is in a hurry for: where they come often, several are read together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest

from edgeassist.protocol.packets import Inbound, Subscription
from edgeassist.sandbox import PrivateBroker
from tests.integration.link import Link, until
from tests.integration.test_broker_pressure import AT_ONCE, flood

# Between two messages: they come one by one.
GAP_S = 0.005


class Groups:
    """Which messages came in one turn of the event loop."""

    def __init__(self) -> None:
        self.groups: list[list[bytes]] = []
        self._open = False

    def hear(self, message: Inbound) -> None:
        if not self._open:
            self.groups.append([])
            self._open = True
            asyncio.get_running_loop().call_soon(self._close)
        self.groups[-1].append(message.payload)

    def _close(self) -> None:
        self._open = False

    @property
    def payloads(self) -> list[bytes]:
        return [each for group in self.groups for each in group]


@asynccontextmanager
async def unhurried(
    port: int, hear: Callable[[Inbound], None], *, filters: tuple[str, str] = ("t/#", "w/#"), **options: Any
) -> AsyncIterator[Link]:
    """A connection that hears the first filter's messages as they come, and can wait for the second's."""
    link = Link(port, [filters[0]], **options)
    link.broker.subscribe(Subscription(filters[1], qos=0, patient=True), hear)
    async with link:
        yield link


async def trickle(link: Link, count: int) -> None:
    for number in range(count):
        link.say("w/1", b"%d" % number)
        await asyncio.sleep(GAP_S)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_where_messages_come_often_several_are_read_together(
    broker: PrivateBroker, protocol: str
) -> None:
    came = Groups()
    async with unhurried(broker.port, came.hear, protocol=protocol), Link(broker.port, ()) as there:
        await trickle(there, 300)
        await until(lambda: came.payloads[-1:] == [b"299"])
        assert came.payloads == [b"%d" % number for number in range(300)]
        assert len(came.groups) < 200


async def test_what_somebody_waits_for_comes_while_others_come_often(broker: PrivateBroker) -> None:
    came = Groups()
    async with unhurried(broker.port, came.hear) as link, Link(broker.port, ()) as there:
        often = asyncio.create_task(trickle(there, 100_000))
        await until(lambda: len(came.payloads) > 50)
        for number in range(20):
            there.say("t/1", b"%d" % number, qos=number % 2)
            await link.hears(number + 1)
        often.cancel()
        assert link.payloads == [b"%d" % number for number in range(20)]


async def test_a_flood_that_can_wait_leaves_the_event_loop_time_for_others(broker: PrivateBroker) -> None:
    came: list[bytes] = []
    turns = []

    async def turn() -> None:
        while True:
            turns.append(len(came))
            await asyncio.sleep(0)

    filters = "other/#", "t/#"
    async with unhurried(broker.port, lambda message: came.append(message.payload), filters=filters):
        flood(broker.port, 500)
        other = asyncio.create_task(turn())
        await until(lambda: len(came) >= 500)
        other.cancel()
        assert came == [b"%d" % number for number in range(500)]
        assert max(later - earlier for earlier, later in pairwise(turns)) <= AT_ONCE


async def test_a_connection_that_ends_between_two_looks_is_noticed_and_made_again(
    broker: PrivateBroker,
) -> None:
    came = Groups()
    async with unhurried(broker.port, came.hear) as link, Link(broker.port, ()) as there:
        often = asyncio.create_task(trickle(there, 100_000))
        await until(lambda: len(came.payloads) > 50)
        # The broker hangs up on the older of two with one id.
        async with Link(broker.port, (), client_id=link.broker._options.client_id):
            await until(lambda: link.reasons)
        await until(lambda: link.ups > 1)
        before = len(came.payloads)
        await until(lambda: len(came.payloads) > before + 50)
        often.cancel()
