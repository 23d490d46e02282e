"""What the engine is told of a request. Sans-I/O."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from edgeassist.engine.messages import (
    ChatMessage,
    Choice,
    Constraint,
    ConstraintKind,
    Sampling,
    Start,
    Thinking,
    Tool,
    ToolCall,
    Tools,
)
from edgeassist.errors import InvalidRequestError
from edgeassist.protocol import tools
from edgeassist.protocol.constraints import compact_json
from edgeassist.protocol.events import Done
from edgeassist.protocol.requests import PromptRequest
from edgeassist.protocol.turns import Turn, missing_results
from edgeassist.serving.conversation import settle
from edgeassist.serving.policy import Policy

# How often the engine tells text that nobody is sent before the end: for the error of one that does not end
# well, and for the list of requests.
WHOLE_S = 1.0


def start_of(job: str, asked: PromptRequest, history: Sequence[ChatMessage], policy: Policy) -> Start:
    """Return the command that begins the request's answer, under the engine's id for it.

    Raises:
        InvalidRequestError: Its results of tools are not those of the calls in its session's last answer.
    """
    check_answered(asked, history)
    interval_s = policy.pace.interval_s
    messages = compose(asked, history, policy.system)
    return Start(
        id=job,
        messages=tuple(messages),
        sampling=sampling_of(asked, policy.defaults),
        max_tokens=asked.max_tokens or policy.max_tokens,
        stop=asked.stop,
        first=len(messages) - len(question_of(asked)),
        droppable=droppable(asked, history),
        gather_ms=1000 * (interval_s if asked.streams else max(interval_s, WHOLE_S)),
        constraint=constraint_of(asked),
        thinking=thinking_of(asked, policy.thinking),
        tools=tools_of(asked),
    )


def compose(asked: PromptRequest, history: Sequence[ChatMessage], system: str) -> list[ChatMessage]:
    """Return the conversation for the engine: system prompt, what was said before, what is asked now."""
    messages = settle([*history, *question_of(asked)])
    # A request's empty one keeps a default away that the model's template may have.
    instruction = asked.system if asked.system is not None else system or None
    if instruction is not None and messages[0].role != "system":
        messages.insert(0, ChatMessage("system", instruction))
    return messages


def question_of(asked: PromptRequest) -> tuple[ChatMessage, ...]:
    """Return what is asked, as the messages that a conversation keeps of it."""
    if asked.messages is not None:
        return tuple(map(_message, asked.messages))
    return (ChatMessage("user", asked.prompt or ""),)


def answer_of(done: Done) -> ChatMessage:
    """Return an answer as a conversation keeps it."""
    return ChatMessage("assistant", done.text, tuple(map(_call, done.tool_calls)))


def check_answered(asked: PromptRequest, history: Sequence[ChatMessage]) -> None:
    """Raise an InvalidRequestError unless a session's results are those of the calls in its last answer."""
    if not asked.results:
        return
    if not history:
        raise InvalidRequestError(
            f"the session {asked.session!r} is not known, so it has no call that this could be a result of: "
            "ask again from the beginning, or send the whole conversation as messages without session"
        )
    calls = {call.id: call.name for call in history[-1].calls}
    waits = f"it called {', '.join(calls)}" if calls else "it called nothing, or has the results already"
    for number, turn in enumerate(asked.results):
        if turn.tool_call_id not in calls:
            raise InvalidRequestError(
                f"messages.{number}.tool_call_id: {turn.tool_call_id!r} is no call of the session's last "
                f"answer: {waits}"
            )
    given = {turn.tool_call_id for turn in asked.results}
    missing = [(id_, name) for id_, name in calls.items() if id_ not in given]
    if missing:
        raise InvalidRequestError(f"messages: {missing_results(missing)}")


def droppable(asked: PromptRequest, history: Sequence[ChatMessage]) -> int:
    """Return how many messages of history may be left out: with results, not those that they belong to."""
    if not asked.results:
        return len(history)
    return max(at for at, message in enumerate(history) if message.role == "user")


def tools_of(asked: PromptRequest) -> Tools | None:
    """Return what the model may call; None: nothing."""
    if asked.tools is None:
        return None
    choice = asked.tool_choice or "auto"
    return Tools(
        tuple(
            Tool(
                tool.function.name,
                tool.function.description or "",
                compact_json(tool.function.parameters or {}),
            )
            for tool in asked.tools
        ),
        Choice(choice) if isinstance(choice, str) else Choice.REQUIRED,
        only="" if isinstance(choice, str) else choice.function.name,
        parallel=asked.parallel_tool_calls is not False,
    )


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
        # Who binds an answer wants little of it, and soon; whether to call a tool is worth a thought.
        wanted = False
    return Thinking(wanted, default.budget if asked.reasoning_budget is None else asked.reasoning_budget)


def _message(turn: Turn) -> ChatMessage:
    calls = tuple(map(_call, turn.tool_calls or ()))
    return ChatMessage(turn.role, turn.content or "", calls, turn.tool_call_id or "")


def _call(call: tools.ToolCall) -> ToolCall:
    return ToolCall(call.function.name, call.function.arguments, call.id)
