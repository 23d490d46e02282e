"""What the engine is told of a request. Pure."""

from __future__ import annotations

import msgspec

from edgeassist.engine.messages import ChatMessage, Sampling, Start
from edgeassist.protocol.requests import PromptRequest
from edgeassist.serving.conversation import Exchange
from edgeassist.serving.policy import Policy


def start_of(job: str, request: PromptRequest, history: list[Exchange], policy: Policy) -> Start:
    """Return the command that begins the request's answer, under the engine's id for it."""
    return Start(
        id=job,
        messages=tuple(compose(request, history, policy.system)),
        sampling=sampling_of(request, policy.defaults),
        max_tokens=request.max_tokens or policy.max_tokens,
        stop=request.stop,
        droppable=2 * len(history),
        gather_ms=policy.pace.interval_s * 1000,
    )


def compose(request: PromptRequest, history: list[Exchange], system: str) -> list[ChatMessage]:
    """Return the conversation for the engine: system prompt, what was said before, what is asked now."""
    if request.messages is not None:
        messages = [ChatMessage(turn.role, turn.content) for turn in request.messages]
    else:
        messages = [
            message
            for turn in history
            for message in (ChatMessage("user", turn.question), ChatMessage("assistant", turn.answer))
        ]
        messages.append(ChatMessage("user", request.prompt or ""))
    instruction = system if request.system is None else request.system
    if instruction and messages[0].role != "system":
        messages.insert(0, ChatMessage("system", instruction))
    return messages


def sampling_of(request: PromptRequest, defaults: Sampling) -> Sampling:
    """Return how tokens are picked for that request."""
    asked = {
        "temperature": request.temperature,
        "top_k": request.top_k,
        "top_p": request.top_p,
        "min_p": request.min_p,
        "repeat_penalty": request.repeat_penalty,
        "seed": request.seed,
    }
    given = {key: value for key, value in asked.items() if value is not None}
    return msgspec.structs.replace(defaults, **given)
