"""Who asks, and by which name it calls its requests and sessions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Key(NamedTuple):
    """A caller's name for something, such as a request or a session; another caller may use the same name."""

    caller: str
    name: str


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the transport knows it.

    Attributes:
        name: Whose ids, sessions and quota these are; None for all who share one door. A transport keeps its
            callers apart from another's by a prefix with a slash, which no name on MQTT has.
        fingerprint: The same for two copies of one message, and for nothing else; None where the request's
            own content tells that.
        expiry_s: Seconds after which the caller no longer wants the answer; None: no limit of its own.
    """

    name: str | None = None
    fingerprint: bytes | None = None
    expiry_s: float | None = None

    def key(self, name: str) -> Key:
        """Return the key of what this caller calls so."""
        return Key(self.name or "", name)
