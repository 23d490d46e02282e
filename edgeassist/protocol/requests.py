"""Prompt requests: their schema, and how a payload is parsed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, PlainValidator, ValidationError, field_validator, model_validator

from edgeassist.errors import InvalidRequestError
from edgeassist.protocol.asking import Asked, ReplyFormat, explain, read_json, text_of
from edgeassist.protocol.constraints import CONSTRAINTS, BoundedText, Choice, JsonSchema
from edgeassist.protocol.tools import ToolChoice, Tools, check_tools
from edgeassist.protocol.turns import MAX_MESSAGES, Turn, check_of_session, check_results
from edgeassist.protocol.values import Name, Whole

MAX_STOPS = 16
MAX_STOP_CHARACTERS = 256


def _think(value: Any) -> Any:
    if value is None or isinstance(value, bool) or value == "auto":
        return value
    raise ValueError('must be true, false or "auto"')


_Think = bool | Literal["auto"] | None
Think = Annotated[_Think, PlainValidator(_think, json_schema_input_type=_Think)]
# One text, or some; `_list_of_stops` holds them to it.
_Stop = Annotated[str, Field(min_length=1, max_length=MAX_STOP_CHARACTERS)]
_Stops = Annotated[list[_Stop], Field(max_length=MAX_STOPS)]


class PromptRequest(Asked):
    """A prompt, or a conversation, to be answered. None takes the daemon's default.

    Attributes:
        prompt: The text; this or `messages`.
        messages: A conversation; of a session the results of tools, and what the user says then.
        system: The system prompt; empty: none, not the model's own either.
        session: Goes on with the conversation of that name, or begins it; each client has its own names.
        resume: Whether the session must be known; else an expired one begins anew.
        stream: Whether events come as they happen; false: the end only.
        max_tokens: The most tokens of the answer, its thoughts included.
        temperature: 0 always picks the likeliest token.
        top_k: From so many of the likeliest tokens one is picked; 0: 1,000.
        top_p: From the likeliest tokens that have together this probability.
        min_p: From tokens with at least this part of the likeliest one's probability.
        repeat_penalty: How much less likely a token becomes that was there a moment ago; 1: not at all.
        ignore_eos: Whether the model can't end its answer, which goes on until `max_tokens` or `stop`.
        seed: The same one gives the same answer again, as far as rounding allows.
        stop: Texts before which the answer ends.
        think: Whether a model that can think before it answers does; `auto`: as its chat template has it.
        reasoning_budget: The most tokens of its thoughts, less than `max_tokens`; 0: none.
        json_schema: A JSON Schema that the answer fits, as JSON. At most one of the fields that bind it.
        regex: A regular expression that the answer matches from its beginning to its end.
        choice: 1 to 1,000 texts, one of which the answer is.
        grammar: A grammar of the answer, in Lark's notation or llama.cpp's (GBNF).
        tools: What the model may call, 1 to 128; at most 65,536 bytes.
        tool_choice: Whether it calls: as it likes, not, at least once, or that one.
        parallel_tool_calls: Whether it may call several at once.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["prompt"], "properties": {"prompt": {"type": "string", "pattern": r"\S"}}},
                {"required": ["messages"], "properties": {"messages": {"type": "array"}}},
            ]
        }
    )

    instead: ClassVar[Mapping[str, str]] = {
        "response_format": 'json_schema, with the schema itself ({"type": "object"} for any JSON object)',
        "guided_json": "json_schema",
        "guided_regex": "regex",
        "guided_choice": "choice",
        "guided_grammar": "grammar",
        "schema": "json_schema",
        "choices": "choice",
        "functions": 'tools, of which each is {"type": "function", "function": …}',
        "function_call": "tool_choice",
        ".function_call": "tool_calls",
        "questions": "a decision to <root>/decide, not to <root>/prompt",
    }

    prompt: str | None = None
    messages: Annotated[tuple[Turn, ...], Field(max_length=MAX_MESSAGES, strict=False)] | None = None
    system: str | None = None
    session: Name | None = None
    resume: bool = False
    stream: bool = True
    max_tokens: Annotated[Whole, Field(ge=1, le=1_000_000)] | None = None
    temperature: Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)] | None = None
    top_k: Annotated[Whole, Field(ge=0, le=1_000_000)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    repeat_penalty: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] | None = None
    ignore_eos: bool = False
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] | None = None
    stop: tuple[str, ...] = ()
    think: Think = None
    reasoning_budget: Annotated[Whole, Field(ge=0, le=1_000_000)] | None = None
    json_schema: JsonSchema | None = None
    regex: BoundedText | None = None
    choice: Choice | None = None
    grammar: BoundedText | None = None
    tools: Tools | None = None
    tool_choice: ToolChoice = None
    parallel_tool_calls: bool | None = None

    @field_validator("stop", mode="before", json_schema_input_type=_Stop | _Stops | None)
    @classmethod
    def _list_of_stops(cls, value: Any) -> Any:
        stops = [value] if isinstance(value, str) else [] if value is None else value
        if not isinstance(stops, list | tuple):
            return stops
        if len(stops) > MAX_STOPS or "" in stops:
            raise ValueError(f"takes at most {MAX_STOPS} texts, none of them empty")
        if any(isinstance(stop, str) and len(stop) > MAX_STOP_CHARACTERS for stop in stops):
            raise ValueError(f"a text is limited to {MAX_STOP_CHARACTERS} characters")
        return tuple(stops)

    @model_validator(mode="after")
    def _something_to_answer(self) -> PromptRequest:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("give either prompt or messages")
        if self.prompt is not None and not self.prompt.strip():
            raise ValueError("the prompt is empty")
        if self.messages is not None:
            said = [turn for turn in self.messages if turn.role != "system"]
            if not any(turn.role == "tool" or (turn.content or "").strip() for turn in said):
                raise ValueError("messages hold nothing to answer")
            if self.system is not None and any(turn.role == "system" for turn in self.messages):
                raise ValueError("give the system prompt either as system or in messages")
            (check_results if self.session is None else check_of_session)(self.messages)
        if self.think is True and self.reasoning_budget == 0:
            raise ValueError(
                "think: true, but a reasoning_budget of 0 means no thoughts: give one of the two"
            )
        if (self.reasoning_budget or 0) >= (self.max_tokens or 1_000_001):
            raise ValueError("reasoning_budget: must be less than max_tokens, which is for thoughts and text")
        if self.resume and self.session is None:
            raise ValueError("resume needs a session")
        return self

    @model_validator(mode="after")
    def _one_constraint(self) -> PromptRequest:
        given = self.constraints
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)}: one of them can bind the answer, leave out the others")
        for name in ("stop", "ignore_eos"):
            if given and getattr(self, name):
                raise ValueError(f"{given[0]} says where the answer ends: leave out {name}")
        return self

    @model_validator(mode="after")
    def _tools_that_fit(self) -> PromptRequest:
        check_tools(self.tools, self.tool_choice, parallel=self.parallel_tool_calls)
        if self.tools is None:
            return self
        if self.constraints:
            raise ValueError(f"tools and {self.constraints[0]}: either may bind the answer, leave out one")
        if self.ignore_eos:
            raise ValueError("tools: calls end an answer: leave out ignore_eos")
        if self.format is ReplyFormat.TEXT and self.tool_choice != "none":
            raise ValueError('tools: calls need events: leave out format, or say tool_choice "none"')
        return self

    @property
    def streams(self) -> bool:
        """As it wants (`Asked.streams`)."""
        return self.stream

    @property
    def constraints(self) -> tuple[str, ...]:
        """The fields that bind its answer: one, or none."""
        return tuple(name for name in CONSTRAINTS if getattr(self, name) is not None)

    @property
    def bounds(self) -> tuple[str, ...]:
        """The fields for which a model has to be held to what its answer may be."""
        return (*self.constraints, *(("tools",) if self.tools else ()))

    @property
    def results(self) -> tuple[Turn, ...]:
        """The results of tools that it begins with, for the calls of its session's last answer."""
        turns = () if self.session is None else self.messages or ()
        return tuple(turn for turn in turns if turn.role == "tool")


def parse_prompt(payload: bytes, *, limit: int) -> PromptRequest:
    """Parse a prompt topic's payload: a JSON object is a request, any other text is the prompt itself.

    Args:
        payload: The raw payload.
        limit: The most bytes allowed.

    Raises:
        TooLargeError: The payload exceeds the limit.
        InvalidRequestError: The payload is not UTF-8, or not a valid request.
    """
    text = text_of(payload, limit=limit)
    if text.lstrip().startswith("{"):
        return read_json(PromptRequest, text)
    try:
        return PromptRequest(prompt=text)
    except ValidationError as error:
        raise InvalidRequestError(explain(error, PromptRequest.instead)) from None
