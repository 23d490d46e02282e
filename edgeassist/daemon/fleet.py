"""This device as a box of a fleet: what the gateway for that takes, and the command `drain`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import JsonValue

from edgeassist import __version__
from edgeassist.broker import Broker
from edgeassist.daemon.condition import Condition
from edgeassist.errors import InvalidRequestError
from edgeassist.fleet.load import Load
from edgeassist.gateways.commands import Say
from edgeassist.gateways.mqtt.asking import AskingOptions
from edgeassist.protocol.commands import DrainArguments
from edgeassist.protocol.fleet import SESSION_SUFFIX
from edgeassist.settings import Settings
from edgeassist.supervision.supervisor import Phase
from edgeassist.wiring import broker_options, client_id_of, fleet_topics_of

if TYPE_CHECKING:
    from edgeassist.gateways.fleet.links import Session
    from edgeassist.gateways.fleet.member import Member

# A message that is handed over is longer than what the client published by what stands around it.
_AROUND_BYTES = 1 << 16
_ABLE = frozenset({Phase.READY, Phase.SLEEPING})


class FleetRoom:
    """The member of the fleet, or none: then the hooks do nothing.

    Args:
        settings: Those of the start.
        condition: How this device is.
        asking: Returns how requests are read and answered.

    Attributes:
        member: The gateway; None where `fleet.group` names no fleet.
    """

    def __init__(self, settings: Settings, condition: Condition, asking: Callable[[], AskingOptions]) -> None:
        self._settings = settings
        self._condition = condition
        self.member: Member | None = None
        topics = fleet_topics_of(settings)
        if topics is None:
            return
        # Most devices are in none.
        from edgeassist.gateways.fleet.member import Member  # noqa: PLC0415 - as said above
        from edgeassist.gateways.fleet.options import FleetOptions  # noqa: PLC0415
        from edgeassist.gateways.fleet.presence import Identity  # noqa: PLC0415

        identity = Identity(
            condition.topics.device,
            condition.topics.root,
            f"{client_id_of(settings)}{SESSION_SUFFIX}",
            condition.boot_id,
            __version__,
        )
        self.member = Member(
            topics,
            identity,
            FleetOptions(
                settings.fleet.adopt_s, settings.fleet.session_expiry_s, settings.fleet.receive_maximum
            ),
            asking,
            connect=self._connect,
            requests=condition.requests,
            load=self._load,
        )
        condition.in_fleet = self.member.words

    def apply(self, adopt_s: float) -> None:
        """Go by another `fleet.adopt_s`."""
        if self.member is not None:
            self.member.apply(adopt_s)

    def changed(self) -> None:
        """Look again at how this device is."""
        if self.member is not None:
            self.member.changed()

    def unusable(self) -> None:
        """Leave requests to others: no model can be had here."""
        if self.member is not None:
            self.member.unusable()

    async def settle(self) -> None:
        """Say the last word."""
        if self.member is not None:
            await self.member.settle()

    async def drain(self, arguments: DrainArguments, _say: Say) -> dict[str, JsonValue]:
        """Carry the command out.

        Raises:
            InvalidRequestError: This device is in no fleet.
        """
        if self.member is None:
            raise InvalidRequestError("this device is in no fleet (the daemon's setting fleet.group)")
        return self.member.drain(on=arguments.drain)

    def _load(self) -> Load:
        condition = self._condition
        supervisor, requests = condition.supervisor, condition.requests
        able = supervisor.phase in _ABLE
        return Load(
            model=None if supervisor.model is None else supervisor.model.name,
            slots=0 if supervisor.model is None or not able else supervisor.model.slots,
            running=requests.running,
            waiting=requests.queued,
            held_back=condition.threads.held_back,
            problem=None if able else self._problem(),
        )

    def _problem(self) -> str:
        state, reason = self._condition.state()
        return reason or f"the model is {state.value}"

    def _connect(
        self, session: Session, *, on_up: Callable[[], None], on_down: Callable[[str], None]
    ) -> Broker:
        options = broker_options(self._settings, client_id=session.client_id)
        options = replace(
            options,
            will=session.will,
            session_expiry_s=session.expiry_s,
            receive_maximum=session.receive_maximum,
            takes_stale=True,
            ordered_acknowledgements=False,
            max_packet_bytes=options.max_packet_bytes + _AROUND_BYTES,
        )
        return Broker(options, on_up=on_up, on_down=on_down)
