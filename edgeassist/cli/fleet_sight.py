"""Listens to what the boxes of fleets say of themselves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections import defaultdict
from types import TracebackType
from typing import Any, Self

from edgeassist.broker import Broker
from edgeassist.errors import BrokerError
from edgeassist.fleet.survey import Survey, survey
from edgeassist.protocol.fleet import MAX_STATE_BYTES, MOST_BOXES, BoxState, parse_box
from edgeassist.protocol.packets import Inbound, Subscription
from edgeassist.protocol.topics import Topics, fleet_topics
from edgeassist.settings import Settings
from edgeassist.wiring import broker_options, client_id_of

CONNECT_S = 5.0
# What is retained comes at once; after so long without any more it has all come.
_QUIET_S = 0.4
_SETTLE_S = 5.0
_MOST_BYTES = 65_536


class FleetSight:
    """An async context manager that listens inside its block.

    Args:
        settings: Where the broker is.
        group: The fleet; None: all there are.

    Attributes:
        problem: Why there is no connection; None while there is one.
    """

    def __init__(self, settings: Settings, group: str | None) -> None:
        self.problem: str | None = None
        self._base = settings.mqtt.base
        self._group = group
        self._states: dict[tuple[str, str], bytes] = {}
        self._documents: dict[str, dict[str, Any]] = {}
        self._roots: set[str] = set()
        self._heard_at = 0.0
        self._settled = asyncio.Event()
        client_id = f"{client_id_of(settings)}-fleet-cli-{secrets.token_hex(4)}"
        self._broker = Broker(
            broker_options(settings, client_id=client_id), on_up=self._up, on_down=self._down
        )
        self._broker.subscribe(
            Subscription(fleet_topics(self._base, group or "+").box("+"), qos=1), self._hear_box
        )

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            BrokerError: There is no connection within CONNECT_S seconds, or the broker refuses to let us
                listen.
            ConfigurationError: A TLS file can't be used.
        """
        self._broker.start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_S):
                await self._settled.wait()
        if not self._broker.connected:
            await self._broker.stop()
            raise BrokerError(
                self.problem or f"the broker did not answer within {CONNECT_S:g} s (edgeassist doctor)"
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect."""
        await self._broker.stop()

    async def settle(self) -> None:
        """Wait until what the broker keeps has been heard."""
        self._heard_at = time.monotonic()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_S):
                while (left := self._heard_at + _QUIET_S - time.monotonic()) > 0:
                    await asyncio.sleep(left)

    def surveys(self) -> list[Survey]:
        """Return what is known of each fleet; of the one that was asked for, also where that is nothing."""
        groups: dict[str, dict[str, bytes]] = defaultdict(dict)
        if self._group is not None:
            groups[self._group] = {}
        for (group, device), payload in self._states.items():
            groups[group][device] = payload
        return [survey(group, states) for group, states in sorted(groups.items())]

    def document(self, box: BoxState, name: str) -> dict[str, Any] | None:
        """Return a box's `health` or `telemetry`; None where that is not known, or may not be read."""
        return self._documents.get(f"{box.root}/{name}")

    def _hear_box(self, message: Inbound) -> None:
        self._heard_at = time.monotonic()
        *_, group, _box, device = message.topic.split("/")
        if not message.payload:
            self._states.pop((group, device), None)
            return
        if (group, device) not in self._states and len(self._states) >= MOST_BOXES:
            return
        self._states[group, device] = message.payload[: MAX_STATE_BYTES + 1]
        state = parse_box(message.payload)
        if state is None or state.root in self._roots:
            return
        # Only where a device of this name has its topics: a state document makes nobody listen elsewhere.
        topics = Topics(self._base, state.device)
        if state.root == topics.root:
            self._roots.add(state.root)
            for topic in (topics.health, topics.telemetry):
                self._broker.subscribe(Subscription(topic, qos=0, optional=True), self._hear_document)

    def _hear_document(self, message: Inbound) -> None:
        self._heard_at = time.monotonic()
        document = None
        if len(message.payload) <= _MOST_BYTES:
            with contextlib.suppress(ValueError):
                document = json.loads(message.payload)
        if isinstance(document, dict):
            self._documents[message.topic] = document
        else:
            self._documents.pop(message.topic, None)

    def _up(self) -> None:
        self.problem = None
        self._settled.set()

    def _down(self, reason: str) -> None:
        self.problem = reason
        self._settled.set()
