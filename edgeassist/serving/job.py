"""What the engine is told of a request. Sans-I/O."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from edgeassist.engine.messages import ChatMessage, Constraint, ConstraintKind, Sampling, Start, Thinking
from edgeassist.protocol.constraints import compact_json
from edgeassist.protocol.requests import PromptRequest
from edgeassist.serving.policy import Policy


def start_of(job: str, asked: PromptRequest, history: Sequence[ChatMessage], policy: Policy) -> Start:
    """Return the command that begins the request's answer, under the engine's id for it."""
    messages = compose(asked, history, policy.system)
    return Start(
        id=job,
        messages=tuple(messages),
        sampling=sampling_of(asked, policy.defaults),
        max_tokens=asked.max_tokens or policy.max_tokens,
        stop=asked.stop,
        first=len(messages) - len(question_of(asked)),
        droppable=len(history),
        gather_ms=policy.pace.interval_s * 1000,
        constraint=constraint_of(asked),
        thinking=thinking_of(asked, policy.thinking),
    )


def compose(asked: PromptRequest, history: Sequence[ChatMessage], system: str) -> list[ChatMessage]:
    """Return the conversation for the engine: system prompt, what was said before, what is asked now."""
    messages = [*history, *question_of(asked)]
    # A request's empty one keeps a default away that the model's template may have.
    instruction = asked.system if asked.system is not None else system or None
    if instruction is not None and messages[0].role != "system":
        messages.insert(0, ChatMessage("system", instruction))
    return messages


def question_of(asked: PromptRequest) -> tuple[ChatMessage, ...]:
    """Return what is asked, as the messages that a conversation keeps of it."""
    if asked.messages is not None:
        return tuple(ChatMessage(turn.role, turn.content) for turn in asked.messages)
    return (ChatMessage("user", asked.prompt or ""),)


def constraint_of(asked: PromptRequest) -> Constraint | None:
    """Return what the answer may be; None: anything."""
    for name in asked.constraints:
        value = getattr(asked, name)
        return Constraint(ConstraintKind(name), value if isinstance(value, str) else compact_json(value))
    return None


def sampling_of(asked: PromptRequest, defaults: Sampling) -> Sampling:
    """Return how tokens are picked for that request."""
    wanted = {
        "temperature": asked.temperature,
        "top_k": asked.top_k,
        "top_p": asked.top_p,
        "min_p": asked.min_p,
        "repeat_penalty": asked.repeat_penalty,
        "seed": asked.seed,
        "ignore_eos": asked.ignore_eos,
    }
    given = {key: value for key, value in wanted.items() if value is not None}
    return msgspec.structs.replace(defaults, **given)


def thinking_of(asked: PromptRequest, default: Thinking) -> Thinking:
    """Return whether the model may think for that request, and how long."""
    wanted = default.wanted
    if asked.think is not None:
        wanted = None if asked.think == "auto" else asked.think
    elif asked.reasoning_budget == 0 or (asked.constraints and not wanted):
        # Who binds an answer wants little of it, and soon.
        wanted = False
    return Thinking(wanted, default.budget if asked.reasoning_budget is None else asked.reasoning_budget)
