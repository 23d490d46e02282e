"""`edgeassist status`: the device's state, as a table."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from edgeassist.cli.connect import connect
from edgeassist.cli.consoles import Console
from edgeassist.client.reading import read_document
from edgeassist.errors import ExitStatus
from edgeassist.protocol.state import Availability
from edgeassist.settings import load_settings
from edgeassist.sight import words
from edgeassist.sight.reading import HealthSeen, InfoSeen, ModelSeen, TelemetrySeen, WatchSeen
from edgeassist.sight.words import NEVER_SEEN, NO_ANSWER
from edgeassist.wiring import topics_of


def status(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as one JSON object.")] = False,
) -> None:
    """Show the state of the device: model, load, speed, memory, what is known from watches.

    Reads the daemon's retained messages from the broker. Exit status 0: online and able to answer; 69: not.
    """
    loaded = load_settings(context.obj)
    topics = topics_of(loaded.settings)

    async def read() -> tuple[Availability | None, Availability | None, dict[str, bytes | None]]:
        async with connect(loaded.settings) as client:
            there = await client.availability()
            said = await client.said_availability(0)
            payloads = {
                name: await client.state(topic, wait_s=1.0)
                for name, topic in (
                    ("health", topics.health),
                    ("telemetry", topics.telemetry),
                    ("info", topics.info),
                )
            }
            known = await client.watches(_watches(payloads), wait_s=1.0)
            return there, said, payloads | {f"watch {name}": payload for name, payload in known.items()}

    there, said, payloads = asyncio.run(read())
    if as_json:
        print(json.dumps(_documents(there, payloads)))
    else:
        Console().print(table_of(topics.root, there, said, payloads))
    health = HealthSeen.read(payloads["health"])
    able = there is Availability.ONLINE and health is not None and health.able
    raise typer.Exit(ExitStatus.OK if able else ExitStatus.UNAVAILABLE)


def _watches(payloads: Mapping[str, bytes | None]) -> list[str]:
    info = InfoSeen.read(payloads["info"])
    return [] if info is None else info.watches


def _documents(there: Availability | None, payloads: Mapping[str, bytes | None]) -> dict[str, Any]:
    """Return all of it as it came, whatever this version makes of it."""
    documents: dict[str, Any] = {
        name: read_document(payloads[name]) for name in ("health", "telemetry", "info")
    }
    watches = {name: read_document(payloads.get(f"watch {name}")) for name in _watches(payloads)}
    return {"status": there, **documents, "watches": watches}


def table_of(
    root: str, there: Availability | None, said: Availability | None, payloads: Mapping[str, bytes | None]
) -> Table:
    """Return what a device says of itself, as a table.

    Args:
        root: The prefix of its topics.
        there: Whether it is there.
        said: What the broker keeps of that.
        payloads: Its `health`, `telemetry`, `info`, and what is known from each watch (`watch NAME`).
    """
    health = HealthSeen.read(payloads["health"])
    telemetry = TelemetrySeen.read(payloads["telemetry"]) or TelemetrySeen()
    info = InfoSeen.read(payloads["info"]) or InfoSeen()
    table = Table(title=escape(root), show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column()
    online = there is Availability.ONLINE
    shown = there.value if there else NEVER_SEEN
    table.add_row("status", f"[{'green' if online else 'red'}]{shown}")
    if health is None:
        return table
    if online and said is not Availability.ONLINE:
        kept = "keeps no status" if said is None else f"keeps {said.value!r}"
        table.add_row("", f"it answers, though the broker {kept} of it (edgeassist doctor)")
    if not online:
        table.add_row("", "the rest is what it said last")
    for name, told in _rows(health, telemetry, info):
        table.add_row(name, escape(told))
    for name in info.watches:
        watch = WatchSeen.read(payloads.get(f"watch {name}"))
        table.add_row(escape(f"watch {name}"), escape(words.known(watch)))
    table.add_row("memory", words.memory(health))
    table.add_row("threads", escape(health.threads_reason or "unknown"))
    table.add_row("CPU", _processor(health))
    # A daemon that was not restarted since an upgrade sends fewer fields.
    for name, also in (("free", words.free(health)), ("work waited", words.waits(health))):
        if also is not None:
            table.add_row(name, also)
    if health.durable is not None:
        why = escape(health.undurable_reason or "unknown")
        table.add_row("outlives a restart", "yes" if health.durable else f"[yellow]no:[/] {why}")
    table.add_row("up", escape(f"{health.uptime_s} s, version {health.version}"))
    table.add_row("engine restarts", str(health.engine_restarts))
    return table


def _rows(health: HealthSeen, telemetry: TelemetrySeen, info: InfoSeen) -> Iterator[tuple[str, str]]:
    """Yield what it does, and how fast."""
    yield "state", f"{health.state or 'unknown'}" + (f": {health.reason}" if health.reason else "")
    model = info.model or ModelSeen()
    yield "model", f"{health.model or 'none'}  {model.quantisation or ''}  context {model.context or '?'}"
    yield "requests", f"{health.running or 0} running, {health.queued or 0} waiting"
    failed = sum(telemetry.failures.values())
    yield "since start", f"{telemetry.done or 0} answered, {failed} failed or refused"
    yield "first token", words.spread(telemetry.ttft_ms, "ms") or NO_ANSWER
    yield "decode", words.spread(telemetry.decode_tokens_per_s, "tokens/s") or NO_ANSWER
    if telemetry.decisions:
        took = words.spread(telemetry.decision_ms, "ms") or NO_ANSWER
        yield "decisions", f"{telemetry.decisions} answered, {took}"


def _processor(health: HealthSeen) -> str:
    """Describe the processor: temperature, frequency, throttling."""
    now, before = words.strains(health)
    told = [each for each in (words.processor(health),) if each]
    told += [f"[red]{each}[/]" for each in now]
    told += [f"[yellow]{each} since the start, not now[/]" for each in before]
    return ", ".join(told) or "no sensor"
