"""Commands over MQTT: a message in, its answer out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from edgeassist.errors import BusyError, InvalidRequestError, TooLargeError
from edgeassist.gateways.commands import Handler, answer, refusal
from edgeassist.gateways.gateway import Gateway
from edgeassist.gateways.link import Link
from edgeassist.protocol.packets import Inbound, Outbound, Subscription
from edgeassist.protocol.state import CommandError, CommandResponse
from edgeassist.protocol.topics import CommandTopic, Topics

log = logging.getLogger(__name__)

# Commands are short; a burst of cancels may come in one read of the socket.
AT_ONCE = 1024
# A switch or a pull that the daemon's end breaks off says so.
SETTLE_S = 2.0


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
        for each in self._topics.command_filters:
            self._broker.subscribe(Subscription(each, qos=0), self.handle)

    def apply(self, prefixes: Sequence[str]) -> None:
        """Allow other Response Topics from the next command on."""
        self._prefixes = prefixes

    async def settle(self) -> None:
        """Wait until what is being carried out is answered, for `SETTLE_S` at most."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=SETTLE_S)

    def handle(self, message: Inbound) -> None:
        """Carry a command out, beside others; a retained one is ignored."""
        match self._topics.parse(message.topic):
            case CommandTopic() as topic if not message.retained:
                if len(self._tasks) >= AT_ONCE:
                    error = BusyError(f"{len(self._tasks)} commands are being carried out: send it again")
                    self._respond(topic, message, refusal(error, message.payload))
                    return
                task = asyncio.create_task(self._carry_out(topic, message), name=f"command-{topic.name}")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case _:
                log.debug("ignored a message on %s", message.topic)

    async def _carry_out(self, topic: CommandTopic, message: Inbound) -> None:
        response = await answer(
            topic.name,
            message.payload,
            self._handlers,
            client=topic.client,
            on_progress=lambda said: self._respond(topic, message, said),
        )
        self._respond(topic, message, response)

    def _respond(self, command: CommandTopic, message: Inbound, response: CommandResponse) -> None:
        topic, shorter = place_of(self._topics, self._prefixes, command, message.response_topic), None
        # Of progress, nothing is kept while the broker is away: a pull of hours would fill the queue with it.
        qos = 0 if response.status == "progress" else 1
        if response.data is not None and response.status == "ok":
            error = TooLargeError("the answer is more than the broker takes in one message")
            failure = CommandResponse(
                status="error", error=CommandError(code=error.code, message=error.message), id=response.id
            )
            shorter = Outbound(topic, _payload(failure), qos=1, correlation=message.correlation)
        self._broker.publish(
            Outbound(topic, _payload(response), qos=qos, correlation=message.correlation, shorter=shorter)
        )


def place_of(
    topics: Topics, prefixes: Sequence[str], command: CommandTopic, response_topic: str | None
) -> str:
    """Return where a command is answered: on the Response Topic, where that is allowed.

    Args:
        topics: Whose command it is.
        prefixes: What a Response Topic may begin with.
        command: On whose topic it came.
        response_topic: The message's.
    """
    topic = topics.response(command.name, command.client)
    if response_topic in {None, topic}:
        return topic
    ours = [] if command.client is not None else [f"{topics.root}/response/"]
    try:
        return topics.check_reply(response_topic or "", prefixes=[*prefixes, *ours], client=command.client)
    except InvalidRequestError as error:
        log.warning("the command %s is answered on %s: %s", command.name, topic, error.message)
        return topic


def _payload(response: CommandResponse) -> bytes:
    return response.model_dump_json(exclude_none=True).encode()
