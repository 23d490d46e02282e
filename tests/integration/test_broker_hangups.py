"""Messages that a broker refuses by ending the connection, or with a reason code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edgeassist.broker.sender import TRIALS
from edgeassist.broker.subscriptions import UNANSWERED
from edgeassist.protocol.packets import Outbound, Subscription
from edgeassist.sandbox import PrivateBroker
from tests.integration.bouncer import Bouncer
from tests.integration.link import Cable, Link, until

PROTOCOLS = pytest.mark.parametrize("protocol", ["5", "3.1.1"])
SHORT = Outbound("t/long", b"too large", qos=1)


def long(size: int = 3000) -> Outbound:
    return Outbound("t/long", bytes(size), qos=1, shorter=SHORT)


@asynccontextmanager
async def limited(folder: Path, *settings: str) -> AsyncIterator[PrivateBroker]:
    with PrivateBroker(folder, ("allow_anonymous true", *settings)) as broker:
        yield broker


@asynccontextmanager
async def guarded(
    port: int, forbids: Callable[[str, int], bool], protocol: str
) -> AsyncIterator[tuple[Bouncer, Link, Link]]:
    """A link past a bouncer, and one that hears what gets through."""
    async with (
        Bouncer(port, forbids) as bouncer,
        Link(port, protocol=protocol) as there,
        Link(bouncer.port, ["in/#"], protocol=protocol, reconnect_max_s=0.2) as link,
    ):
        yield bouncer, link, there


@pytest.mark.parametrize("protocol", ["3.1.1"])
async def test_a_message_that_is_too_long_is_found_out_and_replaced_and_others_lose_nothing(
    tmp_path: Path, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        limited(tmp_path, "max_packet_size 1000") as broker,
        Link(broker.port, protocol=protocol) as there,
        Link(broker.port, [], protocol=protocol, reconnect_max_s=0.2) as link,
    ):
        others = [b"%d" % number for number in range(50)]
        for number, payload in enumerate(others):
            assert link.say("t/other", payload, qos=1)
            if number == 25:
                assert link.broker.publish(long())
        await until(lambda: b"too large" in there.payloads and set(others) <= set(there.payloads))
        assert link.ups == 4
        await until(lambda: "3006 bytes" in caplog.text)
        assert link.broker.publish(long(2999 + 1))
        await until(lambda: there.payloads.count(b"too large") == 2)
        assert link.ups == 4
        assert link.broker.dropped == 0
        assert not any("client with the id" in each for each in link.reasons)


@PROTOCOLS
async def test_any_number_of_messages_that_waited_and_are_too_long_are_replaced(
    tmp_path: Path, protocol: str
) -> None:
    async with (
        limited(tmp_path, "max_packet_size 1000") as broker,
        Link(broker.port, protocol=protocol) as there,
        Cable(broker.port) as cable,
        Link(cable.port, [], protocol=protocol, reconnect_max_s=0.2) as link,
    ):
        cable.cut()
        await until(lambda: not link.broker.connected)
        for _ in range(400):
            assert link.broker.publish(long())
        cable.mend()
        await until(lambda: there.payloads.count(b"too large") == 400)
        assert not any("unexpected" in each for each in link.reasons)


async def test_a_short_queue_loses_nothing_while_the_connection_stands(broker: PrivateBroker) -> None:
    async with Link(broker.port) as there, Link(broker.port, [], queue=10) as link:
        for number in range(60):
            assert link.say("t/1", b"%d" % number, qos=1)
        await there.hears(60)


async def test_two_clients_of_one_id_throw_each_other_off_and_no_message_is_blamed(
    broker: PrivateBroker,
) -> None:
    """MQTT 3.1.1 has no word for it, so that it looks like a broker that hangs up on a message."""
    same: dict[str, Any] = {"protocol": "3.1.1", "client_id": "same", "reconnect_max_s": 0.6}
    async with Link(broker.port, [], **same) as first, Link(broker.port, [], **same) as second:
        while first.ups + second.ups < 40:
            for link in (first, second):
                for number in range(3):
                    link.say(f"t/{number}", b"x", qos=1)
            await asyncio.sleep(0.005)
        assert (first.broker.sender.refusals.count, second.broker.sender.refusals.count) == (0, 0)


async def test_a_broker_that_refuses_a_size_with_a_word_keeps_the_connection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with limited(tmp_path, "message_size_limit 1000") as broker, Link(broker.port) as link:
        for _ in range(2):
            assert link.broker.publish(long())
        link.say("t/other", b"other", qos=1)
        await until(lambda: link.payloads.count(b"too large") == 2 and b"other" in link.payloads)
        assert (link.ups, link.reasons) == (1, [])
    assert caplog.text.count("refuses a message of 3006 bytes") >= 1


@PROTOCOLS
@pytest.mark.parametrize("qos", [0, 1])
async def test_a_topic_that_ends_the_connection_is_not_published_to_again_and_others_lose_nothing(
    broker: PrivateBroker, protocol: str, qos: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with guarded(broker.port, lambda topic, _: topic == "reply/evil", protocol) as (
        bouncer,
        link,
        there,
    ):
        for turn in range(4):
            for number in range(10):
                link.say("t/other", b"%d" % (10 * turn + number), qos=1)
                link.say("reply/evil", b"x", qos=qos)
            await until(lambda: link.broker.connected and not link.broker.sender.waiting)
        await until(lambda: len({*there.payloads}) == 40)
        assert bouncer.hung_up == 1 + TRIALS
        assert "nothing is published on reply/evil" in caplog.text
        assert link.broker.sender.refusals.count > 0
        assert "reply/evil" in (link.broker.sender.refusals.last or "")


@PROTOCOLS
async def test_a_forbidden_topic_is_told_from_a_size(broker: PrivateBroker, protocol: str) -> None:
    async with guarded(broker.port, lambda topic, _: topic == "t/long", protocol) as (bouncer, link, there):
        link.broker.publish(long())
        await until(lambda: bouncer.hung_up == 1 + 2 * TRIALS and link.broker.connected)
        link.say("t/other", bytes(5000), qos=1)
        await there.hears(1)
        assert not link.broker.publish(SHORT)
        assert bouncer.hung_up == 1 + 2 * TRIALS


@PROTOCOLS
async def test_a_message_that_is_shorter_than_one_that_passed_ended_the_connection_for_its_topic(
    broker: PrivateBroker, protocol: str
) -> None:
    async with guarded(broker.port, lambda topic, _: topic == "t/long", protocol) as (bouncer, link, there):
        link.say("t/other", bytes(5000), qos=1)
        await there.hears(1)
        link.broker.publish(long())
        await until(lambda: not link.broker.publish(SHORT))
        assert bouncer.hung_up == 1 + TRIALS


async def test_requesters_that_invent_forbidden_topics_do_not_end_the_connection_for_ever(
    broker: PrivateBroker,
) -> None:
    async with guarded(broker.port, lambda topic, _: topic.startswith("reply/"), "3.1.1") as (
        bouncer,
        link,
        there,
    ):
        for number in range(10):
            link.say(f"reply/{number}", b"x", qos=1)
            await until(lambda: link.broker.connected and not link.broker.sender.waiting)
        link.say("t/other", b"other", qos=1)
        await there.hears(1)
        assert bouncer.hung_up <= 3 * (1 + TRIALS)


async def test_a_restart_of_the_broker_is_blamed_on_nobody(broker: PrivateBroker) -> None:
    async with Link(broker.port, reconnect_max_s=0.2) as link:
        for turn in range(3):
            for number in range(20):
                link.say("t/1", b"%d" % (turn * 20 + number), qos=1)
            broker.stop()
            await until(lambda: not link.broker.connected)
            broker.start()
            await until(lambda turn=turn: link.ups == turn + 2)  # type: ignore[misc]
        await until(lambda: len({*link.payloads}) == 60)
        assert (link.broker.dropped, link.broker.sender.refusals.count) == (0, 0)


async def test_a_refusal_with_a_reason_is_counted_and_said_once_per_topic(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite t/#\ntopic read forbidden/#\n")
    async with limited(tmp_path, f"acl_file {acl}") as broker, Link(broker.port) as link:
        for _ in range(3):
            link.say("forbidden/1", b"x", qos=1)
        link.say("t/1", b"last", qos=1)
        await link.hears(1)
        assert link.broker.sender.refusals.count == 3
        assert link.broker.sender.refusals.last == "forbidden/1: the broker says: not authorized"
        assert caplog.text.count("forbidden/1") == 1
        assert link.reasons == []


@PROTOCOLS
async def test_what_is_optional_is_not_subscribed_to_where_the_broker_hangs_up_on_it(
    broker: PrivateBroker, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        Bouncer(broker.port, forbidden_filter="box/status") as bouncer,
        Link(bouncer.port, wait=False, protocol=protocol, reconnect_max_s=0.2) as link,
    ):
        link.broker.subscribe(Subscription("box/status", qos=0, optional=True), link.heard.append)
        await until(lambda: link.ups)
        link.say("t/1", b"hello", qos=1)
        await link.hears(1)
        assert bouncer.hung_up == UNANSWERED
    assert "those to box/status are left out" in caplog.text


async def test_what_is_shorter_goes_out_on_a_topic_that_is_left_alone_for_a_size(
    broker: PrivateBroker,
) -> None:
    async with guarded(broker.port, lambda _, length: length > 1000, "3.1.1") as (bouncer, link, there):
        link.say("t/long", bytes(2000), qos=1)
        await until(lambda: bouncer.hung_up == 1 + TRIALS and link.broker.connected)
        assert link.broker.publish(long())
        await until(lambda: b"too large" in there.payloads)
        assert bouncer.hung_up == 1 + TRIALS
