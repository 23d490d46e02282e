"""What every request may say, whatever it asks for, and how a payload becomes one."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator

from edgeassist.errors import InvalidRequestError, TooLargeError
from edgeassist.protocol.values import Name, Whole

MAX_METADATA_BYTES = 4096

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

# The smallest packet that every message of an answer can be made to fit; PubSubClient's buffer, as it comes.
MIN_PACKET_BYTES = 256
MAX_PACKET_BYTES = 268_435_460


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


class OnCrash(StrEnum):
    """What becomes of a request when the device, or its engine, dies while it answers it.

    ERROR: it ends as `interrupted`, or `engine_crashed`. RERUN: it is answered anew, from an `accepted` with
    `seq` 0 on.
    """

    ERROR = "error"
    RERUN = "rerun"


Format = Annotated[ReplyFormat, Field(strict=False)]
EndKind = Annotated[End, Field(strict=False)]
PacketBytes = Annotated[Whole, Field(ge=MIN_PACKET_BYTES, le=MAX_PACKET_BYTES)]


class Asked(BaseModel):
    """What every request has. None takes the daemon's default.

    Attributes:
        instead: What others call a field, and what to send instead; one within another begins with a dot.
        id: 1 to 64 of `A-Z a-z 0-9 _ -`, or a number; without one the device makes one up.
        reply_to: Where to answer, below one of `mqtt.reply_prefixes`; a Response Topic goes before it.
        format: `events`: JSON; `text`: the bare text.
        max_packet: The largest MQTT packet that the client takes, in bytes.
        end: What the end carries: `full`: all there is; `short`: only how it ended.
        priority: In the queue.
        on_crash: What becomes of it when the device dies, or stops, while it answers: it ends in an error,
            or is answered anew.
        timeout_s: How long it may take, waiting included; the Message Expiry Interval counts too.
        metadata: At most 4,096 bytes of JSON, which come back in `accepted` and in the end.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    instead: ClassVar[Mapping[str, str]] = {}

    id: Name = Field(default_factory=lambda: secrets.token_hex(8))
    reply_to: str | None = None
    format: Format = ReplyFormat.EVENTS
    max_packet: PacketBytes | None = None
    end: EndKind = End.FULL
    priority: Annotated[Priority, Field(strict=False)] = Priority.NORMAL
    on_crash: Annotated[OnCrash, Field(strict=False)] = OnCrash.ERROR
    timeout_s: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)] | None = None
    metadata: dict[str, JsonValue] | None = None

    @property
    def streams(self) -> bool:
        """Whether anything is said of it before its end."""
        return False

    @field_validator("id", mode="before", json_schema_input_type=Name | None)
    @classmethod
    def _made_up(cls, value: Any) -> Any:
        return secrets.token_hex(8) if value is None else value

    @field_validator("metadata")
    @classmethod
    def _small_metadata(cls, value: dict[str, JsonValue] | None) -> dict[str, JsonValue] | None:
        if (
            value is not None
            and len(json.dumps(value, allow_nan=False, ensure_ascii=False).encode()) > MAX_METADATA_BYTES
        ):
            raise ValueError(f"is limited to {MAX_METADATA_BYTES} bytes of JSON")
        return value


_Kind = TypeVar("_Kind", bound=Asked)


def text_of(payload: bytes, *, limit: int) -> str:
    """Return a payload as text.

    Args:
        payload: The raw payload.
        limit: The most bytes allowed.

    Raises:
        TooLargeError: The payload exceeds the limit.
        InvalidRequestError: The payload is not UTF-8.
    """
    if len(payload) > limit:
        raise TooLargeError(
            f"the payload has {len(payload)} bytes and the limit is {limit} (the daemon's setting "
            "admission.payload_bytes)",
        )
    try:
        # C programs send the NUL at the end of their strings.
        return payload.rstrip(b"\0").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"the payload is not UTF-8: byte {error.start} can't be read") from error


def read_json(kind: type[_Kind], text: str) -> _Kind:
    """Return the request that a text holds as JSON.

    Raises:
        InvalidRequestError: It holds none of that kind.
    """
    try:
        return kind.model_validate_json(text.rstrip("\0 \t\r\n"))
    except ValidationError as error:
        problem = _OF_PYTHON if _PYTHON.match(text) else explain(error, kind.instead)
        raise InvalidRequestError(problem) from None


def explain(error: ValidationError, instead: Mapping[str, str] | None = None) -> str:
    """Describe up to five validation errors for a person, by field and without the values.

    Args:
        error: What pydantic says.
        instead: What to send instead of fields that are unknown (`Asked.instead`).
    """
    problems = []
    for problem in error.errors(include_url=False)[:5]:
        field = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            ours = (instead or {}).get(field if len(problem["loc"]) == 1 else f".{problem['loc'][-1]}")
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
