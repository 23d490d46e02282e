"""Begins the streams of requests, as the policy of this device says."""

from __future__ import annotations

from pydantic import JsonValue

from edgeassist.serving.sink import Sink
from edgeassist.serving.stream import Pace, Stream


class Streams:
    """Makes streams.

    Args:
        device: This device's name.
        pace: How their events are paced; another is for the streams that begin from then on.
    """

    def __init__(self, device: str, pace: Pace) -> None:
        self._device = device
        self.pace = pace

    def begin(
        self,
        request_id: str,
        sink: Sink,
        arrived: float,
        *,
        chunks: bool = True,
        first_seq: int = 0,
        metadata: dict[str, JsonValue] | None = None,
    ) -> Stream:
        """Return the stream of a request.

        Args:
            request_id: Its id.
            sink: Where its events go.
            arrived: When it came, in seconds of the monotonic clock.
            chunks: Whether its text goes out while it is written.
            first_seq: The number of its first event.
            metadata: What every event carries back.
        """
        return Stream(
            request_id,
            sink,
            pace=self.pace,
            device=self._device,
            arrived=arrived,
            chunks=chunks,
            first_seq=first_seq,
            metadata=metadata,
        )
