"""What is of decisions alone: whether the model makes any, and by which calibration."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from edgeassist.engine.messages import Decide, Decided
from edgeassist.errors import UnsupportedError
from edgeassist.protocol.asking import ReplyFormat
from edgeassist.protocol.calibration import UNCALIBRATED, Calibration
from edgeassist.protocol.decisions import DecisionRequest
from edgeassist.protocol.events import Done
from edgeassist.serving.policy import Policy
from edgeassist.serving.request import Request
from edgeassist.serving.scores import answers_of, decide_of


class Deciding:
    """The part of `Requests` that knows decisions. Sans-I/O; time is passed in.

    Args:
        policy: Replaced whole by `apply`.

    Attributes:
        decides: Whether the model makes decisions; true until one is known.
        calibrated: How the model is calibrated.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.decides = True
        self.calibrated = UNCALIBRATED

    def apply(self, policy: Policy) -> None:
        """Go by another policy from now on."""
        self._policy = policy

    @property
    def calibration(self) -> Calibration:
        """What is in force: the model's own, but for what is configured."""
        policy, ours = self._policy, self.calibrated
        temperatures: dict[str, Any] = {kind.value: each for kind, each in policy.temperatures.items()}
        ours = replace(ours, **temperatures)
        if policy.prior is not None:
            ours = replace(ours, prior=policy.prior)
        return ours if policy.threshold is None else replace(ours, threshold=policy.threshold)

    def check(self, model: str | None) -> None:
        """Raise an UnsupportedError if the model, of that name, makes no decisions."""
        if not self.decides:
            raise UnsupportedError(
                f"the model that runs, {model}, makes no decisions: ask with a prompt whose answer is bound "
                "(choice), or run another model (the daemon's setting model.path)"
            )

    def start_of(self, asked: DecisionRequest, request: Request, job: str) -> Decide:
        """Return the command that begins it."""
        # It may end when another model has come.
        request.calibration = self.calibration
        return decide_of(job, asked, request.calibration)

    def finish(self, asked: DecisionRequest, request: Request, decided: Decided, *, now: float) -> Done:
        """End the request's stream with its answers."""
        answers = answers_of(asked, decided.scores, request.calibration)
        bare = asked.format is ReplyFormat.TEXT
        text = next(iter(answers.values())).choice if bare else ""
        return request.stream.decided(decided, answers, text=text, model=request.model, now=now)
