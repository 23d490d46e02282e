"""Brokers that take one version of MQTT only, and what looks like one and is none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any, Protocol

import pytest

from edgeassist.broker import connection
from edgeassist.broker.versions import greets
from edgeassist.sandbox import PrivateBroker
from tests.conftest import options_for
from tests.integration.link import Cable, Link, until
from tests.patience import PATIENCE_S

OLDER, NEWER = 4, 5
REFUSED = b"\x20\x02\x00\x01"  # CONNACK of MQTT 3.1.1: unacceptable protocol version


class Gate(Cable):
    """A cable that asks `passes` for every CONNECT, by the version in it; others get `answer` and an end."""

    def __init__(self, port: int, passes: Callable[[int], bool], answer: bytes | None = b"") -> None:
        super().__init__(port)
        self.passes = passes
        self.asked: list[int] = []
        self._answer = answer

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begin = await reader.read(100)
        if not begin:
            writer.close()
            return
        version = begin[begin.index(b"MQTT") + len(b"MQTT")]
        self.asked.append(version)
        if self.passes(version):
            await super()._carry(Rewound(begin, reader), writer)
        elif self._answer is None:
            await reader.read()
            writer.close()
        else:
            writer.write(self._answer)
            writer.close()


class Rewound(asyncio.StreamReader):
    """A reader that gives what was read already once more."""

    def __init__(self, begin: bytes, rest: asyncio.StreamReader) -> None:
        super().__init__()
        self._begin = begin
        self._rest = rest

    async def read(self, n: int = -1) -> bytes:
        begin, self._begin = self._begin, b""
        return begin or await self._rest.read(n)


class Open(Protocol):
    async def __call__(self, passes: Callable[[int], bool], answer: bytes | None = b"") -> Gate: ...


@pytest.fixture
async def gate(broker: PrivateBroker) -> AsyncIterator[Open]:
    """Open a gate before a real Mosquitto."""
    async with AsyncExitStack() as stack:

        async def opened(passes: Callable[[int], bool], answer: bytes | None = b"") -> Gate:
            door = Gate(broker.port, passes, answer)
            await stack.enter_async_context(door)
            return door

        yield opened


def only(version: int) -> Callable[[int], bool]:
    return lambda asked: asked == version


@pytest.mark.parametrize("answer", [b"", REFUSED, b"\x20\x02\x00\x00", b"\x20\x02\x00\x05"])
async def test_a_broker_that_takes_only_3_1_1_is_spoken_to_in_3_1_1_and_the_setting_is_named(
    gate: Open, caplog: pytest.LogCaptureFixture, answer: bytes
) -> None:
    door = await gate(only(OLDER), answer)
    async with Link(door.port) as link:
        assert link.reasons == []
        link.say("t/1", b"hello", qos=1)
        await link.hears(1)
        assert link.broker.protocol == "3.1.1"
    assert [record.message for record in caplog.records if 'set mqtt.protocol to "3.1.1"' in record.message]


async def test_a_broker_that_takes_only_5_is_spoken_to_in_5(gate: Open) -> None:
    door = await gate(only(NEWER), REFUSED)
    async with Link(door.port, protocol="3.1.1") as link:
        assert link.broker.protocol == "5"


async def test_a_broker_that_swallows_the_newer_version_is_given_up_in_time(
    gate: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT_S", PATIENCE_S)
    monkeypatch.setattr("edgeassist.broker.versions.SILENT_S", 0.2)
    monkeypatch.setattr("edgeassist.broker.versions.STILL_SILENT_S", 0.2)
    door = await gate(only(OLDER), None)
    async with Link(door.port, keepalive_s=3600) as link:
        assert link.broker.protocol == "3.1.1"
    assert door.asked == [NEWER, OLDER, OLDER]


async def test_a_broker_that_is_slow_to_greet_is_not_taken_for_an_old_one(
    gate: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeassist.broker.versions.SILENT_S", 0.0)
    monkeypatch.setattr("edgeassist.broker.versions.STILL_SILENT_S", PATIENCE_S)
    door = await gate(lambda _version: True)
    async with Link(door.port) as link:
        assert link.broker.protocol == "5"


async def test_a_listener_that_never_greets_is_a_reason_however_long_the_keep_alive(
    gate: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT_S", 0.3)
    monkeypatch.setattr("edgeassist.broker.versions.GREET_S", 0.3)
    door = await gate(lambda _version: False, None)
    async with Link(door.port, wait=False, keepalive_s=3600) as link:
        reason = await link.fails()
    assert "never answers" in reason
    assert "mqtt.protocol" in reason


async def test_what_stands_before_a_broker_that_is_down_does_not_change_the_version(gate: Open) -> None:
    up = False
    door = await gate(lambda _version: up)
    async with Link(door.port, wait=False) as link:
        await until(lambda: len(link.reasons) >= 2)
        assert "without a word" in link.reason
        up = True
        await until(lambda: link.ups)
        assert link.broker.protocol == "5"


async def test_a_broker_that_comes_up_between_two_attempts_is_not_taken_for_an_old_one(gate: Open) -> None:
    door = await gate(lambda _version: len(door.asked) > 1)
    async with Link(door.port) as link:
        assert link.broker.protocol == "5"
    assert door.asked[:3] == [NEWER, OLDER, NEWER]


async def test_the_older_version_is_kept_with_all_that_waits_until_the_broker_takes_the_newer(
    gate: Open,
) -> None:
    door = await gate(only(OLDER), REFUSED)
    async with Link(door.port) as link:
        door.cut()
        await link.fails()
        assert link.say("t/1", b"said while away", qos=1)
        door.mend()
        await link.hears(1)
        assert (link.ups, link.broker.protocol) == (2, "3.1.1")
        door.passes = lambda _version: True
        door.cut()
        door.mend()
        await until(lambda: link.ups == 3)
        assert link.broker.protocol == "5"


async def test_trying_a_version_leaves_a_session_of_ours_alone(broker: PrivateBroker) -> None:
    options: dict[str, Any] = {"client_id": "box", "session_expiry_s": 60}
    async with Link(broker.port, **options):
        pass
    async with Link(broker.port) as other:
        other.say("t/1", b"for later", qos=1)
        assert await other.broker.flush(5)
    for protocol in ("5", "3.1.1"):
        assert await greets(options_for(broker.port, **options, protocol=protocol))
    async with Link(broker.port, **options) as link:
        await link.hears(1)
        assert link.payloads == [b"for later"]


async def test_a_stop_while_versions_are_tried_ends_at_once(
    gate: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT_S", 0.2)
    door = await gate(lambda _version: False, None)
    async with Link(door.port, wait=False) as link:
        await until(lambda: OLDER in door.asked)
        async with asyncio.timeout(2):
            await link.broker.stop()
