"""Messages that the broker did not take: counted, and each topic logged once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

log = logging.getLogger(__name__)

# Topics of which a refusal is logged.
MOST_LOGGED = 64


@dataclass(slots=True)
class Refusals:
    """What one broker refused, with a word or by hanging up.

    Args:
        on_refused: Told of the topic of each message, and why.

    Attributes:
        count: The number of these messages.
        last: The last of them, in words.
    """

    on_refused: Callable[[str, str], None]
    count: int = 0
    last: str | None = None
    _logged: set[str] = field(default_factory=set)

    def note(self, topic: str, why: str) -> None:
        """Note that a message on that topic was refused."""
        self.count += 1
        self.last = f"{topic}: {why}"
        if topic not in self._logged and len(self._logged) < MOST_LOGGED:
            self._logged.add(topic)
            log.error("a message can't be published on %s", self.last)
        self.on_refused(topic, why)
