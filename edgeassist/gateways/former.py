"""Withdraws what this device published under a name that it has no more, where nobody else has that name."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol

from edgeassist.former.register import Name
from edgeassist.former.remains import Remains, Verdict, clearing
from edgeassist.gateways.gateway import Gateway
from edgeassist.gateways.link import Link, Route
from edgeassist.protocol.packets import Inbound, Outbound, Subscription
from edgeassist.protocol.topics import Topics

log = logging.getLogger(__name__)

# Some brokers send what they keep a little after they have granted the subscription.
SETTLE_S = 2.0
# How long the broker may take for an echo.
LIMIT_S = 15.0
# How long a device that is `online` has to be silent to be dead: every one speaks each `daemon.telemetry_s`,
# and the will comes after one and a half times `mqtt.keepalive_s`.
SILENT_S = 180.0


class Names(Protocol):
    """`former.register.Register`, seen from here."""

    def enter(self, name: Name) -> None:
        """Note a name as that of this process; may raise OSError."""
        ...

    def former(self, present: Topics) -> list[Name]:
        """Return the names that no daemon has now; may raise OSError."""
        ...

    def forget(self, topics: Topics) -> None:
        """Drop a name."""
        ...

    def close(self) -> None:
        """Let go of this process's name."""
        ...


class FormerNames(Gateway):
    """Looks, once in a run, for what stands under former names, and clears it.

    With `device.name` or `mqtt.base` changed, all that is retained under the old name stays at the broker:
    programs see a device that is offline for ever, and Home Assistant has its entities twice. The names are
    in the state directory. That a name was this device's is not enough, since cards are copied and names
    handed on: what stands there must be of the last run that the state directory knows, and nobody may speak
    there.

    Args:
        topics: This device's.
        boot_id: Of this run.
        names: The names that there have been.
        broker: Takes and brings the messages.
    """

    def __init__(self, topics: Topics, boot_id: str, names: Names, broker: Link) -> None:
        self._topics = topics
        self._boot_id = boot_id
        self._names = names
        self._broker = broker
        self._leavings: list[_Leaving] | None = None

    def connected(self) -> None:
        """Note the present name, and look for what stands under others."""
        if self._leavings is None:
            self._leavings = [
                _Leaving(name, self._topics, self._names, self._broker) for name in self._find()
            ]
        for leaving in self._leavings:
            leaving.begin()

    def close(self) -> None:
        """Stop looking: the next run goes on."""
        for leaving in self._leavings or ():
            leaving.end()
        self._names.close()

    def _find(self) -> list[Name]:
        try:
            self._names.enter(Name(self._topics, self._boot_id))
            return self._names.former(self._topics)
        except OSError as error:
            log.warning("can't keep the device's name (%s): after a change of it, the old one stays", error)
            return []


class _Stage(Enum):
    """`WAITING`: whether somebody speaks there. `CONFIG`, `STATES`: that this is cleared."""

    LOOKING = auto()
    WAITING = auto()
    CONFIG = auto()
    STATES = auto()
    OVER = auto()


class _Leaving:
    """The end of one name."""

    def __init__(self, name: Name, present: Topics, names: Names, broker: Link) -> None:
        self._name = name
        self._root = name.topics.root
        self._present = present.root
        self._names = names
        self._broker = broker
        self._routes: list[Route] = []
        self._timer: asyncio.TimerHandle | None = None
        self._remains = Remains(name, self._present)
        self._stage = _Stage.LOOKING
        self._config: str | None = None

    def begin(self) -> None:
        """Look at what the broker keeps, anew with each connection until that is settled."""
        if self._stage is _Stage.OVER:
            return
        self._remains = Remains(self._name, self._present)
        self._stage = _Stage.LOOKING
        if not self._routes:
            self._listen(*self._remains.filters)
        # What comes back after all that is kept, and only where this device may read and write there. Empty
        # and not retained, it means nothing to anybody.
        self._broker.publish(Outbound(self._name.topics.instance, b"", qos=1))
        self._wait(LIMIT_S, self._give_up)

    def end(self) -> None:
        """Listen no more."""
        self._stage = _Stage.OVER
        for route in self._routes:
            route.close()
        self._routes.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _listen(self, *filters: str) -> None:
        for each in filters:
            # Not at QoS 1: what the broker kept for us is old news.
            self._routes.append(self._broker.subscribe(Subscription(each, qos=0, optional=True), self._hear))

    def _wait(self, seconds: float, then: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, then)

    def _hear(self, message: Inbound) -> None:
        live, empty = not message.retained, not message.payload
        echo = live and empty and message.topic == self._name.topics.instance
        if self._stage is _Stage.LOOKING and echo:
            self._wait(SETTLE_S, self._judge)
            return
        self._remains.hear(message)
        if self._stage is _Stage.WAITING and live and message.topic == self._name.topics.status:
            self._judge()
        elif self._stage is _Stage.CONFIG and live and empty and message.topic == self._config:
            self._clear_states()
        elif self._stage is _Stage.STATES and not self._remains.held:
            log.info("this device was %s before: what was published under that name is withdrawn", self._root)
            self._names.forget(self._name.topics)
            self.end()

    def _judge(self, *, silent: bool = False) -> None:
        match self._remains.verdict():
            case Verdict.NOTHING:
                self._names.forget(self._name.topics)
                self.end()
            case Verdict.ANOTHERS:
                log.info("this device was %s before; what stands there now is not its own: left", self._root)
                self.end()
            case Verdict.ONLINE if not silent:
                self._stage = _Stage.WAITING
                self._wait(SILENT_S, lambda: self._judge(silent=True))
            case Verdict.OURS | Verdict.ONLINE:
                self._clear_config()

    def _clear_config(self) -> None:
        """Take the device out of Home Assistant first: without its states it would be there for ever."""
        self._config = self._remains.config
        if self._config is None:
            self._clear_states()
            return
        self._stage = _Stage.CONFIG
        self._listen(self._config)
        self._clear(self._config)
        self._wait(LIMIT_S, self._give_up)

    def _clear_states(self) -> None:
        self._stage = _Stage.STATES
        for topic in self._remains.held:
            self._clear(topic)
        self._wait(LIMIT_S, self._give_up)

    def _clear(self, topic: str) -> None:
        self._broker.publish(Outbound(topic, b"", qos=1, retain=True))

    def _give_up(self) -> None:
        if self._stage is _Stage.LOOKING:
            log.warning(
                "this device was %s before, and what it published then may still be there: the broker does "
                "not let it look, or not write (topic readwrite %s/#)",
                self._root,
                self._root,
            )
        else:
            config = [self._config] if self._stage is _Stage.CONFIG and self._config else []
            log.warning(
                "this device was %s before, and the broker does not say that what it published then is gone; "
                "to clear it by hand: %s",
                self._root,
                clearing([*config, *self._remains.held]),
            )
        self.end()
