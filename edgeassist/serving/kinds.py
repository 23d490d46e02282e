"""The kinds of requests, each of which knows what is of it alone. Sans-I/O; time is passed in."""

from __future__ import annotations

from collections.abc import Iterable

from edgeassist.engine.messages import Decide, Decided, Finished, Start
from edgeassist.errors import InternalError
from edgeassist.protocol.calibration import Calibration
from edgeassist.protocol.decisions import DecisionRequest
from edgeassist.protocol.events import Done
from edgeassist.protocol.requests import PromptRequest
from edgeassist.serving.caller import Key
from edgeassist.serving.deciding import Deciding
from edgeassist.serving.policy import Policy
from edgeassist.serving.prompting import Prompting
from edgeassist.serving.request import AnyRequest, Request


class Kinds:
    """Prompts and decisions.

    Args:
        policy: Replaced whole by `apply`.
    """

    def __init__(self, policy: Policy) -> None:
        self._prompting = Prompting(policy)
        self._deciding = Deciding(policy)

    def apply(self, policy: Policy) -> None:
        """Go by another policy from now on."""
        self._prompting.apply(policy)
        self._deciding.apply(policy)

    @property
    def calibration(self) -> Calibration:
        """By what decisions are made honest."""
        return self._deciding.calibration

    def model_loaded(self, *, constrains: bool, decides: bool, calibration: Calibration) -> None:
        """Note what the model can do."""
        self._prompting.constrains = constrains
        self._deciding.decides, self._deciding.calibrated = decides, calibration

    def model_lost(self) -> None:
        """Note that what the next model can do is found out when it is ready."""
        self._prompting.constrains = self._deciding.decides = True

    def check_model(self, asked: AnyRequest, model: str | None) -> None:
        """Raise an UnsupportedError if the model, of that name, can't do what is asked."""
        match asked:
            case PromptRequest():
                self._prompting.check(asked, model)
            case DecisionRequest():
                self._deciding.check(model)

    def check_session(self, request: Request, others: Iterable[Request]) -> None:
        """Raise an InvalidRequestError if it goes on with what must be known, and is not."""
        if isinstance(request.asked, PromptRequest):
            self._prompting.check_session(request.asked, request, others)

    def knows(self, session: Key, now: float) -> bool:
        """Whether something of that conversation is kept."""
        return self._prompting.knows(session, now)

    def forget(self, callers: str) -> None:
        """Forget the conversations of callers whose name begins so."""
        self._prompting.forget(callers)

    def start_of(self, request: Request, job: str, now: float) -> Start | Decide:
        """Return the command that begins it.

        Raises:
            InvalidRequestError: It does not fit what was said in its conversation.
        """
        match request.asked:
            case PromptRequest() as asked:
                return self._prompting.start_of(asked, request, job, now)
            case DecisionRequest() as asked:
                return self._deciding.start_of(asked, request, job)

    def finish(self, request: Request, end: Finished | Decided, *, now: float) -> Done:
        """End its stream with what came of it.

        Raises:
            InternalError: That is not what was asked for.
        """
        match request.asked, end:
            case PromptRequest() as asked, Finished():
                return self._prompting.finish(asked, request, end, now=now)
            case DecisionRequest() as asked, Decided():
                return self._deciding.finish(asked, request, end, now=now)
            case _:
                raise InternalError("the engine has answered what was not asked")
