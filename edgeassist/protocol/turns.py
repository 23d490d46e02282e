"""The messages of a conversation, as OpenAI writes them, and which of them may follow which."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from edgeassist.protocol.tools import CallId, PastCall

MAX_MESSAGES = 256


def _role(value: Any) -> Any:
    if value == "function":
        raise ValueError('"function" is an old name: send the role "tool" with a tool_call_id')
    return value


class Turn(BaseModel):
    """A message of a conversation.

    Attributes:
        role: Whose it is.
        content: Its text; None only of an assistant that called tools and said nothing.
        tool_calls: What an assistant called.
        tool_call_id: Which call the result of a tool belongs to.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    role: Annotated[Literal["system", "user", "assistant", "tool"], BeforeValidator(_role)]
    tool_calls: Annotated[tuple[PastCall, ...], Field(strict=False, max_length=MAX_MESSAGES)] | None = None
    content: Annotated[str | None, Field(validate_default=True)] = None
    tool_call_id: Annotated[CallId | None, Field(validate_default=True)] = None

    @field_validator("tool_calls")
    @classmethod
    def _of_an_assistant(
        cls, calls: tuple[PastCall, ...] | None, info: ValidationInfo
    ) -> tuple[PastCall, ...] | None:
        if calls and info.data.get("role", "assistant") != "assistant":
            raise ValueError("only an assistant's message has them")
        ids = [call.id for call in calls or ()]
        if len(set(ids)) < len(ids):
            raise ValueError("an id comes twice: every call needs one of its own")
        return calls

    @field_validator("content")
    @classmethod
    def _a_text(cls, content: str | None, info: ValidationInfo) -> str | None:
        # What is wrong with the calls is said already.
        if content is None and not info.data.get("tool_calls", True):
            raise ValueError("missing: it is a text")
        return content

    @field_validator("tool_call_id")
    @classmethod
    def _of_a_result(cls, call: str | None, info: ValidationInfo) -> str | None:
        result = info.data.get("role") == "tool"
        if result and call is None:
            raise ValueError("missing: it says which call's result this is")
        if call is not None and not result and "role" in info.data:
            raise ValueError("only a message of the role tool has one")
        return call


def check_results(turns: Sequence[Turn]) -> None:
    """Raise a ValueError unless the results of all calls follow the message that has them at once."""
    known: list[str] = []
    missing: list[PastCall] = []
    for number, turn in enumerate(turns):
        if turn.role != "tool":
            _check_answered(missing, f"messages.{number}")
            missing = list(turn.tool_calls or ())
            known = [call.id for call in missing]
            continue
        if turn.tool_call_id not in known:
            called = f"it called {', '.join(known)}" if known else "it called nothing"
            raise ValueError(
                f"messages.{number}.tool_call_id: {turn.tool_call_id!r} is no call of the assistant's "
                f"message before it: {called}"
            )
        if turn.tool_call_id not in [call.id for call in missing]:
            raise ValueError(f"messages.{number}.tool_call_id: {turn.tool_call_id!r} has its result already")
        missing = [call for call in missing if call.id != turn.tool_call_id]
    _check_answered(missing, "at the end of messages")


def check_of_session(turns: Sequence[Turn]) -> None:
    """Raise a ValueError unless they are what a session takes as messages: results, and then the user's."""
    results = [turn for turn in turns if turn.role == "tool"]
    rest = turns[len(results) :]
    if not results or list(turns[: len(results)]) != results or any(turn.role != "user" for turn in rest):
        raise ValueError(
            "a session keeps the messages itself: send prompt with it, or as messages the results of tools "
            "and what the user says then, or no session"
        )
    ids = [turn.tool_call_id for turn in results]
    if twice := next((id_ for at, id_ in enumerate(ids) if id_ in ids[:at]), None):
        raise ValueError(f"messages: the call {twice!r} has two results")


def missing_results(calls: Iterable[tuple[str, str]]) -> str:
    """Say what is to be done about calls, of which there are ids and names, that have no results."""
    said = ", ".join(f"{id_} ({name})" for id_, name in calls)
    return (
        f"a result is missing, of {said}: send a message of the role tool, with tool_call_id and content, "
        "for every call"
    )


def _check_answered(missing: Sequence[PastCall], place: str) -> None:
    if missing:
        raise ValueError(f"{place}: {missing_results((call.id, call.function.name) for call in missing)}")
