"""Whom a client asks: a device, or a fleet. Sans-I/O."""

from __future__ import annotations

from edgeassist.errors import InvalidRequestError
from edgeassist.protocol.topics import FleetTopics, Topics, fleet_topics


def topics_of(base: str, device: str | None, fleet: str | None) -> Topics:
    """Return the topics of the device, or of the fleet.

    Raises:
        InvalidRequestError: Both are named, or none, or the name is not one level of a topic.
    """
    if device is not None and fleet is not None:
        raise InvalidRequestError("a client asks a device or a fleet: name one of them")
    named = device if fleet is None else fleet
    if named is None:
        raise InvalidRequestError("name whom to ask: a device, or a fleet")
    if not named or "/" in named:
        raise InvalidRequestError(
            f"{named!r} can't be the name of a device or a fleet: it is one level of a topic"
        )
    return Topics(base, named) if fleet is None else fleet_topics(base, named)


def check_has(topics: Topics, what: str) -> None:
    """Raise an InvalidRequestError where these are a fleet's: it has no such thing, but its boxes have."""
    if isinstance(topics, FleetTopics):
        raise InvalidRequestError(
            f"the fleet {topics.group!r} has no {what} of its own: ask one of its boxes (device=…)"
        )
