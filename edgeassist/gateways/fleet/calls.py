"""Commands to a fleet: every box hears `cancel`, and the one that has the request ends it and answers.

`ping` is answered by all boxes that take requests, as a device answers it, so that a client finds out whether
anybody is there.
"""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from edgeassist.errors import EdgeAssistError, InvalidRequestError
from edgeassist.fleet.envelope import FollowingCancel, cancel_of
from edgeassist.gateways.fleet.held import CALLERS, HeldRequests, Phase, caller_name
from edgeassist.gateways.fleet.passing import Passing
from edgeassist.gateways.link import Link
from edgeassist.gateways.mqtt.commands import place_of
from edgeassist.protocol.commands import CancelArguments, parse_arguments
from edgeassist.protocol.fleet import BoxCondition
from edgeassist.protocol.packets import Inbound, Outbound
from edgeassist.protocol.state import CommandResponse
from edgeassist.protocol.topics import CommandTopic, FleetTopics
from edgeassist.serving.requests import Requests

log = logging.getLogger(__name__)

# How long after it was handed on a request's cancel is sent after it; later, it has arrived, and its box
# hears the cancel itself.
FOLLOWS_S = 5.0


@dataclass(frozen=True, slots=True)
class _Call:
    """A command, as its answer needs it: on whose topic it came, and what comes back with the answer."""

    topic: CommandTopic
    id: str | None
    correlation: bytes | None
    response_topic: str | None


class Calls:
    """Carries out what is called to all boxes.

    Args:
        topics: The fleet's.
        link: Takes the answers.
        requests: Has the requests.
        held: Which of them are the fleet's.
        passing: Where others went.
        prefixes: Returns what a Response Topic may begin with.
        takes: Whether this box takes requests.
        clock: Seconds of the monotonic clock.
    """

    def __init__(
        self,
        topics: FleetTopics,
        link: Link,
        requests: Requests,
        *,
        held: HeldRequests,
        passing: Passing,
        prefixes: Callable[[], Sequence[str]],
        takes: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topics = topics
        self._link = link
        self._requests = requests
        self._held = held
        self._passing = passing
        self._prefixes = prefixes
        self._clock = clock
        self._takes = takes

    def hear(self, message: Inbound) -> None:
        """Carry out a command."""
        topic = self._topics.parse(message.topic)
        if not isinstance(topic, CommandTopic) or message.retained:
            return
        try:
            arguments = parse_arguments(topic.name, message.payload)
            if topic.client is not None and isinstance(arguments, CancelArguments):
                arguments = arguments.of(topic.client)
        except EdgeAssistError as error:
            # Each box hears it, and all would say the same.
            log.info("ignored a message on %s: %s", message.topic, error.message)
            return
        call = _Call(topic, arguments.id, message.correlation, message.response_topic)
        if isinstance(arguments, CancelArguments):
            self._cancel(arguments, call)
        elif self._takes():
            self._answer(call, {"state": BoxCondition.ONLINE.value})

    def hear_followed(self, payload: bytes) -> bool:
        """Take a cancel that another box sent after a request; False where the payload is none."""
        followed = cancel_of(payload)
        if followed is None:
            return False
        topic = CommandTopic("cancel", followed.asker)
        call = _Call(topic, followed.id, followed.correlation, followed.response_topic)
        self._cancel(CancelArguments(request=followed.request, client=followed.client), call)
        return True

    def _answer(self, call: _Call, data: dict[str, JsonValue]) -> None:
        payload = CommandResponse(status="ok", data=data, id=call.id).model_dump_json(exclude_none=True)
        place = place_of(self._topics, self._prefixes(), call.topic, call.response_topic)
        self._link.publish(Outbound(place, payload.encode(), qos=1, correlation=call.correlation))

    def _cancel(self, arguments: CancelArguments, call: _Call) -> None:
        """End what is meant, and say so; what is on its way to another box is ended and told of there."""
        ours = [each for each in self._held if each.asked is not None and each.phase is Phase.HERE]
        here = {(each.asked.id, each.caller.name or "") for each in ours if each.asked is not None}
        count = sum(self._end(*each) for each in here if _means(arguments, *each))
        if count:
            self._answer(call, {"cancelled": count})
        now = self._clock()
        for each in list(self._passing.handed):
            if now - each.at < FOLLOWS_S and _means(arguments, each.id, each.caller):
                self._passing.handed.remove(each)
                # On the topic that the request went on, and so behind it.
                following = FollowingCancel(
                    request=each.id,
                    client=each.caller.removeprefix(CALLERS),
                    id=call.id,
                    asker=call.topic.client,
                    correlation=None if call.correlation is None else base64.b64encode(call.correlation),
                    response_topic=call.response_topic,
                )
                self._link.publish(Outbound(self._topics.hand(each.to), following.encode(), qos=1))

    def _end(self, request_id: str, caller: str) -> bool:
        try:
            return self._requests.cancel(request_id, caller)
        except InvalidRequestError:
            return False


def _means(arguments: CancelArguments, request_id: str, caller: str) -> bool:
    whose = arguments.client is None or caller == caller_name(arguments.client or None)
    return whose and (arguments.all or arguments.request == request_id)
