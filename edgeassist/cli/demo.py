"""`edgeassist demo`: the whole of it on this machine, without touching anything else."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import platformdirs
import typer
from rich.console import Console

from edgeassist.broker import BrokerOptions
from edgeassist.cli.ask import stream
from edgeassist.client import Client
from edgeassist.errors import EdgeAssistError, ModelError
from edgeassist.protocol.events import Done
from edgeassist.protocol.topics import Topics
from edgeassist.sandbox import HOST, PrivateBroker, PrivateDaemon

LOAD_S = 600.0
QUESTION = "What can you do for this house?"
DEVICE = "demo"

console = Console(highlight=False)


def demo(
    model: Annotated[
        Path | None,
        typer.Option(help="A GGUF file; without one, a tiny model of random weights.", show_default=False),
    ] = None,
    question: Annotated[str, typer.Option(help="What to ask first.")] = QUESTION,
    max_tokens: Annotated[int, typer.Option(help="The most tokens of an answer.")] = 48,
) -> None:
    """See it work: a private broker, the daemon, one question answered token by token, then yours.

    Needs the program mosquitto, and nothing of this machine's settings; leaves nothing running.
    """
    with tempfile.TemporaryDirectory(prefix="edgeassist-demo-") as name:
        folder = Path(name)
        path = model or trial_model()
        with PrivateBroker(folder) as broker:
            console.print(f"[dim]private broker on {HOST}:{broker.port}[/]")
            console.print(f"[dim]model {path}[/]")
            if model is None:
                console.print(
                    "[yellow]this model is random weights: it streams like a real one and makes no sense[/]"
                )
            environ = {
                "EDGEASSIST_DEVICE__NAME": DEVICE,
                "EDGEASSIST_MQTT__HOST": HOST,
                "EDGEASSIST_MQTT__PORT": str(broker.port),
                "EDGEASSIST_MODEL__PATH": str(path.resolve()),
                "EDGEASSIST_SAMPLING__MAX_TOKENS": str(max_tokens),
            }
            with PrivateDaemon(folder, environ) as daemon, contextlib.suppress(KeyboardInterrupt):
                _talk(broker, daemon, question)


def _talk(broker: PrivateBroker, daemon: PrivateDaemon, question: str) -> None:
    """Ask the first question, and then what the person types.

    Typing happens in the main thread and outside of the event loop, where Ctrl-C ends it at once.
    """
    topics = Topics("edgeassist", DEVICE)
    options = BrokerOptions(HOST, broker.port, client_id="edgeassist-demo-person")
    client = Client(options, topics, name="person")
    with asyncio.Runner() as runner:
        runner.run(client.__aenter__())
        try:
            with console.status("the daemon loads the model"):
                runner.run(_wait_ready(client, daemon))
            console.print(f"[dim]ready: prompts go to {topics.prompt()}[/]\n")
            console.print(f"[bold]you>[/] {question}")
            runner.run(_ask(client, question))
            console.print(
                f"\nFrom another terminal:\n"
                f"  mosquitto_sub -p {broker.port} -v -t '{topics.reply('+')}'\n"
                f"  mosquitto_pub -p {broker.port} -t {topics.prompt()} -m 'hello'\n",
                soft_wrap=True,
            )
            if not sys.stdin.isatty():
                return
            console.print("Your turn; an empty line, Ctrl-C or Ctrl-D ends it.")
            while line := _read():
                runner.run(_ask(client, line))
        finally:
            runner.run(client.__aexit__(None, None, None))


async def _wait_ready(client: Client, daemon: PrivateDaemon) -> None:
    waiting = asyncio.create_task(client.wait_health(frozenset({"ready", "busy"}), LOAD_S), name="wait-ready")
    while not waiting.done() and daemon.poll() is None:
        await asyncio.wait([waiting], timeout=0.1)
    if not waiting.done() or waiting.result() is None:
        waiting.cancel()
        log = daemon.log.read_text(errors="replace").strip().splitlines()
        raise ModelError("the daemon did not get ready; the end of its log:\n" + "\n".join(log[-5:]))


async def _ask(client: Client, text: str) -> None:
    console.print("[bold]device>[/] ", end="")
    try:
        done = await stream(client, text, session="demo")
    except EdgeAssistError as error:
        console.print(f"[red]{error.code}:[/] {error.message}", soft_wrap=True)
    else:
        console.print(f"[dim]{_figures(done)}[/]")


def _figures(done: Done) -> str:
    timings, usage = done.timings, done.usage
    rate = "" if timings.decode_tokens_per_s is None else f", {timings.decode_tokens_per_s:.0f} tokens/s"
    first = "" if timings.ttft_ms is None else f"first text after {timings.ttft_ms:.0f} ms, "
    return (
        f"{first}{usage.prompt_tokens} tokens in, {usage.completion_tokens} out{rate}, {done.finish_reason}"
    )


def _read() -> str:
    try:
        return console.input("[bold]you>[/] ").strip()
    except EOFError:
        return ""


def trial_model() -> Path:
    """Return a tiny model of random weights; made once, in the user's cache."""
    path = platformdirs.user_cache_path("edgeassist") / "models" / "trial.gguf"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        from edgeassist.models.synthetic import SHAPES, write_gguf  # noqa: PLC0415 - a daemon needs no numpy

        write_gguf(path, SHAPES["trial"])
    return path
