"""Tools, calls of them and which may be called, as OpenAI writes them: their types and limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import from_json

from edgeassist.protocol.constraints import MAX_SCHEMA_DEPTH, JsonSchema, compact_json, depth
from edgeassist.protocol.values import NAME_PATTERN

# The fields of a request.
TOOL_FIELDS = ("tools", "tool_choice", "parallel_tool_calls")
MAX_TOOLS = 128
# Of all of them, in UTF-8 as compact JSON.
MAX_TOOLS_BYTES = 65_536
MAX_CALL_ID_CHARACTERS = 128
# Of an id that the daemon gives: as many as some models' chat templates insist on.
CALL_ID_CHARACTERS = 9

_AS_TOOL = '{"type": "function", "function": {"name": …, "description": …, "parameters": …}}'
_AS_CHOICE = '"auto", "none", "required" or {"type": "function", "function": {"name": …}}'

FunctionName = Annotated[str, Field(pattern=NAME_PATTERN)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Function(_Strict):
    """What a tool is.

    Attributes:
        name: By which it is called.
        description: What it does, for the model.
        parameters: The JSON Schema of its arguments, which are an object; None: it takes none.
        strict: Without effect: arguments always fit their schema.
    """

    name: FunctionName
    description: str | None = None
    parameters: JsonSchema | None = None
    strict: bool | None = None

    @field_validator("parameters")
    @classmethod
    def _of_an_object(cls, schema: dict[str, JsonValue] | None) -> dict[str, JsonValue] | None:
        if schema and schema.get("type", "object") != "object":
            raise ValueError('must be the schema of an object, with "type": "object": arguments have names')
        return schema


class Tool(_Strict):
    """A tool that the model may call.

    Attributes:
        type: Always `function`.
        function: What it is.
    """

    type: Literal["function"]
    function: Function

    @model_validator(mode="before")
    @classmethod
    def _not_bare(cls, value: Any) -> Any:
        if isinstance(value, dict) and "name" in value and "function" not in value:
            raise ValueError(f"must be {_AS_TOOL}")
        return value


class OneTool(_Strict):
    """The choice of one by its name.

    Attributes:
        type: Always `function`.
        function: Which.
    """

    class Named(_Strict):
        """Its name.

        Attributes:
            name: That of a tool.
        """

        name: FunctionName

    type: Literal["function"]
    function: Named


def _choice(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    try:
        return validate(value)
    except ValidationError:
        raise ValueError(f"must be {_AS_CHOICE}") from None


def _bounded(tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
    names = [tool.function.name for tool in tools]
    if twice := next((name for at, name in enumerate(names) if name in names[:at]), None):
        raise ValueError(f"has the name {twice!r} twice: every tool needs a name of its own")
    size = len(compact_json([tool.model_dump(exclude_unset=True) for tool in tools]).encode())
    if size > MAX_TOOLS_BYTES:
        raise ValueError(f"has {size} bytes, and is limited to {MAX_TOOLS_BYTES}")
    return tools


def _count(value: Any) -> Any:
    """Refuse too many before each of them is looked at, or none."""
    if isinstance(value, list | tuple) and not 1 <= len(value) <= MAX_TOOLS:
        raise ValueError(f"takes 1 to {MAX_TOOLS} tools, not {len(value)}")
    return value


class CalledFunction(BaseModel):
    """Which tool is called, and with what.

    Attributes:
        name: The tool's.
        arguments: A JSON object, as text.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    arguments: str


class ToolCall(BaseModel):
    """A call, as `done` has it.

    Attributes:
        id: By which its result names it.
        type: Always `function`.
        function: Which tool, and with what.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


def _arguments(value: Any) -> Any:
    """Return arguments as JSON text; they may come as an object."""
    if not isinstance(value, str | dict):
        raise ValueError("must be an object, or one as JSON text")  # noqa: TRY004 - pydantic's
    try:
        given = from_json(value, allow_inf_nan=False) if isinstance(value, str) else value
    except ValueError as error:
        raise ValueError(f"must be an object as JSON text: {error}") from None
    if not isinstance(given, dict):
        raise ValueError("must be an object as JSON text")  # noqa: TRY004 - pydantic's
    if depth(given, MAX_SCHEMA_DEPTH) > MAX_SCHEMA_DEPTH:
        raise ValueError(f"is nested more than {MAX_SCHEMA_DEPTH} deep")
    try:
        return value if isinstance(value, str) else compact_json(value)
    except ValueError:
        raise ValueError("holds a number that JSON has not, such as NaN or 1e999") from None


CallId = Annotated[str, Field(min_length=1, max_length=MAX_CALL_ID_CHARACTERS)]


class PastFunction(CalledFunction):
    """Which tool was called, as a conversation says it.

    Attributes:
        arguments: A JSON object, or one as text.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: FunctionName
    arguments: Annotated[str, BeforeValidator(_arguments, json_schema_input_type=str | dict[str, JsonValue])]


class PastCall(ToolCall):
    """A call in a conversation."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: CallId
    function: PastFunction


Tools = Annotated[
    tuple[Tool, ...],
    Field(strict=False, json_schema_extra={"minItems": 1, "maxItems": MAX_TOOLS}),
    BeforeValidator(_count),
    AfterValidator(_bounded),
]
_Choice = Literal["auto", "none", "required"] | OneTool | None
ToolChoice = Annotated[_Choice, WrapValidator(_choice)]


def check_tools(tools: Sequence[Tool] | None, choice: _Choice, *, parallel: bool | None) -> None:
    """Raise a ValueError unless the three fields of a request go together."""
    if tools is None:
        for name, value in (("tool_choice", choice), ("parallel_tool_calls", parallel)):
            if value is not None:
                raise ValueError(f"{name}: there are no tools: send tools with it, or leave it out")
        return
    names = [tool.function.name for tool in tools]
    if isinstance(choice, OneTool) and choice.function.name not in names:
        raise ValueError(f"tool_choice: {choice.function.name!r} is none of the tools, {', '.join(names)}")
