"""One request in its life: who asked for what, until when, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from edgeassist.protocol.calibration import UNCALIBRATED, Calibration
from edgeassist.protocol.decisions import DecisionRequest
from edgeassist.protocol.requests import PromptRequest
from edgeassist.serving.caller import Caller, Key
from edgeassist.serving.record import Record
from edgeassist.serving.stream import Stream

# What may be asked: an answer, or a decision.
AnyRequest = PromptRequest | DecisionRequest


class State(Enum):
    """Where a request is; it only ever goes back from RUNNING to WAITING, when its engine is lost."""

    WAITING = auto()
    RUNNING = auto()
    ENDED = auto()


@dataclass(slots=True, eq=False)
class Request:
    """A request that was admitted. Times in seconds of one monotonic clock.

    Attributes:
        asked: What was asked.
        caller: By whom.
        fingerprint: Tells a repeat from another request of the same key.
        stream: Its events on their way out.
        record: What is written down of it.
        attempts: How often the engine was given it, since it was accepted or last begun anew.
        reruns: How often it has begun anew because its engine was gone.
        job: What the engine calls it; None while no engine has it.
        model: The name of the model that was given it last.
        calibration: By what a decision of that model is made honest.
        prompt_tokens: How many tokens its prompt has; 0 until the engine says so.
        processed: How many of them are read.
        completion_tokens: How many tokens of the answer the engine has told, so far.
    """

    asked: AnyRequest
    caller: Caller
    fingerprint: bytes
    stream: Stream
    record: Record
    arrived: float
    deadline: float
    state: State = State.WAITING
    attempts: int = 0
    reruns: int = 0
    job: str | None = None
    model: str = ""
    calibration: Calibration = UNCALIBRATED
    prompt_tokens: int = 0
    processed: int = 0
    completion_tokens: int = 0

    @property
    def key(self) -> Key:
        """What tells it from others."""
        return self.caller.key(self.asked.id)

    @property
    def session(self) -> Key | None:
        """Its conversation; requests of one conversation run one after the other."""
        name = self.asked.session if isinstance(self.asked, PromptRequest) else None
        return None if name is None else self.caller.key(name)

    def begin(self, job: str) -> None:
        """Note that an engine has it, under that name; what another one had computed of it is gone."""
        self.job = job
        self.attempts += 1
        self.prompt_tokens = self.processed = self.completion_tokens = 0
