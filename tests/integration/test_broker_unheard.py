"""Whether a publisher learns that nobody subscribes to a topic: against a real Mosquitto."""

from __future__ import annotations

import asyncio

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

            def settle(delivered: bool, topic: str = topic) -> None:  # noqa: FBT001 - as it is called
                told[topic].append("settled")
                settled[topic].set_result(delivered)

            message = Outbound(
                topic,
                b"x",
                qos=1,
                on_settled=settle,
                on_unheard=lambda words=words: words.append("unheard"),  # type: ignore[misc]
            )
            link.broker.publish(message)
        async with asyncio.timeout(PATIENCE_S):
            assert [await each for each in settled.values()] == [True, True]
    assert told == {"heard": ["settled"], "unheard": ["unheard", "settled"] if tells else ["settled"]}
