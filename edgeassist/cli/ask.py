"""`edgeassist ask`: one prompt, its answer streamed to the terminal."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeassist.cli.connect import connect
from edgeassist.cli.constraints import constraint_fields
from edgeassist.client.answers import Restarted
from edgeassist.client.requester import Requester
from edgeassist.errors import BrokerError, ExitStatus
from edgeassist.protocol.events import Accepted, Chunk, Done, Failed, Progress
from edgeassist.protocol.state import Availability
from edgeassist.settings import load_settings

# How long to ask a device again that has no room; for a person who waits.
BUSY_S = 60.0


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
    schema: Annotated[
        Path | None,
        typer.Option(help="The answer is JSON that fits the JSON Schema in this file.", show_default=False),
    ] = None,
    choice: Annotated[
        str | None,
        typer.Option(help="The answer is one of these: on,off,unknown.", show_default=False),
    ] = None,
    regex: Annotated[
        str | None,
        typer.Option(help="The answer matches this regular expression, as a whole.", show_default=False),
    ] = None,
    grammar: Annotated[
        Path | None,
        typer.Option(help="The answer is of the grammar (Lark or GBNF) in this file.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the events as JSON, one a line.")] = False,
) -> None:
    """Ask the daemon, and print the answer as it comes.

    Goes through the broker of the settings, as any client does. The exit status tells how it ended: 0 done,
    2 the request was wrong, 69 no broker, device or model, 75 worth trying again, 1 cancelled, or an answer
    that was bound (by a schema and the like) and did not get whole.

    Examples: `edgeassist ask "Why is the sky blue?"`, `edgeassist ask - < question.txt`,
    `edgeassist ask --choice yes,no "Is the window open?"`
    """
    loaded = load_settings(context.obj)
    fields: dict[str, Any] = {
        "system": system,
        "session": session,
        "max_tokens": max_tokens,
        "temperature": temperature,
        "timeout_s": timeout,
    }
    bound = constraint_fields(schema=schema, regex=regex, choice=choice, grammar=grammar)
    fields |= bound
    text = sys.stdin.read() if prompt == "-" else prompt

    async def run() -> Done:
        async with connect(loaded.settings) as client:
            if await client.availability() is not Availability.ONLINE:
                device = loaded.settings.device.name
                raise BrokerError(
                    f"the broker is there, but the device {device!r} is not online: is its daemon running? "
                    "(edgeassist run; another device: EDGEASSIST_DEVICE__NAME)",
                )
            fields["busy_s"] = BUSY_S if timeout is None else timeout
            wanted = {key: value for key, value in fields.items() if value is not None}
            return await stream(client, text, as_json=as_json, **wanted)

    try:
        done = asyncio.run(run())
    except KeyboardInterrupt:
        raise typer.Exit(ExitStatus.FAILURE) from None
    if bound and done.finish_reason == "length":
        print("the answer was cut off and is not whole: allow it more (--max-tokens)", file=sys.stderr)
        raise typer.Exit(ExitStatus.FAILURE)


async def stream(client: Requester, prompt: str, *, as_json: bool = False, **fields: Any) -> Done:
    """Ask, print the answer as it comes, and return its terminal event.

    Text already printed can't be taken back: if the device runs the request again and answers otherwise, a
    line on standard error says so, and the new answer begins on a line of its own.

    Raises:
        EdgeAssistError: The request failed; the class tells why.
    """
    printed = False
    try:
        async for event in client.ask(prompt, **fields):
            if as_json:
                print(event.model_dump_json(exclude_none=True), flush=True)
            match event:
                case Chunk(text=text) if not as_json:
                    printed = True
                    print(text, end="", flush=True)
                case Restarted() if not as_json:
                    print(flush=True)
                    print("the device has begun again: its answer follows from the start", file=sys.stderr)
                case Done():
                    printed = printed or not as_json
                    return event
                case Failed():
                    raise event.error()
                case Accepted() | Progress() | Chunk() | Restarted():
                    pass
    finally:
        if printed:
            print(flush=True)
    raise BrokerError("the answer has no terminal event")
