"""Connects a command to the daemon through the configured broker."""

from __future__ import annotations

import getpass
import secrets

from edgeassist.broker import BrokerOptions
from edgeassist.client.presence import FleetPresence
from edgeassist.client.requester import Requester
from edgeassist.errors import BrokerError
from edgeassist.protocol.state import Availability
from edgeassist.protocol.topics import Topics, topic_safe
from edgeassist.settings import Settings
from edgeassist.wiring import broker_options, client_id_of, topics_of


def connect(settings: Settings, topics: Topics | None = None, *, connect_s: float = 5.0) -> Requester:
    """Return a client named after the user, so that sessions continue; `async with` connects it.

    Args:
        settings: Where the broker is.
        topics: Whose; None: those of the settings' device.
        connect_s: How long to try to connect.
    """
    topics = topics or topics_of(settings)
    return Requester(options_of(settings), topics, name=_name(), connect_s=connect_s)


def options_of(settings: Settings) -> BrokerOptions:
    """Return how a command reaches the broker: with a client id of its own."""
    # A broker may take only client ids that begin like the daemon's.
    client_id = f"{client_id_of(settings)}-{_name()}-{secrets.token_hex(4)}"
    return broker_options(settings, client_id=client_id)


def _name() -> str:
    return topic_safe(f"cli-{getpass.getuser()}")


async def check_online(client: Requester, settings: Settings) -> None:
    """Raise a BrokerError unless the device is online, or a box of the fleet takes requests."""
    if await client.availability() is Availability.ONLINE:
        return
    if isinstance(client.presence, FleetPresence):
        raise BrokerError(client.presence.idle)
    device = settings.device.name
    raise BrokerError(
        f"the broker is there, but the device {device!r} is not online: is its daemon running? "
        "(edgeassist run; another device: EDGEASSIST_DEVICE__NAME)",
    )
