"""`edgeassist status`: the device's state, as a table."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edgeassist.cli.connect import connect
from edgeassist.client.reading import read_state
from edgeassist.errors import ExitStatus
from edgeassist.protocol.state import Availability, Health, Info, Telemetry
from edgeassist.protocol.values import NAME_PATTERN
from edgeassist.protocol.watches import WatchState
from edgeassist.settings import load_settings
from edgeassist.wiring import topics_of

_MIB = 1 << 20
_UNKNOWN = "unknown"
_NAME = re.compile(NAME_PATTERN)


def status(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as one JSON object.")] = False,
) -> None:
    """Show the state of the device: model, load, speed, memory, what is known from watches.

    Reads the daemon's retained messages from the broker. Exit status 0: online and able to answer; 69: not.
    """
    loaded = load_settings(context.obj)
    topics = topics_of(loaded.settings)

    async def read() -> tuple[Availability | None, Availability | None, dict[str, dict[str, Any]]]:
        async with connect(loaded.settings) as client:
            there = await client.availability()
            said = await client.said_availability(0)
            documents = {}
            for name, topic, kind in (
                ("health", topics.health, Health),
                ("telemetry", topics.telemetry, Telemetry),
                ("info", topics.info, Info),
            ):
                documents[name] = read_state(kind, await client.state(topic, wait_s=1.0))
            names = watches_of(documents["info"])
            known = await client.watches(names, wait_s=1.0)
            documents["watches"] = {name: read_state(WatchState, known.get(name)) for name in names}
            return there, said, documents

    there, said, documents = asyncio.run(read())
    if as_json:
        print(json.dumps({"status": there, **documents}))
    else:
        Console().print(table_of(topics.root, there, said, documents))
    able = there is Availability.ONLINE and documents["health"].get("state") in {"ready", "busy"}
    raise typer.Exit(ExitStatus.OK if able else ExitStatus.UNAVAILABLE)


def table_of(
    root: str, there: Availability | None, said: Availability | None, documents: dict[str, dict[str, Any]]
) -> Table:
    """Return the table of what a device says of itself; each of the documents as `read_state` gives it.

    Args:
        root: The device's topic.
        there: Whether it is there.
        said: What the broker keeps of that.
        documents: `health`, `telemetry`, `info`, and `watches` by name.
    """
    health, telemetry, info = documents["health"], documents["telemetry"], documents["info"]
    table = Table(title=root, show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column()
    online = there is Availability.ONLINE
    shown = there.value if there else "never seen: is its daemon running, and is this its broker?"
    table.add_row("status", f"[{'green' if online else 'red'}]{shown}")
    if not health:
        return table
    if online and said is not Availability.ONLINE:
        kept = "keeps no status" if said is None else f"keeps {said.value!r}"
        table.add_row("", f"it answers, though the broker {kept} of it (edgeassist doctor)")
    if not online:
        table.add_row("", "the rest is what it said last")
    reason = f": {health['reason']}" if health.get("reason") else ""
    table.add_row("state", escape(f"{health.get('state', _UNKNOWN)}{reason}"))
    model = info.get("model") or {}
    quantisation, context = model.get("quantisation", ""), model.get("context", "?")
    described = f"{health.get('model') or 'none'}  {quantisation}  context {context}"
    table.add_row("model", escape(described))
    running, queued = (health.get(name, _UNKNOWN) for name in ("running", "queued"))
    table.add_row("requests", f"{running} running, {queued} waiting")
    errors = sum(telemetry.get("errors", {}).values())
    table.add_row("since start", f"{telemetry.get('done', 0)} answered, {errors} failed or refused")
    table.add_row("first token", _spread(telemetry, "ttft_ms", "ms"))
    table.add_row("decode", _spread(telemetry, "decode_tokens_per_s", "tokens/s"))
    if telemetry.get("decisions"):
        table.add_row(
            "decisions", f"{telemetry['decisions']} answered, {_spread(telemetry, 'decision_ms', 'ms')}"
        )
    for name, watch in documents["watches"].items():
        table.add_row(f"watch {name}", escape(_known(watch)))
    memory = [health.get(f"{name}_memory_bytes") for name in ("daemon", "engine")]
    daemon, engine = (f"{each // _MIB} MiB" if each else _UNKNOWN for each in memory)
    table.add_row("memory", f"daemon {daemon}, engine {engine}")
    table.add_row("threads", escape(health.get("threads_reason", _UNKNOWN)))
    table.add_row("CPU", _processor(health))
    # A daemon that was not restarted since an upgrade sends fewer fields.
    free = {"memory": health.get("memory_available_bytes"), "disk": health.get("disk_free_bytes")}
    if any(free.values()):
        table.add_row("free", ", ".join(f"{name} {size // _MIB} MiB" for name, size in free.items() if size))
    pressure = {name: health.get(f"{name}_pressure") for name in ("cpu", "memory", "io")}
    if any(share is not None for share in pressure.values()):
        shares = (f"{name} {share:.0f} %" for name, share in pressure.items() if share is not None)
        table.add_row("work waited", f"{', '.join(shares)} of the last 10 s")
    if "durable" in health:
        why = escape(health.get("undurable_reason") or _UNKNOWN)
        table.add_row("outlives a restart", "yes" if health["durable"] else f"[yellow]no:[/] {why}")
    up, version = (health.get(name, _UNKNOWN) for name in ("uptime_s", "version"))
    table.add_row("up", escape(f"{up} s, version {version}"))
    table.add_row("engine restarts", str(health.get("engine_restarts", _UNKNOWN)))
    return table


def watches_of(info: dict[str, Any]) -> list[str]:
    """Return the names of its watches, by its settings."""
    watches = info.get("settings", {}).get("watch")
    names = (
        [each.get("name") for each in watches if isinstance(each, dict)] if isinstance(watches, list) else []
    )
    return [name for name in names if isinstance(name, str) and _NAME.fullmatch(name)]


def _known(watch: dict[str, Any]) -> str:
    """Describe what is known from a watch."""
    if not watch:
        return "nothing is said of it"
    told = []
    for name, answer in watch.get("answers", {}).items():
        choice = answer.get("choice")
        share = (answer.get("probabilities") or {}).get(choice)
        told.append(f"{name} {choice or 'unknown'}" + ("" if share is None else f" ({share:.0%})"))
    return ", ".join(told) + (f": {watch['reason']}" if watch.get("reason") else "")


def _processor(health: dict[str, Any]) -> str:
    """Describe the processor: temperature, frequency, throttling."""
    told = []
    if health.get("cpu_temperature_c") is not None:
        told.append(f"{health['cpu_temperature_c']:.1f} °C")
    if health.get("cpu_frequency_mhz") is not None:
        told.append(f"{health['cpu_frequency_mhz']} MHz")
    for flag in ("throttled", "under_voltage", "frequency_capped", "soft_temperature_limit"):
        name = flag.replace("_", " ")
        if health.get(flag):
            told.append(f"[red]{name}[/]")
        elif health.get(f"{flag}_since_start"):
            told.append(f"[yellow]{name} since the start, not now[/]")
    return ", ".join(told) or "no sensor"


def _spread(telemetry: dict[str, Any], key: str, unit: str) -> str:
    figures = telemetry.get(key) or {}
    if figures.get("p50") is None:
        return "no answer yet"
    slow = figures.get("p95")
    return f"{figures['p50']:.1f} {unit} (p50)" + ("" if slow is None else f", {slow:.1f} {unit} (p95)")
