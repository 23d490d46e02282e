"""When a message is acknowledged, and who is told that one was: against a real Mosquitto."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from edgeassist.broker.absence import passed_s
from edgeassist.protocol.packets import Inbound, Outbound, Subscription
from edgeassist.sandbox import PrivateBroker
from tests.integration.link import Cable, Link, until
from tests.integration.test_broker_client import CONNACK, SUBACK, publish, server
from tests.integration.test_broker_hangups import guarded, limited
from tests.patience import PATIENCE_S

PROTOCOLS = pytest.mark.parametrize("protocol", ["5", "3.1.1"])
# Mosquitto sends as many before it waits for acknowledgements.
IN_FLIGHT = 20
_names = count()


class Holder(Link):
    """A connection whose session outlives it, and that holds what it hears on `h/#`."""

    def __init__(self, port: int, **options: Any) -> None:
        defaults: dict[str, Any] = {"client_id": f"holder-{next(_names)}", "session_expiry_s": 60}
        super().__init__(port, ["t/#"], **{**defaults, **options})
        self.held: list[Inbound] = []
        self.route = self.broker.subscribe(Subscription("h/#", 1, held=True), self.held.append)

    @property
    def held_payloads(self) -> list[bytes]:
        return [each.payload for each in self.held]

    @property
    def unacknowledged(self) -> int:
        return len(self.broker._receipts)


@contextlib.asynccontextmanager
async def over_cable(broker: PrivateBroker, protocol: str) -> AsyncIterator[tuple[Holder, Cable]]:
    async with Cable(broker.port) as cable, Holder(cable.port, protocol=protocol) as holder:
        yield holder, cable


async def reconnect(link: Link, cable: Cable) -> None:
    ups = link.ups
    cable.cut()
    await until(lambda: link.reasons)
    cable.mend()
    await until(lambda: link.ups > ups)


@PROTOCOLS
async def test_a_held_message_comes_again_with_a_new_connection_until_it_is_acknowledged(
    broker: PrivateBroker, protocol: str
) -> None:
    async with over_cable(broker, protocol) as (holder, cable), Link(broker.port, ()) as there:
        for payload in (b"1", b"2"):
            there.say("h/x", payload, qos=1)
        await until(lambda: len(holder.held) == 2)
        first, second = holder.held
        assert (first.qos, first.redelivered) == (1, False)
        first.acknowledge()
        holder.say("t/after", b"ordinary", qos=1)
        await holder.hears(1)
        await reconnect(holder, cable)
        await until(lambda: len(holder.held) > 2)
        again = holder.held[2]
        assert (again.payload, again.redelivered, again.packet_id) == (b"2", True, second.packet_id)
        # That of the connection that has ended acknowledges nothing.
        second.acknowledge()
        await reconnect(holder, cable)
        await until(lambda: len(holder.held) > 3)
        assert holder.held[3].payload == b"2"
        holder.held[3].acknowledge()
        there.say("h/x", b"3", qos=1)
        await until(lambda: holder.held_payloads[-1] == b"3")
        holder.held[-1].acknowledge()
        # The broker has read what we sent before this.
        holder.say("t/here", b"here", qos=1)
        await until(lambda: b"here" in holder.payloads)
        await reconnect(holder, cable)
        there.say("h/x", b"4", qos=1)
        await until(lambda: holder.held_payloads[-1] == b"4")
        assert holder.held_payloads == [b"1", b"2", b"2", b"2", b"3", b"4"]


@PROTOCOLS
@pytest.mark.parametrize("ordered", [True, False])
async def test_more_comes_when_room_is_made_in_order_or_not(
    broker: PrivateBroker, protocol: str, *, ordered: bool
) -> None:
    holder = Holder(broker.port, protocol=protocol, ordered_acknowledgements=ordered)
    async with holder, Link(broker.port, ()) as there:
        for number in range(2 * IN_FLIGHT):
            there.say("h/x", b"%d" % number, qos=1)
        await until(lambda: len(holder.held) == IN_FLIGHT)
        for each in holder.held[1:]:
            each.acknowledge()
        if ordered:
            assert holder.unacknowledged == IN_FLIGHT
            holder.held[0].acknowledge()
            assert holder.unacknowledged == 0
        # Without order, all but the first have made room.
        await until(lambda: len(holder.held) >= 2 * IN_FLIGHT - 1)
        while holder.unacknowledged or len(holder.held) < 2 * IN_FLIGHT:
            for each in holder.held:
                each.acknowledge()
            await asyncio.sleep(0.01)
        assert holder.held_payloads == [b"%d" % number for number in range(2 * IN_FLIGHT)]


@PROTOCOLS
async def test_messages_of_handlers_that_raise_and_of_closed_routes_are_acknowledged(
    broker: PrivateBroker, protocol: str
) -> None:
    def fail(_message: Inbound) -> None:
        raise RuntimeError("a fault of a handler")

    holder = Holder(broker.port, protocol=protocol)
    holder.broker.subscribe(Subscription("bad/#", 1, held=True), fail)
    async with holder, Link(broker.port, ()) as there:
        for number in range(3 * IN_FLIGHT):
            there.say(("bad/x", "h/x")[number % 2], b"%d" % number, qos=1)
        # What comes from now on finds no handler, although the broker goes on to send it for a while.
        await until(lambda: holder.held)
        holder.route.close()
        for each in holder.held:
            each.acknowledge()
        there.say("t/end", b"end", qos=1)
        await holder.hears(1)
        await until(lambda: holder.unacknowledged == 0)
        assert holder.reasons == []


async def test_acknowledgements_of_held_and_of_other_messages_go_out_in_their_order() -> None:
    answers = bytearray()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(CONNACK)
        await reader.read(100)
        packets = (("h/1", 1), ("t/1", 2), ("h/2", 3), ("t/2", 4))
        writer.write(SUBACK + b"".join(publish(topic, 2, packet=packet) + b"ok" for topic, packet in packets))
        # A topic that is no UTF-8 reaches nobody, and is acknowledged all the same.
        writer.write(publish("t/?", 2, packet=5).replace(b"?", b"\xff") + b"ok")
        while data := await reader.read(100):
            answers.extend(data)

    async with server(talk) as port, Holder(port, protocol="3.1.1") as holder:
        await until(lambda: holder.unacknowledged == 5)
        holder.held[1].acknowledge()
        assert holder.unacknowledged == 5
        holder.held[0].acknowledge()
        await until(lambda: len(answers) >= 20)
        assert bytes(answers) == b"".join(b"\x40\x02" + packet.to_bytes(2) for packet in range(1, 6))


@PROTOCOLS
async def test_with_version_3_1_1_what_waited_for_longer_than_the_session_may_is_not_read(
    broker: PrivateBroker, protocol: str
) -> None:
    """Version 5 has the broker forget it; in a process's first connection nobody knows how long it was."""
    options = {"client_id": f"away-{protocol}", "protocol": protocol}
    async with Holder(broker.port, **options) as before, Link(broker.port, ()) as there:
        there.say("h/x", b"held", qos=1)
        await until(lambda: before.held)
        await before.broker.stop()
        there.say("h/x", b"while away", qos=1)
        there.say("t/x", b"while away", qos=1)
        assert await there.broker.flush(PATIENCE_S)
        async with Holder(broker.port, **options) as after:
            there.say("t/x", b"now", qos=1)
            await until(lambda: b"now" in after.payloads)
            # What was not acknowledged is ours, and the session of version 5 is young enough.
            assert after.held_payloads == ([b"held"] if protocol == "3.1.1" else [b"held", b"while away"])
            assert after.payloads == ([b"now"] if protocol == "3.1.1" else [b"while away", b"now"])


@pytest.mark.parametrize(("away_s", "read"), [(20.0, True), (61.0, False)])
async def test_with_version_3_1_1_what_can_not_be_older_than_the_session_may_is_read_by_the_next_run(
    broker: PrivateBroker, *, away_s: float, read: bool
) -> None:
    options = {"client_id": f"next-{read}", "protocol": "3.1.1", "session_expiry_s": 60}
    async with Holder(broker.port, **options) as before, Link(broker.port, ()) as there:
        await before.broker.stop()
        there.say("t/x", b"while away", qos=1)
        assert await there.broker.flush(PATIENCE_S)
        async with Holder(broker.port, away_s=away_s, **options) as after:
            there.say("t/x", b"now", qos=1)
            await until(lambda: b"now" in after.payloads)
            assert after.payloads == ([b"while away", b"now"] if read else [b"now"])


@PROTOCOLS
async def test_what_waited_while_a_connection_was_away_for_a_moment_is_read_with_both_versions(
    broker: PrivateBroker, protocol: str
) -> None:
    async with over_cable(broker, protocol) as (holder, cable), Link(broker.port, ()) as there:
        cable.cut()
        await until(lambda: holder.reasons)
        there.say("t/x", b"while away", qos=1)
        assert await there.broker.flush(PATIENCE_S)
        cable.mend()
        await until(lambda: holder.payloads == [b"while away"])


@pytest.mark.parametrize(("slept_s", "read"), [(30.0, True), (61.0, False)])
async def test_with_version_3_1_1_what_waited_while_the_machine_slept_for_too_long_is_not_read(
    broker: PrivateBroker, *, slept_s: float, read: bool
) -> None:
    slept = 0.0
    async with (
        Cable(broker.port) as cable,
        Holder(cable.port, protocol="3.1.1", passed=lambda: passed_s() + slept) as holder,
        Link(broker.port, ()) as there,
    ):
        slept = slept_s
        # That the connection has gone is found when the machine wakes up.
        cable.cut()
        await until(lambda: holder.reasons)
        there.say("t/x", b"while away", qos=1)
        assert await there.broker.flush(PATIENCE_S)
        cable.mend()
        await until(lambda: holder.ups > 1)
        there.say("t/x", b"now", qos=1)
        await until(lambda: b"now" in holder.payloads)
        assert holder.payloads == ([b"while away", b"now"] if read else [b"now"])


class Fates:
    """What became of messages, by their payloads, each time that it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[bytes, bool]] = []

    def message(
        self, payload: bytes, topic: str = "t/1", *, qos: int = 1, shorter: Outbound | None = None
    ) -> Outbound:
        return Outbound(
            topic,
            payload,
            qos,
            shorter=shorter,
            on_settled=lambda delivered: self.told.append((payload[:9], delivered)),
        )


@PROTOCOLS
@pytest.mark.parametrize("qos", [0, 1])
async def test_it_is_told_of_each_message_that_the_broker_has_it(
    broker: PrivateBroker, protocol: str, qos: int
) -> None:
    fates = Fates()
    async with Link(broker.port, protocol=protocol, qos=qos) as link:
        for number in range(100):
            assert link.broker.publish(fates.message(b"%d" % number, qos=qos))
            link.say("t/1", b"nobody asks", qos=qos)
        assert fates.told == []
        await until(lambda: len(fates.told) >= 100)
        await link.hears(200)
        assert fates.told == [(b"%d" % number, True) for number in range(100)]
        assert link.broker.sender._client is not None
        assert link.broker.sender._client.watched == set()


@PROTOCOLS
async def test_what_was_under_way_when_a_connection_ended_is_settled_once_by_the_next(
    broker: PrivateBroker, protocol: str
) -> None:
    fates = Fates()
    async with (
        Cable(broker.port) as cable,
        Link(broker.port, protocol=protocol) as there,
        Link(cable.port, (), protocol=protocol) as link,
    ):
        for number in range(50):
            link.broker.publish(fates.message(b"%d" % number))
        cable.cut()
        await until(lambda: not link.broker.connected)
        assert not link.broker.publish(fates.message(b"at qos 0", qos=0))
        link.broker.publish(fates.message(b"later"))
        await until(lambda: (b"at qos 0", False) in fates.told)
        cable.mend()
        await until(lambda: len(fates.told) >= 52)
        await until(lambda: b"later" in there.payloads)
        assert sorted(fates.told) == sorted(
            [*((b"%d" % number, True) for number in range(50)), (b"at qos 0", False), (b"later", True)]
        )


async def test_what_is_dropped_is_settled_as_that_before_during_and_after_a_connection(
    broker: PrivateBroker,
) -> None:
    fates = Fates()
    link = Link(broker.port, (), queue=2, wait=False)
    assert not link.broker.publish(fates.message(b"early"))
    broker.stop()
    async with link:
        await link.fails()
        for number in range(3):
            link.broker.publish(fates.message(b"%d" % number))
        await until(lambda: len(fates.told) == 2)
    link.broker.publish(fates.message(b"late"))
    await until(lambda: len(fates.told) == 5)
    assert fates.told == [(each, False) for each in (b"early", b"2", b"0", b"1", b"late")]


@PROTOCOLS
async def test_a_shorter_message_settles_the_one_that_it_stands_for(tmp_path: Path, protocol: str) -> None:
    fates = Fates()
    shorter = Outbound("t/1", b"short", 1)
    async with (
        limited(tmp_path, "max_packet_size 1000") as broker,
        Link(broker.port, protocol=protocol) as there,
        Link(broker.port, (), protocol=protocol, reconnect_max_s=0.2) as link,
    ):
        link.broker.publish(fates.message(b"too long:" + bytes(3000), shorter=shorter))
        await until(lambda: fates.told)
        link.broker.publish(fates.message(b"too long " + bytes(3000), shorter=shorter))
        link.broker.publish(fates.message(b"lost:    " + bytes(3000)))
        await until(lambda: len(fates.told) == 3)
        assert there.payloads == [b"short"] * 2
        assert sorted(fates.told) == [(b"lost:    ", False), (b"too long ", True), (b"too long:", True)]


async def test_what_the_broker_refuses_with_a_word_is_settled_as_dropped(tmp_path: Path) -> None:
    fates = Fates()
    async with limited(tmp_path, "message_size_limit 1000") as broker, Link(broker.port) as link:
        link.broker.publish(fates.message(b"long:    " + bytes(3000), shorter=Outbound("t/1", b"short", 1)))
        link.broker.publish(fates.message(b"too long:" + bytes(3000)))
        await until(lambda: len(fates.told) == 2)
        assert sorted(fates.told) == [(b"long:    ", True), (b"too long:", False)]


@PROTOCOLS
@pytest.mark.parametrize("qos", [0, 1])
async def test_what_ends_the_connection_is_settled_as_dropped_and_all_else_as_delivered(
    broker: PrivateBroker, protocol: str, qos: int
) -> None:
    fates = Fates()
    async with guarded(broker.port, lambda topic, _: topic == "reply/evil", protocol) as (_, link, there):
        for number in range(20):
            link.broker.publish(fates.message(b"%d" % number))
        link.broker.publish(fates.message(b"evil", "reply/evil", qos=qos))
        for number in range(20, 40):
            link.broker.publish(fates.message(b"%d" % number))
        await until(lambda: len(fates.told) == 41 and link.broker.connected)
        expected = [(b"%d" % number, True) for number in range(40)]
        # At QoS 0 nothing tells that it was what ended the connection, which it has left on time.
        assert sorted(fates.told) == sorted([*expected, (b"evil", qos == 0)])
        await until(lambda: {each for each, _ in expected} <= set(there.payloads))
