"""The client for programs with an event loop."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self, Unpack

from edgeassist.broker import BrokerOptions, Tls
from edgeassist.client.connection import OnProgress
from edgeassist.client.decision import Decision
from edgeassist.client.fields import DecisionFields, Fields
from edgeassist.client.presence import FleetPresence
from edgeassist.client.reading import read_document
from edgeassist.client.requester import RECONNECT_S, RETURN_S, Requester
from edgeassist.client.result import Answer
from edgeassist.client.streaming import AsyncStream
from edgeassist.client.whom import check_has, topics_named
from edgeassist.errors import BrokerError, InvalidRequestError, error_for
from edgeassist.protocol.events import Done
from edgeassist.protocol.state import Availability, CommandResponse
from edgeassist.protocol.topics import FleetTopics, check_topic_name

# How long to ask again a device that has no room.
BUSY_S = 60.0
# How long a device may be silent while it changes models: it says how far it is.
MODEL_S = 300.0
_PORT, _TLS_PORT = 1883, 8883
# What the broker keeps of boxes comes at once; after so long without more it has all come.
QUIET_S = 0.4


class AsyncClient:
    """Asks one device, or a fleet of them. An async context manager that is connected inside its block.

    All its coroutines are for the event loop that connected it.

    Args:
        host: The broker's name or address.
        port: Its port; by default 1883, or 8883 with TLS.
        device: The device's name, its setting `device.name`.
        fleet: In its place, the name of a fleet, its boxes' setting `fleet.group`: one of them answers.
        base: The first levels of its topics, its setting `mqtt.base`.
        name: This client's, which its sessions and its quota belong to: prompts go to
            `<base>/<device>/prompt/<name>`, decisions to `<base>/<device>/decide/<name>`, where a fleet is
            the device `fleet/<fleet>`. By default the user name at the broker, else one is made up.
        username: For the broker.
        password: For the broker.
        tls: True for TLS with the system's certificates, or a `Tls` with files.
        protocol: The version of MQTT; the other is tried where the broker does not take it.
        client_id: For the broker; it must be unique there. By default one is made up.
        connect_s: How long to try to connect at first, in seconds.
        reconnect_s: How long a connection that was lost may take to come back.
        return_s: How long the device may be away.
        busy_s: How long to ask again a device that has no room for a request.

    Raises:
        InvalidRequestError: A name can't be a part of a topic, or not one of device and fleet is given.
    """

    def __init__(
        self,
        host: str = "localhost",
        port: int | None = None,
        *,
        device: str | None = None,
        fleet: str | None = None,
        base: str = "edgeassist",
        name: str | None = None,
        username: str | None = None,
        password: str | None = None,
        tls: Tls | bool = False,
        protocol: Literal["5", "3.1.1"] = "5",
        client_id: str | None = None,
        connect_s: float = 10.0,
        reconnect_s: float = RECONNECT_S,
        return_s: float = RETURN_S,
        busy_s: float = BUSY_S,
    ) -> None:
        made_up = secrets.token_hex(4)
        self.name = name or username or f"python-{made_up}"
        if "/" in self.name:
            raise InvalidRequestError("a slash can't be in the name of a client: choose another")
        self.topics = topics_named(base, device, fleet)
        self.topics.check_client(self.name)
        check_topic_name(self.topics.prompt(self.name))
        files = (tls if isinstance(tls, Tls) else Tls()) if tls else None
        options = BrokerOptions(
            host=host,
            port=port or (_PORT if files is None else _TLS_PORT),
            client_id=client_id or f"edgeassist-{self.name}-{made_up}",
            protocol=protocol,
            username=username,
            password=password,
            tls=files,
        )
        self._busy_s = busy_s
        self._make = partial(
            Requester,
            options,
            self.topics,
            name=self.name,
            connect_s=connect_s,
            reconnect_s=reconnect_s,
            return_s=return_s,
        )
        self._made: Requester | None = None

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def connect(self) -> None:
        """Connect to the broker, within `connect_s`. `async with` does it.

        Raises:
            BrokerError: No connection; the message says why.
            ConfigurationError: A TLS file can't be used.
        """
        if self._made is None:
            requester = self._make()
            await requester.connect()
            self._made = requester

    async def close(self) -> None:
        """Disconnect. A request without its end is cancelled, and fails."""
        requester, self._made = self._made, None
        if requester is not None:
            await requester.close()

    @property
    def connected(self) -> bool:
        """Whether there is a connection to the broker at the moment."""
        return self._made is not None and self._made.connected

    async def ask(self, prompt: str | None = None, **fields: Unpack[Fields]) -> Answer:
        """Ask, and return the whole answer. Cancelling it cancels the request on the device.

        Raises:
            EdgeAssistError: The request failed; the class and `code` tell why, and `retryable` whether to
                ask again.
        """
        async with self.stream(prompt, **fields) as stream:
            return await stream.result()

    def stream(self, prompt: str | None = None, **fields: Unpack[Fields]) -> AsyncStream:
        """Return the answer as a stream, which asks when it is iterated over; errors are raised there."""
        wire: dict[str, Any] = {key: value for key, value in fields.items() if value is not None}
        busy_s = wire.pop("busy_s", self._busy_s)
        return AsyncStream(self._requester.ask(prompt, busy_s=busy_s, **wire), wire.get("timeout_s"))

    async def decide(
        self, state: Any, questions: Mapping[str, Mapping[str, Any]], **fields: Unpack[DecisionFields]
    ) -> Decision:
        """Have questions about a state answered with probabilities. Cancelling it cancels the request.

        Args:
            state: Text, or what can be written as JSON.
            questions: By name; `choice`, `score` and `yes_no` make them.
            **fields: More of the request.

        Raises:
            EdgeAssistError: The request failed; as with `ask`.
        """
        wire: dict[str, Any] = {key: value for key, value in fields.items() if value is not None}
        busy_s = wire.pop("busy_s", self._busy_s)
        # What is no question is the device's to refuse.
        plain = {name: dict(each) if isinstance(each, Mapping) else each for name, each in questions.items()}
        wire |= {"state": state, "questions": plain}
        events = self._requester.decide(busy_s=busy_s, **wire)
        async with AsyncStream(events, wire.get("timeout_s")) as stream:
            while (event := await stream.next_event()) is not None:
                if isinstance(event, Done):
                    return Decision.of(event)
        raise BrokerError("the answer has no terminal event")

    async def cancel(self, request: str) -> None:
        """Cancel a request of this client by its id.

        Raises:
            InvalidRequestError: None of that id waits or runs.
            BrokerError: The device did not answer within 5 s; the broker may not let this client cancel.
        """
        _data(await self._requester.cancel(request))

    async def command(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Give the device a command of docs/protocol.md, and return the answer's `data`.

        Raises:
            EdgeAssistError: The device refused it, or did not answer within 5 s. A fleet has only `ping`.
        """
        if name != "ping":
            check_has(self.topics, f"command {name}")
        return _data(await self._requester.command(name, **arguments))

    async def models(self) -> dict[str, Any]:
        """Return which models the device has, and which it serves (`list` of the command `model`).

        Raises:
            EdgeAssistError: As `command`.
        """
        return await self.command("model")

    async def use_model(self, name: str, on_progress: OnProgress | None = None) -> dict[str, Any]:
        """Have the device serve another model from now on; returns when it does.

        Args:
            name: As `models` lists it; `default`: what the device's settings name.
            on_progress: Called with what the device says on the way (docs/protocol.md).

        Raises:
            EdgeAssistError: It can't, and serves the model before; or it was silent for `MODEL_S` seconds.
        """
        return await self._change_models("use", name, on_progress)

    async def pull_model(self, source: str, on_progress: OnProgress | None = None) -> dict[str, Any]:
        """Have the device get a model; returns when it is there.

        Args:
            source: As `edgeassist models pull` takes it.
            on_progress: Called with how far it is, about once a second.

        Raises:
            EdgeAssistError: It can't be had; or the device was silent for `MODEL_S` seconds.
        """
        return await self._change_models("pull", source, on_progress)

    async def _change_models(self, action: str, model: str, on_progress: OnProgress | None) -> dict[str, Any]:
        check_has(self.topics, "models")
        arguments = {"action": action, "model": model}
        return _data(
            await self._requester.command("model", wait_s=MODEL_S, on_progress=on_progress, **arguments)
        )

    async def online(self) -> bool:
        """Whether the device is there; of a fleet, whether a box takes requests."""
        return await self._requester.availability() is Availability.ONLINE

    async def boxes(self) -> list[dict[str, Any]]:
        """Return what each box of the fleet says of itself (docs/fleet.md, "Topics"), by their names.

        Raises:
            InvalidRequestError: This client asks one device.
        """
        requester = self._requester
        if not isinstance(requester.presence, FleetPresence):
            raise InvalidRequestError("a device has no boxes: give the client a fleet")
        await requester.said_availability()
        await asyncio.sleep(QUIET_S)
        return [box.model_dump(mode="json") for box in requester.presence.boxes]

    async def health(self) -> dict[str, Any]:
        """Return what the device said last of its state (`health` of docs/protocol.md); empty if nothing."""
        return await self._document(self.topics.health)

    async def info(self) -> dict[str, Any]:
        """Return what the device says of itself (`info` of docs/protocol.md); empty if nothing."""
        return await self._document(self.topics.info)

    async def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Wait until the device is online and its model loaded, or a box of the fleet takes requests.

        Raises:
            BrokerError: That took longer; the message says what it is doing.
        """
        begun = asyncio.get_running_loop().time()
        if not await self._requester.wait_online(timeout_s):
            raise BrokerError(self._requester.presence.late(timeout_s))
        if isinstance(self.topics, FleetTopics):  # without a model it takes none
            return
        rest_s = timeout_s - (asyncio.get_running_loop().time() - begun)
        if await self._requester.wait_health(frozenset({"ready", "busy"}), rest_s) is None:
            health = await self.health()
            state = ": ".join(str(health[key]) for key in ("state", "reason") if health.get(key))
            raise BrokerError(
                f"the device was not ready within {timeout_s:g} s; it says {state or 'nothing'}"
            )

    @property
    def _requester(self) -> Requester:
        if self._made is None:
            raise BrokerError("the client is not connected: use it in a with block, or call connect()")
        return self._made

    async def _document(self, topic: str) -> dict[str, Any]:
        check_has(self.topics, topic.rpartition("/")[2])
        return read_document(await self._requester.state(topic))


def _data(response: CommandResponse) -> dict[str, Any]:
    if response.error is not None:
        raise error_for(response.error.code, response.error.message)
    return dict(response.data or {})
