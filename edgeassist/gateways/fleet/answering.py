"""The fleet's requests that are answered by this box: their ends settle them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pydantic import JsonValue

from edgeassist.errors import EdgeAssistError
from edgeassist.fleet.known import Known
from edgeassist.gateways.fleet.held import Held, HeldRequests, Phase
from edgeassist.gateways.link import Link
from edgeassist.gateways.mqtt.asking import AskingOptions
from edgeassist.gateways.mqtt.repeats import Repeats
from edgeassist.gateways.mqtt.replies import Replies, Told
from edgeassist.protocol.events import Done, Failed
from edgeassist.protocol.topics import FleetTopics
from edgeassist.serving.requests import Requests
from edgeassist.serving.sink import OnSettled


class Answering:
    """Has requests answered here, or takes them back.

    Args:
        topics: The fleet's.
        options: Returns how requests are answered, as on this device's own topics.
        link: The connection for the fleet.
        requests: Where they are answered.
        held: What this box answers for.
        known: Which requests other boxes have.
        repeats: Says ends again that a broken connection may have lost.
        on_change: Called when another number of requests is held.

    Attributes:
        ending: Whether this daemon is about to end, so that nothing begins here any more.
    """

    def __init__(
        self,
        topics: FleetTopics,
        options: Callable[[], AskingOptions],
        link: Link,
        *,
        requests: Requests,
        held: HeldRequests,
        known: Known,
        repeats: Repeats,
        on_change: Callable[[], None],
    ) -> None:
        self._topics = topics
        self._options = options
        self._link = link
        self._requests = requests
        self._held = held
        self._known = known
        self._repeats = repeats
        self._on_change = on_change
        self.ending = False

    def serve(self, held: Held) -> None:
        """Have it answered here; a daemon that ends leaves it to the broker."""
        held.phase = Phase.HERE
        if self.ending:
            self._held.forget(held)
            return
        if held.asked is not None:
            self._known.begun(held.caller.name or "", held.asked.id)
            self._requests.submit(held.asked, held.caller, self._sink(held, held.asked.id))
        self._on_change()

    def refuse(
        self, held: Held, request_id: str, error: EdgeAssistError, metadata: dict[str, JsonValue] | None
    ) -> None:
        """End what could not be read."""
        sink = self._sink(held, request_id)
        self._requests.refuse(request_id, held.caller, sink, error, metadata=metadata)

    def _sink(self, held: Held, request_id: str) -> Replies:
        return Replies(
            request_id,
            held.reply_to,
            self._options().replies,
            cancel=self._topics.cancel(held.client or None),
            link=self._link,
            asked_at=self._repeats.asked(held.reply_to.topic, request_id),
            on_end=partial(self._said_end, held),
            again=held.again,
        )

    def _said_end(
        self, held: Held, replies: Replies, end: Done | Failed, on_heard: OnSettled | None = None
    ) -> Told:
        """Note an end that goes out (`replies.OnEnd`)."""
        held.ended = True
        note = self._repeats.said(replies, end, on_heard)

        def settled(delivered: bool) -> None:  # noqa: FBT001 - as `Outbound.on_settled` is called
            if note.settled is not None:
                note.settled(delivered)
            self._ended(held, delivered)

        return Told(settled, note.unheard)

    def _ended(self, held: Held, delivered: bool) -> None:  # noqa: FBT001 - as `Outbound.on_settled` calls it
        """Note that the broker has the end, or that it is lost.

        What the broker refuses would be refused again. What was lost with the connection is answered anew:
        the broker brings the request again.
        """
        if held.phase is Phase.LEFT:
            return
        if delivered or self._link.connected:
            self._held.settle(held)
        else:
            self._held.forget(held)
        self._on_change()

    def waits(self, held: Held) -> bool:
        """Whether it waits here."""
        asked = held.asked
        return (
            asked is not None
            and held.phase is Phase.HERE
            and self._requests.waits(asked.id, held.caller.name or "")
        )

    def withdraw(self, held: Held, *, running: bool = False) -> bool:
        """Take one back without an end; False where it can't be.

        Args:
            held: Which.
            running: Whether one that runs may be taken back too.
        """
        if held.asked is None:
            return False
        left_s = self._requests.withdraw(held.asked.id, held.caller.name or "", running=running)
        if left_s is None:
            return False
        held.left_s = left_s
        return True

    def drop_adopted(self) -> None:
        """Answer no longer for what another box took over while we were away.

        That is what the broker did not bring again.
        """
        for held in self._held:
            if held.delivered_at != self._held.connection and held.phase is not Phase.LEFT:
                self.withdraw(held, running=True)
                self._held.forget(held)
        self._on_change()
