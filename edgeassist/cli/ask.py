"""`edgeassist ask`: one prompt, its answer streamed to the terminal."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated, Any

import typer

from edgeassist.cli.connect import connect
from edgeassist.client import Client
from edgeassist.errors import BrokerError, EdgeAssistError, ExitStatus, error_for
from edgeassist.protocol.events import Accepted, Chunk, Done, Failed, Progress
from edgeassist.protocol.state import Availability
from edgeassist.settings import load_settings


def ask(
    context: typer.Context,
    prompt: Annotated[
        str, typer.Argument(help="The question; - reads it from standard input.", show_default=False)
    ],
    system: Annotated[str | None, typer.Option(help="The system prompt.", show_default=False)] = None,
    session: Annotated[
        str | None,
        typer.Option(help="Go on with (or begin) the conversation of this name.", show_default=False),
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(help="The most tokens of the answer.", show_default=False)
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="0 always picks the likeliest token.", show_default=False)
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds, waiting included.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the events as JSON, one a line.")] = False,
) -> None:
    """Ask the daemon, and print the answer as it comes.

    Goes through the broker of the settings, as any client does. The exit status tells how it ended: 0 done,
    2 the request was wrong, 69 no broker, device or model, 75 worth trying again, 1 cancelled.

    Examples: `edgeassist ask "Why is the sky blue?"`, `edgeassist ask - < question.txt`
    """
    loaded = load_settings(context.obj)
    fields: dict[str, Any] = {
        "system": system,
        "session": session,
        "max_tokens": max_tokens,
        "temperature": temperature,
        "timeout_s": timeout,
    }
    text = sys.stdin.read() if prompt == "-" else prompt

    async def run() -> None:
        async with connect(loaded.settings) as client:
            if await client.availability() is not Availability.ONLINE:
                device = loaded.settings.device.name
                raise BrokerError(
                    f"the broker is there, but the device {device!r} is not online: is its daemon running? "
                    "(edgeassist run; another device: EDGEASSIST_DEVICE__NAME)",
                )
            await stream(client, text, as_json=as_json, **{k: v for k, v in fields.items() if v is not None})

    try:
        asyncio.run(run())
    except KeyboardInterrupt:
        raise typer.Exit(ExitStatus.FAILURE) from None


async def stream(client: Client, prompt: str, *, as_json: bool = False, **fields: Any) -> Done:
    """Ask, print the answer as it comes, and return its end.

    Raises:
        EdgeAssistError: It ended in an error; the class tells which.
    """
    async for event in client.ask(prompt, **fields):
        if as_json:
            print(event.model_dump_json(exclude_none=True), flush=True)
        match event:
            case Chunk(text=text) if not as_json:
                print(text, end="", flush=True)
            case Done():
                if not as_json:
                    print(flush=True)
                return event
            case Failed():
                if not as_json and event.text:
                    print(flush=True)
                raise _error(event)
            case Accepted() | Progress() | Chunk():
                pass
    raise BrokerError("the answer ended without an end")


def _error(event: Failed) -> EdgeAssistError:
    return error_for(event.code, event.message, retry_after_ms=event.retry_after_ms)
