"""Where the console is, and what its page is told of this device. Sans-I/O."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

DEFAULT_PORT = 8484
# Of the broker, as Mosquitto's manual and most others' have it.
WEBSOCKET_PORT = 9001


@dataclass(frozen=True, slots=True)
class PageConfig:
    """What the page is told; it holds no secret.

    Attributes:
        broker: The WebSocket address of the broker, as a browser reaches it: `ws://pi:9001`.
        mqtt: The version of MQTT that the daemon speaks, and so the page: `5` or `3.1.1`.
        base: The first levels of all topics.
        device: The device that is shown first.
        group: Its fleet; None: it is in none.
        version: Of EdgeAssist, that hands the page out.
    """

    broker: str
    mqtt: str
    base: str
    device: str
    group: str | None
    version: str


def check_broker_url(url: str) -> str:
    """Return a broker's WebSocket address.

    Raises:
        ValueError: It is none; the message says what one looks like.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    plain = url.isascii() and url.isprintable() and not set(url) & set(" ;,'\"\\")
    if parts.scheme not in {"ws", "wss"} or not parts.hostname or "@" in parts.netloc or not plain:
        raise ValueError("must be the address of a WebSocket, such as ws://broker:9001, without a login")
    return url
