"""One request in its life: who asked for what, until when, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from edgeassist.protocol.calibration import UNCALIBRATED, Calibration
from edgeassist.protocol.decisions import DecisionRequest
from edgeassist.protocol.requests import PromptRequest
from edgeassist.serving.stream import Stream

# What may be asked: an answer, or a decision.
AnyRequest = PromptRequest | DecisionRequest


class State(Enum):
    """Where a request is; it only ever goes back from RUNNING to WAITING, when its engine is lost."""

    WAITING = auto()
    RUNNING = auto()
    ENDED = auto()


class Key(NamedTuple):
    """A caller's name for something, such as a request or a session; another caller may use the same name."""

    caller: str
    name: str


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the transport knows it.

    Attributes:
        name: Whose ids, sessions and quota these are; None for all who share one door. A transport keeps its
            callers apart from another's by a prefix with a slash, which no name on MQTT has.
        fingerprint: The same for two copies of one message, and for nothing else; None where the request's
            own content tells that.
        expiry_s: Seconds after which the caller no longer wants the answer; None: no limit of its own.
        metered: Whether its requests count against the limits of the queue and of each client; not where the
            transport leaves what it has no room for with whoever brought it.
    """

    name: str | None = None
    fingerprint: bytes | None = None
    expiry_s: float | None = None
    metered: bool = True

    def key(self, name: str) -> Key:
        """Return the key of what this caller calls so."""
        return Key(self.name or "", name)


@dataclass(slots=True, eq=False)
class Request:
    """A request that was admitted. Times in seconds of one monotonic clock.

    Attributes:
        asked: What was asked.
        caller: By whom.
        fingerprint: Tells a repeat from another request of the same key.
        stream: Its events on their way out.
        attempts: How often the engine was given it.
        job: What the engine calls it; None while no engine has it.
        model: The name of the model that was given it last.
        calibration: By what a decision of that model is made honest.
    """

    asked: AnyRequest
    caller: Caller
    fingerprint: bytes
    stream: Stream
    arrived: float
    deadline: float
    state: State = State.WAITING
    attempts: int = 0
    job: str | None = None
    model: str = ""
    calibration: Calibration = UNCALIBRATED

    @property
    def key(self) -> Key:
        """What tells it from others."""
        return self.caller.key(self.asked.id)

    @property
    def session(self) -> Key | None:
        """Its conversation; requests of one conversation run one after the other."""
        name = self.asked.session if isinstance(self.asked, PromptRequest) else None
        return None if name is None else self.caller.key(name)
