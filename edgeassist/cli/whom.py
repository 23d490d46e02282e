"""Whom a command asks: this box's device, or a fleet."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeassist.cli.fleet_sight import FleetSight
from edgeassist.errors import InvalidRequestError
from edgeassist.protocol.topics import Topics, check_group, fleet_topics
from edgeassist.settings import Settings
from edgeassist.wiring import topics_of

# Two options, because one with a value that may be left out would take the prompt for it.
AsksFleet = Annotated[
    bool,
    typer.Option(
        "--fleet",
        help="Ask the fleet that this box is in, or the only one at the broker: one of its boxes answers.",
    ),
]
GroupName = Annotated[
    str | None,
    typer.Option("--group", metavar="NAME", help="Ask the fleet of this name.", show_default=False),
]


async def topics_of_whom(settings: Settings, group: str | None, *, fleet: bool) -> Topics:
    """Return the topics of whom to ask.

    Args:
        settings: Of this box.
        group: The fleet that was named.
        fleet: Whether a fleet is to be asked; without a name, that of the settings, or the only one there is.

    Raises:
        BrokerError: There is no connection, to see which fleets there are.
        InvalidRequestError: No fleet can have this name, there is none, or there are several.
    """
    if group is not None:
        check_group(group)
    elif not fleet:
        return topics_of(settings)
    named = group or settings.fleet.group
    return fleet_topics(settings.mqtt.base, await _the_only(settings) if named is None else named)


async def _the_only(settings: Settings) -> str:
    async with FleetSight(settings, None) as sight:
        await sight.settle()
        names = [seen.group for seen in sight.surveys()]
    if not names:
        raise InvalidRequestError(
            "there is no fleet at this broker, as far as this account may see: set fleet.group on its boxes "
            "(docs/fleet.md)"
        )
    if len(names) > 1:
        raise InvalidRequestError(
            f"there are several fleets at this broker: name one, --group {names[0]}, or "
            f"{', '.join(names[1:])}"
        )
    return names[0]
