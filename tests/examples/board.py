"""What a board asks, as broker and onlookers see it."""

from __future__ import annotations

from edgeassist.sandbox import PrivateBroker
from tests.conftest import Wire

PROMPTS = "edgeassist/box/prompt/esp32"


def times_asked(broker: PrivateBroker) -> int:
    """Return how often the prompt was published, also while nobody else was connected."""
    return sum(
        "Received PUBLISH from esp32 " in line and PROMPTS in line
        for line in broker.log.read_text().splitlines()
    )


def asked(wire: Wire) -> list[bytes]:
    """Return the prompts that came, repeats included."""
    return [message.payload for message in wire.heard if message.topic == PROMPTS]
