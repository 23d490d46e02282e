"""Whom a client asks: a device, or a fleet. Sans-I/O."""

from __future__ import annotations

from edgeassist.errors import InvalidRequestError
from edgeassist.protocol.topics import FleetTopics, Topics, check_group, fleet_topics


def topics_named(base: str, device: str | None, fleet: str | None) -> Topics:
    """Return the topics of the device, or of the fleet.

    Raises:
        InvalidRequestError: Both are named, or none, or none can have that name.
    """
    if device is not None and fleet is not None:
        raise InvalidRequestError("a client asks a device or a fleet: name one of them")
    if fleet is not None:
        check_group(fleet)
        return fleet_topics(base, fleet)
    if device is None:
        raise InvalidRequestError("name whom to ask: a device, or a fleet")
    if not device or "/" in device:
        raise InvalidRequestError(f"{device!r} can't be the name of a device: it is one level of a topic")
    return Topics(base, device)


def check_has(topics: Topics, what: str) -> None:
    """Raise an InvalidRequestError where these are a fleet's: it has no such thing, but its boxes have."""
    if isinstance(topics, FleetTopics):
        raise InvalidRequestError(
            f"the fleet {topics.group!r} has no {what} of its own: ask one of its boxes (device=…)"
        )
