"""Conversation agents in a real Home Assistant: its own, ours with a model, core's llama.cpp integration."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from edgeassist.client.requester import Requester
from tests.conftest import TOPICS, environ_of, options_for
from tests.home_assistant.driver import Driver
from tests.patience import PATIENCE_S
from tests.preloaded import PrivateDaemon

OWN = "conversation.home_assistant"


@asynccontextmanager
async def edgeassist(house: Driver, broker: int, folder: Path, **settings: Any) -> AsyncIterator[str]:
    """Run a daemon, add it as Home Assistant discovers it, and give its agent's entity.

    Args:
        house: The Home Assistant.
        broker: The broker's port.
        folder: For the daemon's files.
        settings: As for `tests.conftest.environ_of`: `model__path=…`.

    Raises:
        RuntimeError: The daemon can't answer; the text is its log.
    """
    folder.mkdir(exist_ok=True)
    with PrivateDaemon(folder, environ_of(broker, **settings)) as daemon:
        async with Requester(options_for(broker), TOPICS, name="waits") as client:
            if await client.wait_health(frozenset({"ready"}), PATIENCE_S) is None:
                raise RuntimeError(daemon.log.read_text()[-3000:])
        added = await house.submit(await house.discovered("edgeassist"))
        agent = await agent_of(house, added["result"]["entry_id"])
        try:
            yield agent
        finally:
            await house.remove(added["result"]["entry_id"])


@asynccontextmanager
async def llama_cpp(house: Driver, url: str) -> AsyncIterator[str]:
    """Add a running llama-server by core's own integration, and give its agent's entity.

    Args:
        house: The Home Assistant, 2026.11 or newer.
        url: Such as `http://127.0.0.1:8080/v1`.
    """
    flow = await house.submit(await house.begin("llama_cpp"), base_url=url)
    models = flow["data_schema"][0]["selector"]["select"]["options"]
    added = await house.submit(flow, chat_model=models[0])
    agent = await agent_of(house, added["result"]["entry_id"])
    try:
        yield agent
    finally:
        await house.remove(added["result"]["entry_id"])


async def agent_of(house: Driver, entry: str) -> str:
    """Wait until an entry has an agent that can be asked, and return its entity."""
    async with asyncio.timeout(PATIENCE_S), house.subscribe("subscribe_events") as events:
        while True:
            states = await house.states()
            for entity, known in (await house.entities()).items():
                is_agent = known["config_entry_id"] == entry and entity.startswith("conversation.")
                if is_agent and states.get(entity, {}).get("state", "unavailable") != "unavailable":
                    return entity
            await events.next()
