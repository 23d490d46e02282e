"""The whole daemon in one process: what only shows when all rooms are connected."""

from __future__ import annotations

import pytest

from edgeassist.gateways.homeassistant.discovery import Discovery
from edgeassist.protocol.state import Availability
from edgeassist.sandbox import PrivateBroker
from tests.conftest import AsyncConnect
from tests.integration.house import running

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
