"""`edgeassist demo`: a private broker, the daemon and a conversation, apart from the machine's own setup."""

from __future__ import annotations

import asyncio
import contextlib
import select
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.markup import escape

from edgeassist.broker import BrokerOptions
from edgeassist.cli.action import describe_action
from edgeassist.cli.ask import stream
from edgeassist.cli.compiling import Compilation, Stage
from edgeassist.cli.consoles import Console
from edgeassist.cli.demo_words import HEADING, figures, ready, settings_file, told, what_next
from edgeassist.cli.succession import Succession, wait_ready
from edgeassist.client.requester import Requester
from edgeassist.errors import EdgeAssistError, ModelError
from edgeassist.models.builtin import TINY, home_grammar
from edgeassist.models.choice import choose_model, is_installed
from edgeassist.protocol.topics import Topics
from edgeassist.sandbox import HOST, PrivateBroker, PrivateDaemon
from edgeassist.sight.reading import HealthSeen, InfoSeen

LOAD_S = 600.0
# As scripts/setup.sh waits.
COMPILE_S = 10800.0
DEVICE = "demo"
HOME = """\
You are the voice of this home.
Sensors:
kitchen temperature: 22.5 °C
kitchen light: on
nursery temperature: 19.5 °C
nursery humidity: 48 %
bedroom window: open
garage door: locked"""

YOU, DEVICE_SAYS = "[bold cyan]you>[/]", "[bold green]device>[/]"

console = Console(highlight=False)


@dataclass(frozen=True, slots=True)
class Show:
    """What the demo shows.

    Attributes:
        model: The setting `model.path`.
        system: The system prompt.
        questions: Questions asked before the user's own.
        asks: What else each question says: `session`, or the `grammar` of its answer.
    """

    model: Path
    system: str
    questions: tuple[str, ...]
    asks: Mapping[str, Any]


OWN = Show(
    TINY,
    HOME,
    ("How warm is the nursery?", "Turn the kitchen lights down to 30 percent", "Is the garage door locked?"),
    # A command is answered by a whole action. A set-up of an older checkout may lack what binds an answer.
    {"grammar": home_grammar()} if find_spec("llguidance") else {},
)


def demo(
    model: Annotated[
        Path | None,
        typer.Option(
            help="A GGUF file or a folder of ONNX Runtime GenAI; without one, the built-in model.",
            show_default=False,
        ),
    ] = None,
    question: Annotated[str | None, typer.Option(help="What to ask first.", show_default=False)] = None,
    max_tokens: Annotated[int, typer.Option(help="The most tokens of an answer.")] = 128,
    compiling: Annotated[
        Path | None, typer.Option(hidden=True, help="Where scripts/setup.sh compiles.")
    ] = None,
) -> None:
    """See it work: a private broker, the daemon, questions answered token by token, then yours.

    The built-in model gets a list of a few sensors; it understands commands to a home and questions about it.

    Needs mosquitto. Ignores this machine's settings and leaves nothing running.
    """
    show = OWN
    if model not in {None, TINY}:
        show = Show(model.resolve(), "", ("What can you do for this house?",), {"session": DEVICE})
    if question:
        show = replace(show, questions=(question,))
    compilation = None if compiling is None else _compilation(compiling, show.model)
    # As Ctrl-C does: what was started ends with the demo.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    with tempfile.TemporaryDirectory(prefix="edgeassist-demo-") as name:
        folder = Path(name)
        with PrivateBroker(folder, web=True) as broker:
            settings = folder / "demo.toml"
            settings.write_text(settings_file(broker, DEVICE))
            console.print(HEADING)
            console.print(f"[dim]private broker on {HOST}:{broker.port}[/]")
            console.print(f"[dim]model {show.model}[/]", soft_wrap=True)
            if show.system:
                console.print(told(show.system))
            environ = {
                "EDGEASSIST_DEVICE__NAME": DEVICE,
                "EDGEASSIST_MQTT__HOST": HOST,
                "EDGEASSIST_MQTT__PORT": str(broker.port),
                "EDGEASSIST_MODEL__PATH": str(show.model),
                "EDGEASSIST_MODEL__SYSTEM": show.system,
                "EDGEASSIST_SAMPLING__MAX_TOKENS": str(max_tokens),
            }
            with PrivateDaemon(folder, environ) as daemon, contextlib.suppress(KeyboardInterrupt):
                succession = Succession(daemon, environ, compilation, show.model, console)
                _talk(broker, daemon, show, succession, settings)
    if compilation is not None and compilation.stage() is Stage.RUNS:
        _say_that_it_goes_on(compilation)


def _say_that_it_goes_on(compilation: Compilation) -> None:
    console.print(
        f"llama.cpp is still being compiled in the background; the next start uses it: {compilation.log}",
        soft_wrap=True,
    )


def _end(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


def _compilation(folder: Path, model: Path) -> Compilation | None:
    """Say what is being compiled; wait for it where nothing else can serve the model. None if nothing is.

    Raises:
        ModelError: It was waited for, and failed or took more than COMPILE_S seconds.
    """
    compilation = Compilation(folder)
    if compilation.stage() is not Stage.RUNS:
        return None
    if is_installed(choose_model(model, "auto").backend):
        console.print(
            "[dim]llama.cpp is being compiled in the background; until it is ready, ONNX Runtime GenAI "
            f"answers: {compilation.log}[/]",
            soft_wrap=True,
        )
        return compilation
    try:
        console.print(
            f"[dim]this model needs llama.cpp, which is being compiled: {compilation.log}[/]", soft_wrap=True
        )
        with console.status("waiting for llama.cpp"):
            stage = _await_end(compilation)
    except KeyboardInterrupt:
        _say_that_it_goes_on(compilation)
        raise typer.Exit(128 + signal.SIGINT) from None
    if stage is Stage.RUNS:
        raise ModelError(f"llama.cpp is not ready after {COMPILE_S / 60:.0f} minutes: {compilation.log}")
    if stage is Stage.FAILED:
        raise ModelError(
            f"this model needs llama.cpp, which could not be compiled: {compilation.log} says why"
        )
    return None


def _await_end(compilation: Compilation) -> Stage:
    until = time.monotonic() + COMPILE_S
    while (stage := compilation.stage()) is Stage.RUNS and time.monotonic() < until:
        time.sleep(0.5)
    return stage


def _talk(
    broker: PrivateBroker, daemon: PrivateDaemon, show: Show, succession: Succession, settings: Path
) -> None:
    """Ask the prepared questions, then those the user types.

    Input is read in the main thread, outside the event loop, so that Ctrl-C interrupts it at once.
    """
    topics = Topics("edgeassist", DEVICE)
    options = BrokerOptions(HOST, broker.port, client_id="edgeassist-demo-person")
    client = Requester(options, topics, name="person")
    with asyncio.Runner() as runner:
        runner.run(client.__aenter__())
        try:
            with console.status("the daemon loads the model"):
                runner.run(wait_ready(client, daemon, LOAD_S))
            console.print(runner.run(_say_ready(client)), soft_wrap=True)
            for question in show.questions:
                if succession.due():
                    runner.run(succession.take_over(client))
                console.print(f"\n{YOU} {escape(question)}")
                runner.run(_ask(client, question, show.asks))
            if not sys.stdin.isatty():
                return
            console.print(f"\n{what_next(broker, topics, settings)}", soft_wrap=True)
            console.print("\n[bold]Your turn;[/] an empty line, Ctrl-C or Ctrl-D ends it.")
            while line := _read():
                if succession.due():
                    runner.run(succession.take_over(client))
                runner.run(_ask(client, line, show.asks))
        finally:
            runner.run(client.__aexit__(None, None, None))


async def _say_ready(client: Requester) -> str:
    topics = client.topics
    health = HealthSeen.read(await client.state(topics.health))
    return ready(health, InfoSeen.read(await client.state(topics.info)), topics)


async def _ask(client: Requester, text: str, asks: Mapping[str, Any]) -> None:
    console.print(f"{DEVICE_SAYS} ", end="")
    try:
        done = await stream(client, text, **asks)
    except EdgeAssistError as error:
        console.print(f"[red]{error.code}:[/] {escape(error.message)}", soft_wrap=True)
    else:
        if action := describe_action(done.text):
            console.print(f"      [green]→ {escape(action)}[/]")
        health = HealthSeen.read(await client.state(client.topics.health, 0))
        console.print(figures(done, health))


def _read() -> str:
    console.print(f"{YOU} ", end="")
    _await_input()
    try:
        return input().strip()
    except EOFError:
        return ""


def _await_input() -> None:
    """Wait for a line, or a signal: input() sleeps on through a signal that comes as it begins to read."""
    reader, writer = socket.socketpair()
    with reader, writer:
        writer.setblocking(False)
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            select.select([sys.stdin, reader], [], [])
        finally:
            signal.set_wakeup_fd(before)
