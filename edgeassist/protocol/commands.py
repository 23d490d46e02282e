"""What a device can be told to do: each command's arguments, and how a payload is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError, model_validator

from edgeassist.errors import InvalidRequestError, TooLargeError
from edgeassist.protocol.asking import explain
from edgeassist.protocol.salvage import salvage
from edgeassist.protocol.values import AnyName, Name, Whole

MAX_PAYLOAD_BYTES = 65_536


class Arguments(BaseModel):
    """What every command takes.

    Attributes:
        id: The asker's, which comes back with the answer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: Name | None = None


class NoArguments(Arguments):
    """For `ping`, `info`, `reload` and `doctor`."""


class CancelArguments(Arguments):
    """Which request to end, or all.

    Attributes:
        request: The request's id.
        client: Whose, where several use that id; empty: of the shared topic. With `all`, only that client's.
        all: Whether to end all.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["request"], "properties": {"request": {"type": ["string", "integer"]}}},
                {"required": ["all"], "properties": {"all": {"const": True}}},
            ]
        }
    )

    request: AnyName | None = None
    client: AnyName | None = None
    all: bool = False

    @model_validator(mode="after")
    def _one_or_all(self) -> CancelArguments:
        if (self.request is None) != self.all:
            raise ValueError('give "request": "<id>" or "all": true')
        return self

    def of(self, client: str) -> CancelArguments:
        """Return the same for that client's requests only.

        Raises:
            InvalidRequestError: They name another client.
        """
        if self.client not in {None, client}:
            raise InvalidRequestError(f"cancel: client: on this topic only requests of {client!r} are ended")
        return self.model_copy(update={"client": client})


class LogLevelArguments(Arguments):
    """How much to log.

    Attributes:
        level: The least severe messages that are logged, until the next start or reload.
    """

    level: Literal["debug", "info", "warning", "error"]


class ModelArguments(Arguments):
    """What to do about models.

    Attributes:
        action: `list` those that are here, `use` one from now on, `pull` one, or `cancel` that.
        model: Which: a name of the list, or `default`; of `pull`, where from.
    """

    action: Literal["list", "use", "pull", "cancel"] = "list"
    model: Annotated[str, Field(min_length=1, max_length=1024)] | None = None

    @model_validator(mode="after")
    def _names_one(self) -> ModelArguments:
        if (self.action in {"use", "pull"}) != (self.model is not None):
            raise ValueError('"use" and "pull" need "model": "<name>", "list" and "cancel" take none')
        return self


class RequestsArguments(Arguments):
    """Which requests to list.

    Attributes:
        client: Whose; `""` is the shared topics. Without one, all.
        limit: How many at most.
    """

    client: AnyName | None = None
    limit: Annotated[Whole, Field(ge=1, le=256)] = 64


class DrainArguments(Arguments):
    """Whether to answer for the fleet.

    Attributes:
        drain: True: it takes no requests of the fleet any more, until false or the next start.
    """

    drain: bool = True


class SchemaArguments(Arguments):
    """Of which settings to tell the schema.

    Attributes:
        table: One table of them, such as `mqtt`; without one, all.
    """

    table: Annotated[str, Field(max_length=64)] | None = None


@dataclass(frozen=True, slots=True)
class _Form:
    """How a command's payload is read.

    Attributes:
        kind: Its arguments.
        bare: Returns what text stands for that is no JSON object; None: no text is taken.
    """

    kind: type[Arguments]
    bare: Callable[[str], dict[str, object]] | None = None


def _request_or_all(text: str) -> dict[str, object]:
    return {"all": True} if text == "all" else {"request": text}


def _action(text: str) -> dict[str, object]:
    action, _, model = text.partition(" ")
    return {"action": action, "model": model.strip() or None}


def _on_or_off(text: str) -> dict[str, object]:
    return {"drain": {"on": True, "true": True, "off": False, "false": False}.get(text, text)}


# `mosquitto_pub -t .../command/cancel -m ID` is a bare one.
COMMANDS: Mapping[str, _Form] = {
    "cancel": _Form(CancelArguments, _request_or_all),
    "ping": _Form(NoArguments),
    "info": _Form(NoArguments),
    "log_level": _Form(LogLevelArguments, lambda text: {"level": text}),
    "reload": _Form(NoArguments),
    "model": _Form(ModelArguments, _action),
    "drain": _Form(DrainArguments, _on_or_off),
    "requests": _Form(RequestsArguments, lambda text: {"client": text}),
    "doctor": _Form(NoArguments),
    "schema": _Form(SchemaArguments, lambda text: {"table": text}),
}
_OBJECT: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])


def read_id(payload: bytes) -> str | None:
    """Return the id of a command whose other arguments may be wrong; None where it can't be told."""
    return salvage(payload).id if len(payload) <= MAX_PAYLOAD_BYTES else None


def parse_arguments(name: str, payload: bytes) -> Arguments:
    """Read the payload of a command of that name: empty, a JSON object, or its argument as bare text.

    Raises:
        TooLargeError: It is over the limit.
        InvalidRequestError: There is no such command, or the payload is not what it takes.
    """
    if name not in COMMANDS:
        raise InvalidRequestError(f"there is no command {name!r}: there is {', '.join(COMMANDS)}")
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise TooLargeError(f"the payload has {len(payload)} bytes and the limit is {MAX_PAYLOAD_BYTES}")
    form = COMMANDS[name]
    try:
        text = payload.rstrip(b"\0 \t\r\n").decode("utf-8-sig").strip()
        if text.startswith("{"):
            return form.kind.model_validate(_OBJECT.validate_json(text))
        if not text:
            return form.kind()
    except UnicodeDecodeError:
        raise InvalidRequestError("the payload is not UTF-8") from None
    except ValidationError as error:
        raise InvalidRequestError(f"{name}: {explain(error)}") from None
    if form.bare is None:
        raise InvalidRequestError(
            f"{name} takes no argument: send an empty payload or a JSON object with an id"
        )
    try:
        return form.kind.model_validate(form.bare(text))
    except ValidationError as error:
        raise InvalidRequestError(f"{name}: {explain(error)}") from None
