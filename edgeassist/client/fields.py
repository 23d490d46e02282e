"""What a caller may say: of a request, and of the connection. The names are those of docs/protocol.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from edgeassist.broker.options import Tls


class Fields(TypedDict, total=False):
    """The fields of a request beside the prompt. One that is left out, or None, takes the device's default.

    Attributes:
        id: Names the request, for `cancel`; by default one is made up.
        messages: A conversation, in place of the prompt: `{"role": "user", "content": "…"}`. With a session,
            the results of its last answer's calls (`ToolCall.result`), and what the user says then.
        system: The system prompt.
        session: Goes on with the conversation of that name, or begins it.
        resume: The session must be known.
        think: Whether the model may think before it answers, where it can; "auto": as it does by itself.
            By default a bound answer comes without thoughts.
        reasoning_budget: The most tokens of its thoughts.
        on_crash: What becomes of it when the device, or its engine, dies while it answers: it fails (the
            default), or is answered anew.
        timeout_s: How long it may take in all, waiting included, in seconds.
        busy_s: How long to ask again a device that has no room, in seconds; by default the client's.
        json_schema: The answer is JSON that fits this schema.
        regex: The answer matches this regular expression, from its beginning to its end.
        choice: The answer is one of these texts.
        grammar: The answer is a text of this grammar, in Lark's or GBNF's notation.
        tools: What the model may call (`tool`).
        tool_choice: Whether it calls any: as it likes, none, at least one, or that of a name:
            `{"type": "function", "function": {"name": "…"}}`.
        parallel_tool_calls: Whether it may call several at once; by default it may.
        metadata: Comes back with the answer.
    """

    id: str | None
    messages: Sequence[Mapping[str, Any]] | None
    system: str | None
    session: str | None
    resume: bool | None
    max_tokens: int | None
    temperature: float | None
    top_k: int | None
    top_p: float | None
    min_p: float | None
    repeat_penalty: float | None
    ignore_eos: bool | None
    seed: int | None
    stop: str | Sequence[str] | None
    think: bool | Literal["auto"] | None
    reasoning_budget: int | None
    json_schema: Mapping[str, Any] | None
    regex: str | None
    choice: Sequence[str] | None
    grammar: str | None
    tools: Sequence[Mapping[str, Any]] | None
    tool_choice: Literal["auto", "none", "required"] | Mapping[str, Any] | None
    parallel_tool_calls: bool | None
    priority: Literal["low", "normal", "high"] | None
    on_crash: Literal["error", "rerun"] | None
    timeout_s: float | None
    metadata: Mapping[str, Any] | None
    busy_s: float | None


class DecisionFields(TypedDict, total=False):
    """The fields of a request for a decision beside state and questions, as in `Fields`.

    Attributes:
        instructions: What to know for all questions.
        examples: Of right answers: `{"state": …, "answers": {"room": "kitchen"}}`.
        threshold: Where the two most probable options of an answer are less apart, it abstains; 0 to 1.
    """

    id: str | None
    instructions: str | None
    examples: Sequence[Mapping[str, Any]] | None
    threshold: float | None
    priority: Literal["low", "normal", "high"] | None
    on_crash: Literal["error", "rerun"] | None
    timeout_s: float | None
    metadata: Mapping[str, Any] | None
    busy_s: float | None


class Options(TypedDict, total=False):
    """The keywords of `AsyncClient`, which describes them."""

    device: str | None
    fleet: str | None
    base: str
    name: str | None
    username: str | None
    password: str | None
    tls: Tls | bool
    protocol: Literal["5", "3.1.1"]
    client_id: str | None
    connect_s: float
    reconnect_s: float
    return_s: float
    busy_s: float
