"""Puts a stage together: broker, daemons, their settings, and what the faults need."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from edgeassist.sandbox import HOST, PrivateBroker, free_port
from edgeassist.settings.schema import AdmissionSettings
from tests.campaign.disk import small_disk
from tests.campaign.faults import FAULTS, Need
from tests.campaign.faults.freeze import KEEPALIVE_S, STALL_S
from tests.campaign.faults.kill import ADOPT_S
from tests.campaign.keeper import Keeper
from tests.campaign.outcome import Options
from tests.campaign.packets import Packets
from tests.campaign.relay import Relay
from tests.campaign.stage import SESSIONS, Stage

# The fleet's name, where there is one.
GROUP = "campaign"


@asynccontextmanager
async def staged(options: Options) -> AsyncIterator[Stage]:
    """Start a broker and the daemons, with what the faults need between them."""
    folder = options.folder
    needs = frozenset(need for name in options.faults for need in FAULTS[name].needs)
    async with contextlib.AsyncExitStack() as stack:
        if Need.SMALL_DISK in needs:
            stack.enter_context(small_disk(folder / "state"))
        lines, packets = ["allow_anonymous true"], None
        if Need.KEEPING in needs:
            # Written down as often as it can be.
            lines += ["persistence true", f"persistence_location {folder}/", f"persistence_file {SESSIONS}"]
            lines += ["autosave_on_changes true", "autosave_interval 1"]
        if Need.PACKETS in needs:
            packets = await stack.enter_async_context(Packets(options.seed))
            far_port = free_port()
            lines.append(f"listener {far_port} {packets.here}")
        broker = stack.enter_context(PrivateBroker(folder, lines))
        host, port = (HOST, broker.port) if packets is None else (packets.here, far_port)
        near, far = None, None
        if Need.RELAYS in needs:
            near, far = Relay(broker.port), Relay(broker.port, host)
            for relay in (near, far):
                await relay.start()
                stack.push_async_callback(relay.stop)
            port = far.port
        environ = _environ(options, host, port)
        boxes = [_box(options, index, environ, packets) for index in range(options.boxes)]
        stage = Stage(folder, broker, boxes)
        stage.packets, stage.clients_relay, stage.daemon_relay = packets, near, far
        for box in boxes:
            box.start()
            stack.push_async_callback(box.stop)
        yield stage


def _box(options: Options, index: int, environ: dict[str, str], packets: Packets | None) -> Keeper:
    folder = options.folder / f"more{index}" if index else options.folder
    folder.mkdir(exist_ok=True)
    name = f"box{index or ''}"
    return Keeper(name, folder, environ, () if packets is None else packets.prefix)


def _environ(options: Options, host: str, port: int) -> dict[str, str]:
    settings: dict[str, object] = {
        "mqtt__host": host,
        "mqtt__port": port,
        "mqtt__reconnect_max_s": 1,
        "model__backend": "scripted",
        "engine__slots": 4,
        "engine__restart_max_s": 1,
        "admission__queue": 2 * options.clients,
    }
    if "durable" in AdmissionSettings.model_fields:
        settings["admission__durable"] = str(options.durable).lower()
    if options.boxes > 1:
        settings |= {"fleet__group": GROUP, "fleet__adopt_s": ADOPT_S}
    if _hangs(options):
        settings |= {"engine__stall_timeout_s": STALL_S, "mqtt__keepalive_s": KEEPALIVE_S}
    settings |= options.settings
    return {f"EDGEASSIST_{key.upper()}": str(value) for key, value in settings.items()}


def is_durable(options: Options) -> bool:
    """Whether the daemon will be: an older one knows no such setting."""
    return options.durable and "durable" in AdmissionSettings.model_fields


def keepalive_s(options: Options) -> int:
    """Return the clients' keep-alive: short where somebody hangs for longer."""
    return KEEPALIVE_S if _hangs(options) else 30


def _hangs(options: Options) -> bool:
    return any(name.startswith("hang") for name in options.faults)
