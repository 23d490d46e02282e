"""`edgeassist top`: devices at a glance, kept up to date on the terminal."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sys
import time
from collections.abc import Sequence
from typing import Annotated

import typer

from edgeassist.cli.connect import options_of
from edgeassist.cli.consoles import Console
from edgeassist.errors import ConfigurationError, ExitStatus
from edgeassist.protocol.topics import Topics, fleet_topics
from edgeassist.settings import Settings, load_settings
from edgeassist.sight.listening import Sight
from edgeassist.top.page import snapshot
from edgeassist.top.painter import Painter
from edgeassist.top.screen import Screen
from edgeassist.top.terminal import Terminal

# How often it is asked what runs and waits.
_ASK_S = 1.0
_NARROW = 80


def top(
    context: typer.Context,
    device: Annotated[
        list[str] | None,
        typer.Option(
            help="The device to show, instead of that of the settings. May come several times.",
            show_default=False,
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Show the boxes of the fleet of this name.", show_default=False),
    ] = None,
    once: Annotated[
        bool,
        typer.Option("--once", help="Print it once, as plain lines, as without a terminal."),
    ] = False,
    every: Annotated[
        float, typer.Option(min=0.1, max=60, help="The least seconds between two pictures.")
    ] = 0.5,
    ends: Annotated[
        bool,
        typer.Option(
            "--answers/--no-answers",
            help="Hear the ends of all answers, for the figures of each; nothing of their text is shown.",
        ),
    ] = True,
) -> None:
    """Watch devices at a glance: state, what runs and waits, speed, threads, heat, memory, errors, watches.

    Reads what they say of themselves at the broker; of a fleet all boxes. Keys: q quits, p pauses, arrows or
    Tab go to another box, ? helps. `edgeassist status --json` and `edgeassist fleet --json` are for programs.

    Exit status with --once 0: a device is online and able to answer; 69: none.
    """
    loaded = load_settings(context.obj)
    plain = once or not sys.stdout.isatty() or os.environ.get("TERM", "dumb") in {"dumb", "unknown"}
    showing = _print_once if plain else _show
    sight = _sight(loaded.settings, device or [], group, ends=ends and not plain)
    status = asyncio.run(showing(sight, every))
    raise typer.Exit(status)


def _sight(settings: Settings, devices: Sequence[str], group: str | None, *, ends: bool) -> Sight:
    """Return what listens to the wanted devices.

    Raises:
        ConfigurationError: Something can't be the name of a device, or of a fleet.
    """
    for name in (*devices, *([group] if group is not None else [])):
        if not name or set(name) & set("/+#"):
            raise ConfigurationError(f"{name!r} can't be a device or a fleet: it is one level of a topic")
    base = settings.mqtt.base
    if group is None and not devices:
        group = settings.fleet.group
    return Sight(
        options_of(settings),
        [Topics(base, name) for name in dict.fromkeys(devices or [settings.device.name])],
        fleet=None if group is None else fleet_topics(base, group),
        ends=ends,
    )


async def _print_once(sight: Sight, _every_s: float) -> ExitStatus:
    async with sight:
        await sight.settle()
        for box in sight.boxes:
            await sight.list_requests(box)
        console = Console(highlight=False, width=max(_NARROW, shutil.get_terminal_size().columns))
        now = time.monotonic()
        for line in snapshot(sight.boxes, width=console.width, now=now, left_out=sight.left_out):
            console.print(line, soft_wrap=True)
        return ExitStatus.OK if any(box.able for box in sight.boxes) else ExitStatus.UNAVAILABLE


async def _show(sight: Sight, every_s: float) -> int:
    # A warning in the midst of the picture would spoil it; what it is about is in the picture.
    logging.getLogger("edgeassist").addHandler(logging.NullHandler())
    async with sight:
        await sight.settle()
        painter = Painter(os.environ, sys.stdout.encoding)
        with Terminal(sys.stdout.fileno()) as terminal:
            screen = Screen(
                terminal,
                painter,
                boxes=lambda: sight.boxes,
                problem=lambda: sight.problem,
                left_out=lambda: sight.left_out,
                every_s=every_s,
            )
            screen.view.selected = sight.topics.root
            sight.on_change = screen.changed
            asking = asyncio.create_task(_ask(sight, screen), name="top-requests")
            asking.add_done_callback(lambda _task: screen.close())
            try:
                await screen.run()
            finally:
                asking.cancel()
                await asyncio.wait([asking])
        if not asking.cancelled():
            asking.result()
    return ExitStatus.OK if screen.ended_by is None else 128 + screen.ended_by


async def _ask(sight: Sight, screen: Screen) -> None:
    """Ask the box that is shown what runs and waits, again and again."""
    while True:
        if (box := screen.selected) is not None:
            await sight.list_requests(box)
        await asyncio.sleep(_ASK_S)
