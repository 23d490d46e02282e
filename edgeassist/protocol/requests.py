"""Prompt requests: their schema, and how a payload is parsed."""

from __future__ import annotations

import json
import re
import secrets
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PlainValidator,
    ValidationError,
    field_validator,
    model_validator,
)

from edgeassist.errors import InvalidRequestError, TooLargeError
from edgeassist.protocol.constraints import CONSTRAINTS, BoundedText, Choice, JsonSchema
from edgeassist.protocol.tools import ToolChoice, Tools, check_tools
from edgeassist.protocol.turns import MAX_MESSAGES, Turn, check_of_session, check_results
from edgeassist.protocol.values import Name, Whole

MAX_METADATA_BYTES = 4096
MAX_STOPS = 16
MAX_STOP_CHARACTERS = 256

# What a template gives that renders a dict and leaves out the filter.
_PYTHON = re.compile(r"\s*\{\s*'")
_OF_PYTHON = "Invalid JSON: the quotes are single, as in Python; in a template write {{ … | tojson }}"
# What should have been there, by pydantic's type of the error, and what was.
_WANTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
}
_CAME = {str: "text", bool: "true or false", list: "a list", dict: "an object", type(None): "null"}

# What others call a field of ours, and what to send instead.
_OURS = {
    "response_format": 'json_schema, with the schema itself ({"type": "object"} for any JSON object)',
    "guided_json": "json_schema",
    "guided_regex": "regex",
    "guided_choice": "choice",
    "guided_grammar": "grammar",
    "schema": "json_schema",
    "choices": "choice",
    "functions": 'tools, of which each is {"type": "function", "function": …}',
    "function_call": "tool_choice",
}
_OURS_IN_MESSAGES = {"function_call": "tool_calls"}

# The smallest packet that every message of an answer can be made to fit; PubSubClient's buffer, as it comes.
MIN_PACKET_BYTES = 256
MAX_PACKET_BYTES = 268_435_460


def _think(value: Any) -> Any:
    if value is None or isinstance(value, bool) or value == "auto":
        return value
    raise ValueError('must be true, false or "auto"')


Think = Annotated[bool | Literal["auto"] | None, PlainValidator(_think)]


class Priority(StrEnum):
    """A request's priority in the queue."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class ReplyFormat(StrEnum):
    """The format of an answer: JSON events, or bare text."""

    EVENTS = "events"
    TEXT = "text"


class End(StrEnum):
    """What the terminal event carries: everything, or no more than how it ended."""

    FULL = "full"
    SHORT = "short"


Format = Annotated[ReplyFormat, Field(strict=False)]
EndKind = Annotated[End, Field(strict=False)]
PacketBytes = Annotated[Whole, Field(ge=MIN_PACKET_BYTES, le=MAX_PACKET_BYTES)]


class PromptRequest(BaseModel):
    """A generation request. None takes the daemon's default."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: Name = Field(default_factory=lambda: secrets.token_hex(8))
    prompt: str | None = None
    messages: Annotated[tuple[Turn, ...], Field(max_length=MAX_MESSAGES, strict=False)] | None = None
    system: str | None = None
    session: Name | None = None
    resume: bool = False
    reply_to: str | None = None
    stream: bool = True
    format: Format = ReplyFormat.EVENTS
    max_packet: PacketBytes | None = None
    end: EndKind = End.FULL
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
    priority: Annotated[Priority, Field(strict=False)] = Priority.NORMAL
    timeout_s: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)] | None = None
    metadata: dict[str, JsonValue] | None = None

    @field_validator("id", mode="before")
    @classmethod
    def _made_up(cls, value: Any) -> Any:
        return secrets.token_hex(8) if value is None else value

    @field_validator("stop", mode="before")
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

    @field_validator("metadata")
    @classmethod
    def _small_metadata(cls, value: dict[str, JsonValue] | None) -> dict[str, JsonValue] | None:
        if (
            value is not None
            and len(json.dumps(value, allow_nan=False, ensure_ascii=False).encode()) > MAX_METADATA_BYTES
        ):
            raise ValueError(f"is limited to {MAX_METADATA_BYTES} bytes of JSON")
        return value

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
    if len(payload) > limit:
        raise TooLargeError(
            f"the payload has {len(payload)} bytes and the limit is {limit} (the daemon's setting "
            "admission.payload_bytes)",
        )
    try:
        # C programs send the NUL at the end of their strings.
        text = payload.rstrip(b"\0").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"the payload is not UTF-8: byte {error.start} can't be read") from error
    try:
        if text.lstrip().startswith("{"):
            return PromptRequest.model_validate_json(text.rstrip("\0 \t\r\n"))
        return PromptRequest(prompt=text)
    except ValidationError as error:
        raise InvalidRequestError(_OF_PYTHON if _PYTHON.match(text) else explain(error)) from None


def explain(error: ValidationError) -> str:
    """Describe up to five validation errors for a person, by field and without the values."""
    problems = []
    for problem in error.errors(include_url=False)[:5]:
        field = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            ours = _OURS.get(field)
            if problem["loc"][0] == "messages":
                ours = _OURS_IN_MESSAGES.get(str(problem["loc"][-1]))
            problems.append(f"unknown field {field!r}" + (f": send {ours}" if ours else ""))
        elif problem["type"] == "string_pattern_mismatch":
            problems.append(f"{field}: must be 1 to 64 of A-Z a-z 0-9 _ -")
        else:
            kind = problem["type"]
            message = problem["msg"]
            if kind == "value_error":
                message = str(problem["ctx"]["error"])
            elif kind in _WANTED:
                message = _other_kind(_WANTED[kind], problem["input"])
            problems.append(f"{field}: {message}" if field else message)
    return "; ".join(problems)


def _other_kind(wanted: str, came: object) -> str:
    """Say that a value is of another kind, such as "60" in quotes where a number belongs."""
    kind = _CAME.get(type(came), "a fraction" if wanted == _WANTED["int_type"] else "a number")
    hint = ": leave the quotes out" if kind == "text" and wanted.endswith(("number", "false")) else ""
    return f"must be {wanted}, not {kind}{hint}"
