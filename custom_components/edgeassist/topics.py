"""The topics of one box, by the wire contract (docs/protocol.md). Imports nothing of Home Assistant."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["prompt", "decide"]

MAX_CLIENT_BYTES = 128
_LEVEL = re.compile(r"[^/+#\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one box, for one client of it.

    Attributes:
        base: The first levels, shared by all boxes: `edgeassist`.
        device: One level.
        client: One level: under which name it is asked.
    """

    base: str
    device: str
    client: str

    @property
    def root(self) -> str:
        """The prefix of all topics of this box, without a slash."""
        return f"{self.base}/{self.device}"

    @property
    def status(self) -> str:
        """`online` or `offline`, retained."""
        return f"{self.root}/status"

    @property
    def info(self) -> str:
        """Version, capabilities and model, retained."""
        return f"{self.root}/info"

    @property
    def health(self) -> str:
        """How the box is, retained."""
        return f"{self.root}/health"

    def ask(self, kind: Kind) -> str:
        """Where a request of that kind is published."""
        return f"{self.root}/{kind}/{self.client}"

    @property
    def replies(self) -> str:
        """A filter of all replies to this client."""
        return f"{self.root}/reply/{self.client}/+"

    @property
    def cancel(self) -> str:
        """Where a request of this client's is cancelled."""
        return f"{self.root}/command/cancel/{self.client}"

    @property
    def identifier(self) -> str:
        """The box's identifier in its MQTT discovery message, and its unique id here.

        `edgeassist/kitchen-pi` is `edgeassist__kitchen-pi`; another character than a letter, a digit or a
        hyphen is `_` and two hexadecimal digits for each byte.
        """
        return re.sub(r"[^A-Za-z0-9-]", _escape, self.root)


def clean_base(base: str) -> str:
    """Return a base topic as it is used, without white space and slashes around it."""
    return base.strip().strip("/")


def is_base(base: str) -> bool:
    """Whether it can be a base topic: one or more levels without wildcards."""
    return all(_LEVEL.fullmatch(level) for level in base.split("/")) and not base.startswith("$")


def is_level(name: str) -> bool:
    """Whether it can be one level of a topic: a device, or a client."""
    return bool(_LEVEL.fullmatch(name)) and len(name.encode()) <= MAX_CLIENT_BYTES


def split_info(topic: str) -> tuple[str, str] | None:
    """Return base and device of a topic of `info`; None if it is none."""
    base, _, rest = topic.removesuffix("/info").rpartition("/")
    return (base, rest) if topic.endswith("/info") and base and rest else None


def _escape(found: re.Match[str]) -> str:
    if found[0] == "/":
        return "__"
    return "".join(f"_{byte:02x}" for byte in found[0].encode())
