"""Connects a command to the daemon through the configured broker."""

from __future__ import annotations

import getpass
import secrets

from edgeassist.client import Client
from edgeassist.protocol.topics import topic_safe
from edgeassist.settings import Settings
from edgeassist.wiring import broker_options, topics_of


def connect(settings: Settings, *, connect_s: float = 5.0) -> Client:
    """Return a client named after the user, so that sessions continue; `async with` connects it."""
    name = topic_safe(f"cli-{getpass.getuser()}")
    options = broker_options(settings, client_id=f"edgeassist-{name}-{secrets.token_hex(4)}")
    return Client(options, topics_of(settings), name=name, connect_s=connect_s)
