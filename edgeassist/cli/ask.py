"""`edgeassist ask`: one prompt, its answer streamed to the terminal."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeassist import harmless
from edgeassist.cli.connect import check_online, connect
from edgeassist.cli.constraints import constraint_fields
from edgeassist.cli.tools import tool_fields
from edgeassist.cli.whom import AsksFleet, GroupName, topics_of_whom
from edgeassist.client.answers import AnyEvent, Restarted
from edgeassist.client.requester import Requester
from edgeassist.errors import BrokerError, ExitStatus
from edgeassist.protocol.events import Accepted, Called, Chunk, Done, Failed, Reasoning
from edgeassist.protocol.topics import FleetTopics
from edgeassist.settings import load_settings

# How long to ask a device again that has no room; for a person who waits.
BUSY_S = 60.0
# SGR: faint, and neither bold nor faint.
_DIM, _PLAIN = "\x1b[2m", "\x1b[22m"
_ONLY_THOUGHTS = (
    "the model thought, and did not come to an answer: raise --max-tokens, or keep it from it (--no-think)"
)


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
    think: Annotated[
        bool | None,
        typer.Option(
            "--think/--no-think",
            help="Let a model that can think do so, and show its thoughts on a terminal; or keep it from it.",
            show_default=False,
        ),
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
    tool: Annotated[
        list[Path] | None,
        typer.Option(
            help="What the model may call: a tool, or a list of tools, in JSON. May come several times.",
            show_default=False,
        ),
    ] = None,
    tool_choice: Annotated[
        str | None,
        typer.Option(help="Whether it calls: auto, none, required, or a tool's name.", show_default=False),
    ] = None,
    fleet: AsksFleet = False,
    group: GroupName = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the events as JSON, one a line.")] = False,
) -> None:
    """Ask the daemon, and print the answer as it comes.

    Goes through the broker of the settings, as any client does. Of a fleet, standard error tells which box
    answers, and whether a session begins there. The exit status tells how it ended: 0 done, 2 the request was
    wrong, 69 no broker, device or model, 75 worth trying again, 1 cancelled, or an answer that was bound (by
    a schema and the like), or had tools, and did not get whole.

    Examples: `edgeassist ask "Why is the sky blue?"`, `edgeassist ask - < question.txt`,
    `edgeassist ask --choice yes,no "Is the window open?"`, `edgeassist ask --tool relay.json "Light"`,
    `edgeassist ask --fleet "Is anybody there?"`
    """
    loaded = load_settings(context.obj)
    fields: dict[str, Any] = {
        "system": system,
        "session": session,
        "max_tokens": max_tokens,
        "temperature": temperature,
        "think": think,
        "timeout_s": timeout,
    }
    bound = constraint_fields(schema=schema, regex=regex, choice=choice, grammar=grammar)
    tools = tool_fields(tool or (), tool_choice, bound=bound)
    fields |= bound | tools
    text = sys.stdin.read() if prompt == "-" else prompt

    async def run() -> Done:
        topics = await topics_of_whom(loaded.settings, group, fleet=fleet)
        async with connect(loaded.settings, topics) as client:
            await check_online(client, loaded.settings)
            fields["busy_s"] = BUSY_S if timeout is None else timeout
            wanted = {key: value for key, value in fields.items() if value is not None}
            thoughts = bool(think) and sys.stdout.isatty()
            return await stream(client, text, as_json=as_json, thoughts=thoughts, **wanted)

    try:
        done = asyncio.run(run())
    except KeyboardInterrupt:
        raise typer.Exit(ExitStatus.FAILURE) from None
    if (bound or tools) and done.finish_reason == "length":
        print("the answer was cut off and is not whole: allow it more (--max-tokens)", file=sys.stderr)
        raise typer.Exit(ExitStatus.FAILURE)


async def stream(
    client: Requester, prompt: str, *, as_json: bool = False, thoughts: bool = False, **fields: Any
) -> Done:
    """Ask, print the answer as it comes, and return its terminal event.

    Text already printed can't be taken back: if the device runs the request again and answers otherwise, a
    line on standard error says so, and the new answer begins on a line of its own. Of a fleet, such lines
    tell which box answers.

    Args:
        client: Asks.
        prompt: What is asked.
        as_json: Print the events.
        thoughts: Print what the model thinks as well, dimmed.
        **fields: More of the request.

    Raises:
        EdgeAssistError: The request failed; the class tells why.
    """
    printer = _Printer(thoughts=thoughts, fleet=isinstance(client.topics, FleetTopics))
    try:
        async for event in client.ask(prompt, **fields):
            if as_json:
                print(harmless.in_json(event.model_dump_json(exclude_none=True)), flush=True)
            else:
                printer.show(event)
            if isinstance(event, Failed):
                raise event.error()
            if isinstance(event, Done):
                return event
    finally:
        printer.end()
    raise BrokerError("the answer has no terminal event")


class _Printer:
    """An answer on the terminal."""

    def __init__(self, *, thoughts: bool, fleet: bool) -> None:
        self._thoughts = thoughts
        self._fleet = fleet
        self._box = ""
        # What goes to a file or another program goes there as it is.
        self._shown: Callable[[str], str] = harmless.lines if sys.stdout.isatty() else str
        self._thinking = False
        self._line = False

    def show(self, event: AnyEvent) -> None:
        """Print what an event has to say to a person."""
        match event:
            case Accepted() if self._fleet:
                self._tell_box(event.device, event.position)
            case Reasoning(text=text) if self._thoughts:
                print(f"{_DIM}{self._shown(text)}{_PLAIN}", end="", flush=True)
                self._thinking = self._line = True
            case Chunk(text=text):
                print("\n\n" * self._thinking, self._shown(text), sep="", end="", flush=True)
                self._thinking, self._line = False, True
            case Called(name=name, arguments=arguments):
                self.end()
                called = self._shown(f"{name} {arguments}")
                print("\n" * self._thinking, called, sep="", flush=True)
                self._thinking = False
            case Restarted():
                print(flush=True)
                print("the device has begun again: its answer follows from the start", file=sys.stderr)
            case Done():
                self._line = self._line or not event.tool_calls
                if event.only_reasoning:
                    self.end()
                    print(_ONLY_THOUGHTS, file=sys.stderr)
                if self._fleet:
                    self._tell_end(event)
            case _:
                pass

    def _tell_box(self, name: str, position: int = 0) -> None:
        device = harmless.line(name)
        if device != self._box:
            self.end()
            place = f" has it, behind {position}" if position else " answers"
            print(device + place, file=sys.stderr, flush=True)
            self._box = device

    def _tell_end(self, done: Done) -> None:
        self._tell_box(done.device)
        if done.session_began:
            self.end()
            print(f"the session {done.session!r} began with this, at {self._box}", file=sys.stderr)

    def end(self) -> None:
        """End the line that was begun."""
        if self._line:
            print(flush=True)
            self._line = False
