"""What the demo says beside questions and answers."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from textwrap import indent

from rich.markup import escape

from edgeassist import __version__
from edgeassist.protocol.events import Done
from edgeassist.protocol.topics import Topics
from edgeassist.sandbox import HOST, PrivateBroker
from edgeassist.sight.reading import HealthSeen, InfoSeen, ModelSeen

HEADING = f"[bold]EdgeAssist {__version__}[/]: a language model on this machine, asked over MQTT"


def told(system: str) -> str:
    """Return the system prompt, as it is told the model."""
    return f"[dim]it is told, as its system prompt:\n{escape(indent(system, '  '))}[/]"


def ready(health: HealthSeen | None, info: InfoSeen | None, topics: Topics) -> str:
    """Return what answers, and where it is asked."""
    model = (info.model if info else None) or ModelSeen()
    kinds = ", ".join(each for each in (model.quantisation, model.backend, threads(health)) if each)
    name = escape(model.name or "the model")
    return f"[green]ready:[/] {name} [dim]({escape(kinds)}), asked on {topics.prompt()}[/]"


def threads(health: HealthSeen | None) -> str:
    """Return with how many threads it computes; nothing where that is not known."""
    if health is None or health.threads is None:
        return ""
    return "1 thread" if health.threads == 1 else f"{health.threads} threads"


def figures(done: Done, health: HealthSeen | None) -> str:
    """Return an answer's figures, in one line of a usual terminal."""
    timings, usage = done.timings, done.usage
    said = [
        "" if timings.ttft_ms is None else f"first token {timings.ttft_ms:.0f} ms",
        "" if timings.decode_tokens_per_s is None else f"{timings.decode_tokens_per_s:.0f} tokens/s",
        f"{usage.prompt_tokens} tokens in, {usage.completion_tokens} out",
        threads(health),
        "cut off: --max-tokens allows more" if done.finish_reason == "length" else "",
    ]
    return f"[dim]{', '.join(each for each in said if each)}[/]"


def what_next(broker: PrivateBroker, topics: Topics, settings: Path) -> str:
    """Return what a person may try from another terminal while the demo runs.

    Args:
        broker: The demo's.
        topics: Of the demo's device.
        settings: A file that names both, for the commands.
    """
    port = broker.port
    command = f"{escape(_command())} --config {escape(str(settings))}"
    page = f"  [cyan]{command} console[/]\n" if broker.web_port is not None else ""
    return (
        f"[bold]From another terminal, while this runs:[/]\n"
        f"  [cyan]{command} top[/]\n"
        f"{page}"
        f"  [cyan]mosquitto_sub -p {port} -v -t '{topics.reply('+')}'[/]\n"
        f"  [cyan]mosquitto_pub -p {port} -t {topics.prompt()} -m 'Lock the garage door'[/]"
    )


def settings_file(broker: PrivateBroker, device: str) -> str:
    """Return the text of a settings file for the commands, in TOML."""
    told = f'[device]\nname = "{device}"\n\n[mqtt]\nhost = "{HOST}"\nport = {broker.port}\n'
    if broker.web_port is not None:
        told += f'\n[console]\nbroker = "ws://{HOST}:{broker.web_port}"\n'
    return told


def _command() -> str:
    """Return how this program is called from any folder: `edgeassist`, if that is it."""
    beside = Path(sys.executable).parent / "edgeassist"
    found = shutil.which("edgeassist")
    if found is not None and Path(found).resolve() == beside.resolve():
        return "edgeassist"
    return str(beside) if beside.exists() else f"{sys.executable} -m edgeassist"
