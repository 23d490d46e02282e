"""Cancelling in a fleet: every box hears it, and the one that has the request ends it and answers."""

from __future__ import annotations

import logging
import time
from collections import deque

from edgeassist.errors import EdgeAssistError, InvalidRequestError
from edgeassist.gateways.fleet.held import HeldRequests
from edgeassist.gateways.fleet.taking import caller_name
from edgeassist.gateways.link import Link
from edgeassist.protocol.commands import CancelArguments, parse_arguments
from edgeassist.protocol.packets import Inbound, Outbound
from edgeassist.protocol.state import CommandResponse
from edgeassist.protocol.topics import CommandTopic, FleetTopics
from edgeassist.serving.requests import Requests

log = logging.getLogger(__name__)

# How long a cancel holds for requests that are on their way from one box to another, and how many are kept.
HOLDS_S = 5.0
KEPT = 256


class Cancelling:
    """Ends what clients of the fleet give up.

    Args:
        topics: The fleet's.
        link: Takes the answers.
        requests: Has the requests.
        held: Which of them are the fleet's.
    """

    def __init__(self, topics: FleetTopics, link: Link, requests: Requests, held: HeldRequests) -> None:
        self._topics = topics
        self._link = link
        self._requests = requests
        self._held = held
        self._recent: deque[tuple[float, CancelArguments]] = deque(maxlen=KEPT)

    def hear(self, message: Inbound) -> None:
        """Cancel what is here, and keep in mind what may come."""
        topic = self._topics.parse(message.topic)
        if not isinstance(topic, CommandTopic) or message.retained:
            return
        try:
            arguments = parse_arguments(topic.name, message.payload)
            if not isinstance(arguments, CancelArguments):
                return
            if topic.client is not None:
                arguments = arguments.of(topic.client)
        except EdgeAssistError as error:
            # Each box hears it, and all would say the same.
            log.info("ignored a message on %s: %s", message.topic, error.message)
            return
        self._recent.append((time.monotonic(), arguments))
        count = sum(self._cancel(*each) for each in self._meant(arguments))
        if count:
            response = CommandResponse(status="ok", data={"cancelled": count}, id=arguments.id)
            payload = response.model_dump_json(exclude_none=True).encode()
            place = self._topics.response(topic.name, topic.client)
            self._link.publish(Outbound(place, payload, qos=1, correlation=message.correlation))

    def was_cancelled(self, request_id: str, caller: str) -> bool:
        """Whether the request of that id and caller was cancelled a moment ago."""
        now = time.monotonic()
        return any(
            now - at < HOLDS_S and _means(arguments, request_id, caller) for at, arguments in self._recent
        )

    def _meant(self, arguments: CancelArguments) -> list[tuple[str, str]]:
        """Return id and caller of each request of the fleet that is meant, and is here."""
        here = ((each.asked.id, each.caller.name or "") for each in self._held if each.asked is not None)
        return [(name, caller) for name, caller in here if _means(arguments, name, caller)]

    def _cancel(self, request_id: str, caller: str) -> bool:
        try:
            return self._requests.cancel(request_id, caller)
        except InvalidRequestError:
            return False


def _means(arguments: CancelArguments, request_id: str, caller: str) -> bool:
    whose = arguments.client is None or caller == caller_name(arguments.client)
    return whose and (arguments.all or arguments.request == request_id)
