"""A whole daemon in the test's own process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from edgeassist.client.requester import Requester
from edgeassist.daemon.app import App
from edgeassist.sandbox import HOST, PrivateBroker
from edgeassist.settings import load_settings
from tests.conftest import AsyncConnect
from tests.patience import PATIENCE_S


@asynccontextmanager
async def running(
    broker: PrivateBroker, connect: AsyncConnect, **more: str
) -> AsyncIterator[tuple[App, Requester]]:
    """Run a daemon in this process, with more settings; yield it with a client over MQTT."""
    settings = {
        "DEVICE__NAME": "box",
        "MQTT__HOST": HOST,
        "MQTT__PORT": str(broker.port),
        "MODEL__BACKEND": "scripted",
        "ENGINE__SLOTS": "2",
        # An echo that repeats itself would be guessed, and be over at once.
        "ENGINE__SPECULATE": "false",
        **more,
    }
    loaded = load_settings(environ={f"EDGEASSIST_{key}": value for key, value in settings.items()})
    app = App(loaded, lambda: loaded)
    task = asyncio.create_task(app.run(), name="daemon")
    try:
        client = await connect()
        assert await client.wait_health(frozenset({"ready"}), PATIENCE_S) is not None
        yield app, client
    finally:
        app.stop()
        async with asyncio.timeout(PATIENCE_S):
            await task
