"""Several handlers on one connection, each with a life of its own, against a real Mosquitto."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edgeassist.protocol.packets import Inbound, Subscription
from edgeassist.sandbox import PrivateBroker
from tests.integration.link import Link, until

PROTOCOLS = pytest.mark.parametrize("protocol", ["5", "3.1.1"])


class Ear:
    """A handler that keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[Inbound] = []

    def __call__(self, message: Inbound) -> None:
        self.heard.append(message)

    @property
    def topics(self) -> list[str]:
        return [message.topic for message in self.heard]


async def say(link: Link, *topics: str) -> None:
    """Publish on these topics, and wait until the last, which `t/end` follows, has been delivered."""
    before = link.payloads.count(b"end")
    for topic in topics:
        link.say(topic, b"x", qos=1)
    link.say("t/end", b"end", qos=1)
    await until(lambda: link.payloads.count(b"end") > before)


@PROTOCOLS
async def test_each_route_hears_what_its_filter_matches(broker: PrivateBroker, protocol: str) -> None:
    one, two = Ear(), Ear()
    async with Link(broker.port, ["t/end"], wait=False, protocol=protocol) as link:
        link.broker.subscribe(Subscription("t/a/+", 1), one)
        await until(lambda: link.ups)
        link.broker.subscribe(Subscription("t/b/#", 1), two)
        await say(link, "t/a/1", "t/b", "t/b/1/2", "t/c")
    assert one.topics == ["t/a/1"]
    assert two.topics == ["t/b", "t/b/1/2"]
    assert link.ups == 1


async def test_a_route_may_be_made_before_the_connection_is_started(broker: PrivateBroker) -> None:
    link = Link(broker.port, ["t/end"])
    ear = Ear()
    link.broker.subscribe(Subscription("t/a", 1), ear).close()
    link.broker.subscribe(Subscription("t/b", 1), ear)
    async with link:
        await say(link, "t/a", "t/b")
    assert ear.topics == ["t/b"]


@PROTOCOLS
async def test_routes_are_remembered_while_there_is_no_broker(broker: PrivateBroker, protocol: str) -> None:
    kept, closed, new = Ear(), Ear(), Ear()
    async with Link(broker.port, ["t/end"], protocol=protocol) as link:
        link.broker.subscribe(Subscription("t/kept", 1), kept)
        route = link.broker.subscribe(Subscription("t/closed", 1), closed)
        broker.stop()
        await link.fails()
        route.close()
        link.broker.subscribe(Subscription("t/new", 1), new)
        broker.start()
        await until(lambda: link.ups == 2)
        await say(link, "t/kept", "t/closed", "t/new")
    assert (kept.topics, closed.topics, new.topics) == (["t/kept"], [], ["t/new"])


@PROTOCOLS
async def test_a_filter_is_subscribed_to_as_long_as_a_route_has_it(
    broker: PrivateBroker, protocol: str
) -> None:
    first, second = Ear(), Ear()
    async with (
        Link(broker.port, ["t/end"], protocol=protocol) as link,
        Link(broker.port, [], protocol=protocol) as other,
    ):
        routes = [link.broker.subscribe(Subscription("t/a", 1), ear) for ear in (first, second)]
        await say(link, "t/a")
        routes[0].close()
        routes[0].close()
        await say(link, "t/a")
        assert (len(first.heard), len(second.heard)) == (1, 2)
        routes[1].close()
        await say(link, "t/a")
        assert (len(first.heard), len(second.heard)) == (1, 2)
        # The broker knows too: a retained message would come at once with a subscription that still stood.
        other.say("t/a", b"kept", qos=1, retain=True)
        assert await other.broker.flush(5)
        third = Ear()
        link.broker.subscribe(Subscription("t/a", 1), third)
        await until(lambda: third.heard)
        assert third.heard[0].retained
    assert (len(first.heard), len(second.heard)) == (1, 2)


@PROTOCOLS
async def test_a_route_that_comes_later_gets_what_is_retained(broker: PrivateBroker, protocol: str) -> None:
    early, late = Ear(), Ear()
    async with Link(broker.port, ["t/end"], protocol=protocol) as link:
        link.say("t/kept", b"kept", qos=1, retain=True)
        link.broker.subscribe(Subscription("t/kept", 1), early)
        await until(lambda: early.heard)
        link.broker.subscribe(Subscription("t/kept", 1), late)
        await until(lambda: late.heard)
        assert late.heard[0].retained


@PROTOCOLS
async def test_a_shared_filter_hears_its_share(broker: PrivateBroker, protocol: str) -> None:
    ears = Ear(), Ear()
    async with (
        Link(broker.port, ["t/end"], protocol=protocol) as one,
        Link(broker.port, ["t/end"], protocol=protocol) as other,
    ):
        for link, ear in zip((one, other), ears, strict=True):
            link.broker.subscribe(Subscription("$share/group/job/+", 1), ear)
            await say(link)
        await say(one, *(f"job/{number}" for number in range(10)))
        await until(lambda: sum(len(ear.heard) for ear in ears) >= 10)
    assert sorted(topic for ear in ears for topic in ear.topics) == [f"job/{number}" for number in range(10)]
    assert all(ear.heard for ear in ears)


async def test_the_brokers_own_topics_are_heard_by_those_who_name_them(broker: PrivateBroker) -> None:
    everything, own = Ear(), Ear()
    async with Link(broker.port, ["t/end"]) as link:
        link.broker.subscribe(Subscription("#", 0), everything)
        link.broker.subscribe(Subscription("$SYS/broker/version", 0), own)
        await until(lambda: own.heard)
        await say(link)
    assert not [topic for topic in everything.topics if topic.startswith("$")]


@PROTOCOLS
async def test_a_handler_that_raises_neither_ends_the_connection_nor_silences_others(
    broker: PrivateBroker, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[bytes] = []

    def stumble(message: Inbound) -> None:
        calls.append(message.payload)
        raise LookupError("a bug in a handler")

    ear = Ear()
    async with Link(broker.port, ["t/end"], protocol=protocol) as link:
        link.broker.subscribe(Subscription("t/a", 1), stumble)
        link.broker.subscribe(Subscription("t/a", 1), ear)
        await say(link, "t/a", "t/a", "t/a")
        assert link.broker.connected
        assert link.reasons == []
    assert len(calls) == len(ear.heard) == 3
    assert caplog.text.count("LookupError: a bug in a handler") == 3


async def test_a_closed_route_hears_nothing_of_what_had_arrived(broker: PrivateBroker) -> None:
    heard: list[bytes] = []
    async with Link(broker.port, ["t/end"]) as link:

        def take_one(message: Inbound) -> None:
            heard.append(message.payload)
            route.close()

        route = link.broker.subscribe(Subscription("t/a", 1), take_one)
        await say(link)
        for _ in range(5):
            link.say("t/a", b"x", qos=1)
        await say(link)
        await asyncio.sleep(0)
    assert heard == [b"x"]


@pytest.mark.parametrize("wrong", ["", "a/#/b", "a+", "a/b#", "$share/g", "$share//a", "$share/+/a"])
async def test_what_is_no_filter_is_refused_at_once(broker: PrivateBroker, wrong: str) -> None:
    async with Link(broker.port, ["t/end"]) as link:
        with pytest.raises(ValueError, match="filter"):
            link.broker.subscribe(Subscription(wrong, 1), lambda _message: None)
        await say(link)
        assert link.ups == 1


@PROTOCOLS
async def test_what_an_earlier_run_has_left_in_the_session_is_unsubscribed_from(
    broker: PrivateBroker, protocol: str
) -> None:
    """Messages that nobody wants would come for as long as the session lives."""
    options: dict[str, Any] = {"client_id": f"left-{protocol}", "protocol": protocol, "session_expiry_s": 60}
    old = ("old/a/x", "w/1", "w/1/b")
    async with Link(broker.port, ["t/end", "old/+/x", "w/1", "w/1/#"], **options) as before:
        await say(before, *old)
        assert len(before.heard) > len(old)
    async with Link(broker.port, ["t/end"], **options) as link:
        await say(link, *old)
        assert set(link.payloads) == {b"end"}
    ear = Ear()
    after = Link(broker.port, ["t/end"], **options)
    after.broker.subscribe(Subscription("#", 1, passive=True), ear)
    async with after:
        await say(after, *old)
    assert set(ear.topics) == {"t/end"}
