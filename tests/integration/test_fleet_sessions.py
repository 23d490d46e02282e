"""What becomes of a box's session: of a dead one that comes back, and at brokers that don't share."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal

import pytest

from edgeassist.broker import Broker
from edgeassist.fleet.envelope import Envelope
from edgeassist.gateways.fleet.adopting import Adoption
from edgeassist.gateways.fleet.links import Session
from edgeassist.protocol.fleet import BoxCondition
from edgeassist.protocol.packets import Inbound, Outbound, Subscription
from edgeassist.sandbox import PrivateBroker
from tests.conftest import options_for
from tests.integration.fleet import TOPICS, FleetHouse, Watcher
from tests.patience import PATIENCE_S

Protocol = Literal["5", "3.1.1"]
TAKEN = True
protocols = pytest.mark.parametrize("protocol", ["5", "3.1.1"])


class Bench:
    """Connections to a session of a box that is gone, and one of a client."""

    def __init__(self, port: int, protocol: Protocol, stack: AsyncExitStack) -> None:
        self._port = port
        self._protocol = protocol
        self._stack = stack
        self.session = Session("edgeassist-dead-fleet", 600, 100)

    def connect(
        self, session: Session, *, on_up: Callable[[], None], on_down: Callable[[str], None]
    ) -> Broker:
        options = options_for(
            self._port,
            client_id=session.client_id,
            session_expiry_s=session.expiry_s,
            receive_maximum=session.receive_maximum,
            takes_stale=True,
            ordered_acknowledgements=False,
            protocol=self._protocol,
        )
        return Broker(options, on_up=on_up, on_down=on_down)

    async def box(self) -> tuple[Broker, list[Inbound]]:
        """Return the box's own connection, which acknowledges nothing, and what it hears."""
        up = asyncio.Event()
        link = self.connect(self.session, on_up=up.set, on_down=lambda _reason: None)
        heard: list[Inbound] = []
        for each in (*TOPICS.shared_filters, TOPICS.hand("dead")):
            link.subscribe(Subscription(each, qos=1, held=True), heard.append)
        link.start()
        self._stack.push_async_callback(link.stop)
        async with asyncio.timeout(PATIENCE_S):
            await up.wait()
        return link, heard

    async def client(self) -> Broker:
        up = asyncio.Event()
        client = Broker(options_for(self._port, protocol=self._protocol), on_up=up.set)
        client.start()
        self._stack.push_async_callback(client.stop)
        async with asyncio.timeout(PATIENCE_S):
            await up.wait()
        return client

    def adoption(self, hand_on: Callable[[Envelope, Callable[[bool], None]], None]) -> Adoption:
        return Adoption(TOPICS, "dead", self.session, "here", connect=self.connect, hand_on=hand_on)


async def settled(client: Broker, *messages: Outbound) -> None:
    """Publish, and wait until the broker has it."""
    for message in messages:
        client.publish(message)
    assert await client.flush(PATIENCE_S)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.01)


@protocols
async def test_what_stood_in_a_dead_box_s_session_is_handed_on_and_the_session_is_left(
    broker: PrivateBroker, protocol: Protocol
) -> None:
    async with AsyncExitStack() as stack:
        bench = Bench(broker.port, protocol, stack)
        dead, heard = await bench.box()
        client = await bench.client()
        inner = Envelope("other", Inbound(TOPICS.prompt("k"), b"handed"), 2, id="h")
        await settled(
            client,
            Outbound(TOPICS.prompt(), b"on its way", qos=1, correlation=b"\0"),
            Outbound(TOPICS.hand("dead"), inner.encode(), qos=1),
        )
        await until(lambda: len(heard) == 2)
        await dead.stop()
        await settled(client, Outbound(TOPICS.decide("k"), b"waits", qos=1))
        moved: list[Envelope] = []

        def hand_on(envelope: Envelope, handed: Callable[[bool], None]) -> None:
            moved.append(envelope)
            handed(TAKEN)

        adoption = bench.adoption(hand_on)
        async with asyncio.timeout(PATIENCE_S):
            assert await adoption.run()
        assert adoption.count == len(moved) == 3
        by_payload = {each.message.payload: each for each in moved}
        assert (by_payload[b"handed"].hops, by_payload[b"handed"].id) == (3, "h")
        assert by_payload[b"waits"].message.topic == TOPICS.decide("k")
        if protocol == "5":
            assert by_payload[b"on its way"].message.correlation == b"\0"
        # Nothing more comes for it.
        await settled(client, Outbound(TOPICS.prompt(), b"later", qos=1))
        async with asyncio.timeout(PATIENCE_S):
            assert await bench.adoption(hand_on).run()
        assert len(moved) == 3


@protocols
async def test_a_box_that_comes_back_gets_its_session_and_the_adopter_gives_up(
    broker: PrivateBroker, protocol: Protocol
) -> None:
    async with AsyncExitStack() as stack:
        bench = Bench(broker.port, protocol, stack)
        dead, heard = await bench.box()
        client = await bench.client()
        await settled(client, *(Outbound(TOPICS.prompt(), b"%d" % number, qos=1) for number in range(4)))
        await until(lambda: len(heard) == 4)
        await dead.stop()
        moved: list[bytes] = []

        def hand_on(envelope: Envelope, handed: Callable[[bool], None]) -> None:
            moved.append(envelope.message.payload)
            if len(moved) <= 2:  # the others' hand-over takes for ever
                handed(TAKEN)

        adopting = asyncio.create_task(bench.adoption(hand_on).run())
        await until(lambda: len(moved) == 4)
        _, again = await bench.box()
        async with asyncio.timeout(PATIENCE_S):
            assert await adopting is False
        left = {b"0", b"1", b"2", b"3"} - set(moved[:2])
        await until(lambda: left <= {message.payload for message in again})
        assert all(message.redelivered for message in again)
        await settled(client, Outbound(TOPICS.prompt(), b"new", qos=1))
        await until(lambda: again[-1].payload == b"new")


async def test_a_broker_that_grants_shared_subscriptions_and_delivers_nothing_is_found_out(
    tmp_path: Path,
) -> None:
    """Mosquitto does that where the list forbids to read; others do it by themselves."""
    rights = tmp_path / "rights"
    denied = "\n".join(f"topic deny {each}" for each in (f"{TOPICS.root}/check/#", TOPICS.prompt()))
    rights.write_text(f"topic readwrite #\n{denied}\n")
    with FleetHouse(tmp_path, broker=("allow_anonymous true", f"acl_file {rights}")) as house:
        daemon = house.box("a")
        async with AsyncExitStack() as stack:
            client = await house.watcher(stack)
            await client.until(lambda: "shared" in (((a := client.boxes.get("a")) and a.reason) or ""))
            assert client.boxes["a"].state is BoxCondition.DRAINING
            own = await stack.enter_async_context(Watcher(house.broker.port, root="edgeassist/a"))
            own.say("edgeassist/a/prompt", '{"id": "own", "prompt": "hello"}')
            assert (await own.end("own"))["text"] == "hello"
            lines = daemon.log.read_text().splitlines()
            assert sum("ERROR" in line and "shared subscriptions" in line for line in lines) == 1
