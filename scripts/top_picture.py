"""Draws docs/top.svg: what `edgeassist top` shows of a device that several clients ask."""

from __future__ import annotations

import asyncio
import itertools
import sys
import tempfile
import time
from pathlib import Path

from demo_picture import draw
from rich.text import Text

from edgeassist.broker import BrokerOptions
from edgeassist.client import AsyncClient
from edgeassist.errors import EdgeAssistError
from edgeassist.models.builtin import TINY
from edgeassist.protocol.topics import Topics
from edgeassist.sandbox import HOST, PrivateBroker, PrivateDaemon
from edgeassist.sight.listening import Sight
from edgeassist.top.page import View, page

PICTURE = Path(__file__).parents[1] / "docs/top.svg"
COLUMNS, LINES = 96, 19
DEVICE = "kitchen-pi"
CLIENTS = ("hall", "garden", "nursery", "node-red", "watcher")
# So long they ask, and the device says each so often what it has done.
ASKED_S, TELEMETRY_S = 60.0, 2.0
READY_S = 120.0


async def see(port: int) -> list[Text]:
    """Return the picture, after the clients have asked for a while."""
    topics = Topics("edgeassist", DEVICE)
    async with Sight(BrokerOptions(HOST, port, client_id="picture"), [topics]) as sight:
        if await sight.wait_health(frozenset({"ready"}), READY_S) is None:
            raise TimeoutError("the device did not get ready")
        asking = [asyncio.create_task(_ask(port, name), name=name) for name in CLIENTS]
        until = time.monotonic() + ASKED_S
        while time.monotonic() < until:
            await sight.list_requests(sight.boxes[0])
            await asyncio.sleep(1.0)
        lines = page(View(), sight.boxes, width=COLUMNS, height=LINES, now=time.monotonic())
        for each in asking:
            each.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    return lines


async def _ask(port: int, name: str) -> None:
    async with AsyncClient(HOST, port, device=DEVICE, name=name) as client:
        for number in itertools.count():
            try:
                await client.ask(f"{number}. What should the {name} know about the weather?", max_tokens=100)
            except EdgeAssistError:
                await asyncio.sleep(1.0)


def main() -> None:
    """Draw it, with the model of the first argument, or the built-in one."""
    with tempfile.TemporaryDirectory() as name, PrivateBroker(Path(name)) as broker:
        environ = {
            "EDGEASSIST_DEVICE__NAME": DEVICE,
            "EDGEASSIST_MQTT__HOST": HOST,
            "EDGEASSIST_MQTT__PORT": str(broker.port),
            "EDGEASSIST_MODEL__PATH": str(*sys.argv[1:2] or [TINY]),
            "EDGEASSIST_DAEMON__TELEMETRY_S": str(TELEMETRY_S),
        }
        with PrivateDaemon(Path(name), environ):
            lines = asyncio.run(see(broker.port))
    PICTURE.write_text(draw(Text("\n").join(lines), "edgeassist top", COLUMNS), encoding="utf-8")
    print(f"{PICTURE.name}: {PICTURE.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
