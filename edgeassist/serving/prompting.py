"""What is of prompts alone: what a model must be able to do for one, and the conversation that it is in."""

from __future__ import annotations

from collections.abc import Iterable

from edgeassist.engine.messages import Finished, Start
from edgeassist.errors import UnsupportedError
from edgeassist.protocol.events import Done
from edgeassist.protocol.requests import PromptRequest
from edgeassist.serving.caller import Key
from edgeassist.serving.conversation import Conversations
from edgeassist.serving.job import answer_of, question_of, start_of
from edgeassist.serving.policy import Policy
from edgeassist.serving.request import Request


class Prompting:
    """The part of `Requests` that knows prompts. Sans-I/O; time is passed in.

    Args:
        policy: Replaced whole by `apply`.

    Attributes:
        constrains: Whether the model can bind an answer; true until one is known.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.constrains = True
        self._conversations = Conversations(policy.bounds)

    def apply(self, policy: Policy) -> None:
        """Go by another policy from now on."""
        self._policy = policy
        self._conversations.bounds = policy.bounds

    def check(self, asked: PromptRequest, model: str | None) -> None:
        """Raise an UnsupportedError if the model, of that name, can't be held to what the answer may be."""
        if asked.bounds and not self.constrains:
            raise UnsupportedError(
                f"the model that runs, {model}, can't be held to {' or '.join(asked.bounds)}: "
                "leave it out, or run another model (the daemon's setting model.path)"
            )

    def check_session(self, asked: PromptRequest, request: Request, others: Iterable[Request]) -> None:
        """Raise an InvalidRequestError if a session must be known, and is not."""
        if not asked.resume or request.session is None:
            return
        # One that began a moment ago is known too, though its first answer is not complete.
        if all(each.session != request.session for each in others):
            self._conversations.require(request.session, request.arrived)

    def knows(self, session: Key, now: float) -> bool:
        """Whether something of that conversation is kept."""
        return bool(self._conversations.recall(session, now))

    def forget(self, callers: str) -> None:
        """Forget the conversations of callers whose name begins so."""
        self._conversations.forget(callers)

    def start_of(self, asked: PromptRequest, request: Request, job: str, now: float) -> Start:
        """Return the command that begins the answer.

        Raises:
            InvalidRequestError: It does not fit what was said in its conversation.
        """
        history = [] if request.session is None else self._conversations.recall(request.session, now)
        request.stream.session_began = request.session is not None and not history
        return start_of(job, asked, history, self._policy)

    def finish(self, asked: PromptRequest, request: Request, finished: Finished, *, now: float) -> Done:
        """End the request's stream with its answer, and keep that where it belongs to a conversation."""
        done = request.stream.done(finished, model=request.model, session=asked.session, now=now)
        if request.session is not None:
            turn = (*question_of(asked), answer_of(done))
            self._conversations.remember(request.session, turn, now)
        return done
