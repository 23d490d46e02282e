"""`edgeassist fleet`: the boxes behind one topic, as a table."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from edgeassist.cli.consoles import Console
from edgeassist.cli.fleet_sight import FleetSight
from edgeassist.errors import ConfigurationError, ExitStatus
from edgeassist.fleet.survey import Remark, Survey, remarks
from edgeassist.protocol.fleet import BoxCondition, BoxState
from edgeassist.settings import load_settings

# How often --watch looks whether something has changed.
_LOOK_S = 0.5
_COLOURS = {BoxCondition.ONLINE: "green", BoxCondition.DRAINING: "yellow", BoxCondition.OFFLINE: "red"}
_PERIODS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def fleet(
    context: typer.Context,
    group: Annotated[
        str | None,
        typer.Argument(help="The fleet. Without it: that of the settings, or all.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as one JSON object.")] = False,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Go on showing it until Ctrl-C; with --json, a line at each change."),
    ] = False,
) -> None:
    """Show the boxes of a fleet: who takes requests, load, model, speed, temperature, and what is not right.

    Reads the boxes' retained messages from the broker. Exit status 0: some box takes requests; 69: none.
    """
    if group is not None and (not group or set(group) & set("/+#")):
        raise ConfigurationError(f"{group!r} can't be a fleet: its name is one level of a topic")
    loaded = load_settings(context.obj)

    async def read() -> list[Survey]:
        async with FleetSight(loaded.settings, group or loaded.settings.fleet.group) as sight:
            await sight.settle()
            if watch:
                with contextlib.suppress(asyncio.CancelledError):
                    await (_follow_as_json(sight) if as_json else _follow(sight))
            elif as_json:
                print(_as_json(sight))
            else:
                Console().print(_tables(sight))
            return sight.surveys()

    seen = asyncio.run(read())
    raise typer.Exit(ExitStatus.OK if any(each.online for each in seen) else ExitStatus.UNAVAILABLE)


async def _follow(sight: FleetSight) -> None:
    with Live(_tables(sight), console=Console(), auto_refresh=False) as live:
        while True:
            await asyncio.sleep(_LOOK_S)
            live.update(_tables(sight), refresh=True)


async def _follow_as_json(sight: FleetSight) -> None:
    shown = None
    while True:
        if (now := _as_json(sight)) != shown:
            print(now, flush=True)
            shown = now
        await asyncio.sleep(_LOOK_S)


def _as_json(sight: FleetSight) -> str:
    now = time.time()
    return json.dumps(
        {
            "fleets": [
                {
                    "group": seen.group,
                    "boxes": [
                        {
                            **box.model_dump(mode="json"),
                            "health": sight.document(box, "health"),
                            "telemetry": sight.document(box, "telemetry"),
                        }
                        for box in seen.boxes
                    ],
                    "unreadable": seen.unreadable,
                    "remarks": [asdict(remark) for remark in remarks(seen, now)],
                }
                for seen in sight.surveys()
            ]
        }
    )


def _tables(sight: FleetSight) -> Group:
    now = time.time()
    parts: list[Any] = []
    for seen in sight.surveys():
        if seen.boxes:
            parts.append(_table(seen, sight, now))
        parts += [_line(remark) for remark in remarks(seen, now)]
    if not parts:
        parts.append("no box says that it is in a fleet: see docs/fleet.md, and fleet.group")
    if sight.problem is not None:
        parts.append(f"[red]no connection now:[/] {escape(sight.problem)}")
    return Group(*parts)


def _line(remark: Remark) -> str:
    return f"[{'red' if remark.serious else 'yellow'}]•[/] {escape(remark.text)}\n  → {escape(remark.remedy)}"


def _table(seen: Survey, sight: FleetSight, now: float) -> Table:
    busy, slots = (sum(getattr(box, name) for box in seen.online) for name in ("running", "slots"))
    waiting = sum(box.waiting for box in seen.boxes)
    load = f"{busy} of {slots} slots busy, {waiting} waiting"
    table = Table(
        title=f"{escape(seen.group)}: {len(seen.online)} of {len(seen.boxes)} boxes take requests, {load}",
        title_justify="left",
    )
    for name in ("box", "state", "since"):
        table.add_column(name)
    for name in ("busy", "waiting", "room"):
        table.add_column(name, justify="right")
    table.add_column("model", overflow="fold")
    for name in ("tokens/s", "first token", "CPU"):
        table.add_column(name, justify="right")
    table.add_column("version")
    for box in seen.boxes:
        there = box.state is not BoxCondition.OFFLINE
        health = (sight.document(box, "health") or {}) if there else {}
        telemetry = (sight.document(box, "telemetry") or {}) if there else {}
        table.add_row(
            escape(box.device),
            f"[{_COLOURS[box.state]}]{box.state.value}[/]" + _aside(box),
            "?" if box.since is None else _period(now - box.since),
            f"{box.running} of {box.slots}" if there else "",
            str(box.waiting) if there else "",
            str(box.room) if there else "",
            escape(box.model or ("none" if there else "")),
            _median(telemetry, "decode_tokens_per_s", "{:.1f}"),
            _median(telemetry, "ttft_ms", "{:.0f} ms"),
            _heat(health),
            escape(box.version),
        )
    return table


def _aside(box: BoxState) -> str:
    told = [box.reason] if box.reason else []
    if box.held_back:
        told.append("held back")  # why, is long, and of one box: its `status` and --json say it
    if box.adopter and not box.empty:
        told.append(f"{box.adopter} takes over what it had")
    return f" ({escape('; '.join(told))})" if told else ""


def _period(seconds: float) -> str:
    """Return how long ago in words; a clock that is ahead of ours counts as now."""
    for size, name in _PERIODS:
        if seconds >= size:
            return f"{seconds / size:.0f} {name}"
    return "now"


def _median(telemetry: Mapping[str, Any], key: str, form: str) -> str:
    value = (telemetry.get(key) or {}).get("p50")
    return "" if value is None else form.format(value)


def _heat(health: Mapping[str, Any]) -> str:
    told = []
    if health.get("cpu_temperature_c") is not None:
        told.append(f"{health['cpu_temperature_c']:.0f} °C")
    told += [
        f"[red]{name.replace('_', ' ')}[/]" for name in ("throttled", "under_voltage") if health.get(name)
    ]
    return ", ".join(told)
