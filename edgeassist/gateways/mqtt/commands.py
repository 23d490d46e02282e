"""Commands over MQTT: a message in, its answer out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from edgeassist.errors import EdgeAssistError, InternalError, InvalidRequestError
from edgeassist.gateways.gateway import Gateway
from edgeassist.gateways.link import Link
from edgeassist.protocol.commands import parse_arguments
from edgeassist.protocol.packets import Inbound, Outbound, Subscription
from edgeassist.protocol.requests import salvage
from edgeassist.protocol.state import CommandError, CommandResponse
from edgeassist.protocol.topics import CommandTopic, Topics

log = logging.getLogger(__name__)

# Carries out one command: its arguments in, the answer's data out.
Handler = Callable[[Any], Awaitable[dict[str, JsonValue]]]

AT_ONCE = 16


class Commands(Gateway):
    """Hears the command topics.

    Args:
        topics: This device's.
        prefixes: What a Response Topic may begin with; a reload replaces it.
        broker: Brings the commands and takes the answers.
        handlers: Who carries out which.
    """

    def __init__(
        self, topics: Topics, prefixes: Sequence[str], broker: Link, handlers: Mapping[str, Handler]
    ) -> None:
        self._topics = topics
        self._prefixes = prefixes
        self._broker = broker
        self._handlers = handlers
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Listen at QoS 0: commands overtake prompts that wait for their acknowledgement."""
        self._broker.subscribe(Subscription(self._topics.command_filter, qos=0), self.take)

    def apply(self, prefixes: Sequence[str]) -> None:
        """Allow other Response Topics from the next command on."""
        self._prefixes = prefixes

    def take(self, message: Inbound) -> None:
        """Carry a command out, beside others; a retained one is ignored."""
        match self._topics.parse(message.topic):
            case CommandTopic(name=name) if not message.retained:
                if len(self._tasks) >= AT_ONCE:
                    log.warning("ignored the command %s: %d are being carried out", name, len(self._tasks))
                    return
                task = asyncio.create_task(self._carry_out(name, message), name=f"command-{name}")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case _:
                log.debug("ignored a message on %s", message.topic)

    async def _carry_out(self, name: str, message: Inbound) -> None:
        response = await answer(name, message.payload, self._handlers)
        payload = response.model_dump_json(exclude_none=True).encode()
        self._broker.publish(
            Outbound(self._place(name, message), payload, qos=1, correlation=message.correlation)
        )

    def _place(self, name: str, message: Inbound) -> str:
        """Return where to answer: on the Response Topic, where that is allowed."""
        topic = self._topics.response(name)
        if message.response_topic is None:
            return topic
        prefixes = [*self._prefixes, f"{self._topics.root}/response/"]
        try:
            return self._topics.check_reply(message.response_topic, prefixes=prefixes, client=None)
        except InvalidRequestError as error:
            log.warning("the command %s is answered on %s: %s", name, topic, error.message)
            return topic


async def answer(name: str, payload: bytes, handlers: Mapping[str, Handler]) -> CommandResponse:
    """Carry a command out and return the answer; every failure is one too."""
    asker = salvage(payload)[0]
    try:
        arguments = parse_arguments(name, payload)
        data = await handlers[name](arguments)
    except EdgeAssistError as error:
        return _refusal(error, asker)
    except Exception:  # a bug in one command must not take the daemon down
        log.exception("the command %s failed", name)
        return _refusal(InternalError(f"the command {name!r} failed; the daemon's log says more"), asker)
    return CommandResponse(status="ok", data=data, id=asker)


def _refusal(error: EdgeAssistError, asker: str | None) -> CommandResponse:
    return CommandResponse(
        status="error", error=CommandError(code=error.code, message=error.message), id=asker
    )
