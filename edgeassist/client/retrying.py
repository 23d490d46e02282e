"""When a request that failed is asked again, without its caller hearing of the failure. Sans-I/O."""

from __future__ import annotations

from edgeassist.client.answers import AnyEvent
from edgeassist.errors import Code
from edgeassist.protocol.events import Failed

# How often a request is asked again that ended because the device was restarted.
MOST_INTERRUPTIONS = 3
_NO_ROOM = frozenset({Code.BUSY, Code.QUOTA_EXCEEDED, Code.MODEL_LOADING})


class Retries:
    """Those of one request.

    Args:
        until: Until when a device is asked again that has no room.
        anew: Whether what a restart of the device interrupted is asked again.
    """

    def __init__(self, until: float, *, anew: bool) -> None:
        self._until = until
        self._left = MOST_INTERRUPTIONS if anew else 0

    def pause_s(self, event: AnyEvent, now: float, share: float) -> float | None:
        """Return after how many seconds to ask again; None where the event is the caller's.

        Args:
            event: What came.
            now: On the clock of `until`.
            share: Random, of 0 to 1: it keeps a burst from coming back as one.
        """
        if not isinstance(event, Failed):
            return None
        if event.code in _NO_ROOM and now < self._until:
            return min((1 + share) * (event.retry_after_ms or 1000) / 1000, self._until - now)
        if event.code is Code.INTERRUPTED and self._left:
            self._left -= 1
            return 0.0
        return None
