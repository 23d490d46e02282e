"""Whether a publisher learns that nobody subscribes to a topic: against a real Mosquitto."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from edgeassist.protocol.packets import Outbound
from edgeassist.sandbox import PrivateBroker
from tests.integration.link import Link
from tests.patience import PATIENCE_S


@pytest.mark.parametrize(("protocol", "tells"), [("5", True), ("3.1.1", False)])
async def test_a_message_that_nobody_hears_says_so_and_is_delivered_all_the_same(
    broker: PrivateBroker, protocol: str, *, tells: bool
) -> None:
    async with Link(broker.port, ["heard"], protocol=protocol) as link:
        told: dict[str, list[str]] = {"heard": [], "unheard": []}
        settled = {topic: asyncio.get_running_loop().create_future() for topic in told}
        for topic, words in told.items():
            settled[topic].add_done_callback(lambda _done, words=words: words.append("settled"))  # type: ignore[misc]
            unheard = partial(words.append, "unheard")
            link.broker.publish(
                Outbound(topic, b"x", qos=1, on_settled=settled[topic].set_result, on_unheard=unheard)
            )
        async with asyncio.timeout(PATIENCE_S):
            assert [await each for each in settled.values()] == [True, True]
    assert told == {"heard": ["settled"], "unheard": ["unheard", "settled"] if tells else ["settled"]}
