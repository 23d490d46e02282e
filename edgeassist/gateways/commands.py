"""Carries commands out for a gateway, whatever transport they came by."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import JsonValue

from edgeassist.errors import EdgeAssistError, InternalError
from edgeassist.protocol.commands import CancelArguments, parse_arguments, read_id
from edgeassist.protocol.state import CommandError, CommandResponse

log = logging.getLogger(__name__)

# Told how a long command goes on.
Say = Callable[[dict[str, JsonValue]], None]
# Carries out one command: its arguments in, the answer's data out.
Handler = Callable[[Any, Say], Awaitable[dict[str, JsonValue]]]


class Seldom:
    """Says how something goes on, at once and then not each time that it is told.

    Args:
        say: Told.
        every_s: How often at most.
    """

    def __init__(self, say: Say, every_s: float) -> None:
        self._say = say
        self._every_s = every_s
        self._next = 0.0

    def __call__(self, said: dict[str, JsonValue]) -> None:
        """Pass it on, unless something was a moment ago."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + self._every_s
            self._say(said)


async def answer(
    name: str,
    payload: bytes,
    handlers: Mapping[str, Handler],
    *,
    client: str | None = None,
    on_progress: Callable[[CommandResponse], None] = lambda _response: None,
) -> CommandResponse:
    """Carry a command out and return the answer; every failure is one too.

    Args:
        name: The command's.
        payload: Its arguments.
        handlers: Who carries out which.
        client: Whose requests it may be about; None: anybody's.
        on_progress: Called with what is said before the answer, of a long one.
    """
    try:
        arguments = parse_arguments(name, payload)
        if client is not None and isinstance(arguments, CancelArguments):
            arguments = arguments.of(client)
        data = await handlers[name](
            arguments,
            lambda said: on_progress(CommandResponse(status="progress", data=said, id=arguments.id)),
        )
    except EdgeAssistError as error:
        return refusal(error, payload)
    except Exception:  # a bug in one command must not take the daemon down
        log.exception("the command %s failed", name)
        return refusal(InternalError(f"the command {name!r} failed; the daemon's log says more"), payload)
    return CommandResponse(status="ok", data=data, id=arguments.id)


def refusal(error: EdgeAssistError, payload: bytes) -> CommandResponse:
    """Return the answer to a command that is not carried out."""
    return CommandResponse(
        status="error", error=CommandError(code=error.code, message=error.message), id=read_id(payload)
    )
