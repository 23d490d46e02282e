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

from edgeassist.cli.consoles import Console
from edgeassist.cli.fleet_sight import FleetSight
from edgeassist.cli.fleet_table import fleet_table, remark_lines
from edgeassist.errors import ExitStatus
from edgeassist.fleet.survey import Survey, remarks
from edgeassist.protocol.fleet import BoxCondition, BoxState
from edgeassist.protocol.topics import check_group
from edgeassist.settings import load_settings

# How often --watch looks whether something has changed.
_LOOK_S = 0.5


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
    if group is not None:
        check_group(group)
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
                console = Console(highlight=False)
                console.print(_tables(sight, console.width))
            return sight.surveys()

    seen = asyncio.run(read())
    raise typer.Exit(ExitStatus.OK if any(each.online for each in seen) else ExitStatus.UNAVAILABLE)


async def _follow(sight: FleetSight) -> None:
    console = Console(highlight=False)
    with Live(_tables(sight, console.width), console=console, auto_refresh=False) as live:
        while True:
            await asyncio.sleep(_LOOK_S)
            live.update(_tables(sight, console.width), refresh=True)


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


def _tables(sight: FleetSight, width: int) -> Group:
    now = time.time()

    def document(box: BoxState, name: str) -> Mapping[str, Any]:
        there = box.state is not BoxCondition.OFFLINE
        return (sight.document(box, name) or {}) if there else {}

    parts: list[Any] = []
    for seen in sight.surveys():
        if seen.boxes:
            parts.append(fleet_table(seen, document, now, width))
        if found := remarks(seen, now):
            parts.append(remark_lines(found))
    if not parts:
        parts.append("no box says that it is in a fleet: see docs/fleet.md, and fleet.group")
    if sight.problem is not None:
        parts.append(f"[red]no connection now:[/] {escape(sight.problem)}")
    return Group(*parts)
