"""Commands to the device: cancel, ping, info, log_level, reload."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter, ValidationError, model_validator

from edgeassist.errors import EdgeAssistError, InternalError, InvalidRequestError, TooLargeError
from edgeassist.protocol.packets import Inbound, Outbound
from edgeassist.protocol.requests import Name, explain, salvage
from edgeassist.protocol.state import CommandError, CommandResponse

log = logging.getLogger(__name__)

MAX_PAYLOAD_BYTES = 65_536

Handler = Callable[[Any], Awaitable[dict[str, JsonValue]]]


class _Arguments(BaseModel):
    """What every command takes: an id of the asker's, which comes back with the answer."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: Name | None = None


class NoArguments(_Arguments):
    """For `ping`, `info` and `reload`."""


class CancelArguments(_Arguments):
    """Which request to end (of which client, where two use the same id), or all."""

    request: str | None = None
    client: str | None = None
    all: bool = False

    @model_validator(mode="after")
    def _one_or_all(self) -> CancelArguments:
        if (self.request is None) != self.all:
            raise ValueError('give "request": "<id>" or "all": true')
        return self


class LogLevelArguments(_Arguments):
    """How much to log, until the next start or reload."""

    level: Literal["debug", "info", "warning", "error"]


# A payload that is no JSON object stands for this argument: `mosquitto_pub -t .../command/cancel -m ID`.
_ARGUMENTS: Mapping[str, tuple[type[_Arguments], str | None]] = {
    "cancel": (CancelArguments, "request"),
    "ping": (NoArguments, None),
    "info": (NoArguments, None),
    "log_level": (LogLevelArguments, "level"),
    "reload": (NoArguments, None),
}
_OBJECT: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])


async def answer(name: str, message: Inbound, handlers: Mapping[str, Handler]) -> CommandResponse:
    """Carry a command out and return the answer; every failure is one too."""
    asker = salvage(message.payload)[0]
    try:
        arguments = _read(name, message.payload)
        data = await handlers[name](arguments)
    except EdgeAssistError as error:
        return _refusal(error, asker)
    except Exception:  # a defect in one command must not take the daemon down
        log.exception("the command %s failed", name)
        return _refusal(InternalError(f"the command {name!r} failed; the daemon's log says more"), asker)
    return CommandResponse(status="ok", data=data, id=asker)


def respond(response: CommandResponse, topic: str, message: Inbound) -> Outbound:
    """Return the message that carries the answer to that topic."""
    payload = response.model_dump_json(exclude_none=True).encode()
    return Outbound(topic, payload, qos=1, correlation=message.correlation)


def _read(name: str, payload: bytes) -> _Arguments:
    if name not in _ARGUMENTS:
        raise InvalidRequestError(f"there is no command {name!r}: there is {', '.join(_ARGUMENTS)}")
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise TooLargeError(f"the payload has {len(payload)} bytes and the limit is {MAX_PAYLOAD_BYTES}")
    kind, bare = _ARGUMENTS[name]
    try:
        text = payload.decode().strip()
        if text.startswith("{"):
            return kind.model_validate(_OBJECT.validate_json(text))
        if not text:
            return kind()
    except UnicodeDecodeError:
        raise InvalidRequestError("the payload is not UTF-8") from None
    except ValidationError as error:
        raise InvalidRequestError(f"{name}: {explain(error)}") from None
    if bare is None:
        raise InvalidRequestError(
            f"{name} takes no argument: send an empty payload or a JSON object with an id"
        )
    try:
        return kind.model_validate({"all": True} if text == "all" and bare == "request" else {bare: text})
    except ValidationError as error:
        raise InvalidRequestError(f"{name}: {explain(error)}") from None


def _refusal(error: EdgeAssistError, asker: str | None) -> CommandResponse:
    return CommandResponse(
        status="error",
        error=CommandError(code=error.code, message=error.message),
        id=asker,
    )
