"""Settings become the plain values that the daemon's rooms take; what commands need of them too: `wiring`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from edgeassist.configured import configured_model, state_folder_of
from edgeassist.daemon.switching import Prepared
from edgeassist.device.memory import available_memory_bytes, total_memory_bytes
from edgeassist.device.mounts import outlives_boots
from edgeassist.engine.messages import Sampling
from edgeassist.gateways.console import ConsoleOptions
from edgeassist.gateways.homeassistant.discovery import DiscoveryOptions
from edgeassist.gateways.mqtt.asking import AskingOptions
from edgeassist.gateways.mqtt.intake import ReplyRules
from edgeassist.gateways.mqtt.replies import ReplyOptions
from edgeassist.gateways.mqtt.watches import WatchesOptions
from edgeassist.journal.ledger import Bounds as JournalBounds
from edgeassist.loads import load_of, thinking_of
from edgeassist.models.choice import choose_model
from edgeassist.models.files.digests import Digests
from edgeassist.models.files.reading import read_model
from edgeassist.models.fit import Memory, fits_beside
from edgeassist.models.selected import Named
from edgeassist.protocol.decisions import Kind
from edgeassist.serving.admission import Limits
from edgeassist.serving.conversation import Bounds
from edgeassist.serving.policy import Policy
from edgeassist.serving.stream import Pace
from edgeassist.settings import Settings
from edgeassist.supervision.engine import Patience
from edgeassist.wiring import demand_of

# What `sampling.temperature = "auto"` is for a model that converses.
_TEMPERATURE = 0.7


def policy_of(settings: Settings, *, builtin: bool) -> Policy:
    """Return what requests are served by.

    Args:
        settings: In force.
        builtin: Whether the model that runs is the built-in one. It writes commands, not stories, so its
            default temperature is 0.
    """
    admission, session, sampling = settings.admission, settings.session, settings.sampling
    return Policy(
        limits=Limits(admission.queue, admission.per_client, admission.ageing_s),
        bounds=Bounds(session.count, session.turns, session.expire_s),
        pace=Pace(settings.stream.interval_ms / 1000, settings.stream.progress_ms / 1000),
        timeout_s=admission.timeout_s,
        remember_s=admission.remember_s,
        max_tokens=sampling.max_tokens,
        defaults=Sampling(
            temperature=_temperature_of(settings, builtin=builtin),
            top_k=sampling.top_k,
            top_p=sampling.top_p,
            min_p=sampling.min_p,
            repeat_penalty=sampling.repeat_penalty,
        ),
        system=settings.model.system,
        thinking=thinking_of(settings),
        temperatures=_temperatures_of(settings),
        threshold=_real_or_none(settings.decisions.threshold),
        prior=_real_or_none(settings.decisions.prior),
    )


def asking_options_of(settings: Settings) -> AskingOptions:
    """Return what requests over MQTT may ask for, and how they are answered."""
    stream = settings.stream
    return AskingOptions(
        rules=ReplyRules(settings.mqtt.reply_prefixes, settings.admission.payload_bytes),
        replies=ReplyOptions(stream.chunk_bytes, stream.chunk_qos, stream.final_qos),
        durable=settings.admission.durable,
    )


def journal_bounds_of(settings: Settings) -> JournalBounds:
    """Return how much the journal holds."""
    journal = settings.journal
    return JournalBounds(journal.entries, journal.mb << 20, journal.days, settings.admission.remember_s)


def _temperature_of(settings: Settings, *, builtin: bool) -> float:
    if settings.sampling.temperature != "auto":
        return settings.sampling.temperature
    return 0.0 if builtin else _TEMPERATURE


def _temperatures_of(settings: Settings) -> Mapping[Kind, float]:
    """Return what is set, by kind."""
    wanted = settings.decisions.temperature
    if wanted == "auto":
        return {}
    if isinstance(wanted, dict):
        return {Kind(kind): each for kind, each in wanted.items()}
    return dict.fromkeys(Kind, wanted)


def _real_or_none(value: float | Literal["auto"]) -> float | None:
    return None if value == "auto" else value


def console_of(settings: Settings) -> ConsoleOptions:
    """Return whether the console is served, and where."""
    console = settings.console
    return ConsoleOptions(console.enabled, console.port, console.broker)


def digests_of(settings: Settings) -> Digests | None:
    """Return where the digests of models are kept, beside the states that they name; None: nowhere."""
    folder = state_folder_of(settings)
    return Digests(folder) if settings.engine.state_mb and outlives_boots(folder) else None


def discovery_of(settings: Settings) -> DiscoveryOptions:
    """Return what Home Assistant is told, and where."""
    ours = settings.homeassistant
    return DiscoveryOptions(ours.discovery, ours.prefix, ours.status_topic)


def watches_of(settings: Settings) -> WatchesOptions:
    """Return what is watched."""
    return WatchesOptions(tuple(watch.options for watch in settings.watch), settings.homeassistant.prefix)


def prepared_of(
    settings: Settings, named: Named, *, threads: int, held_bytes: int, mapped_bytes: int = 0
) -> Prepared:
    """Return what has to be loaded for another model to be served; reads its file, and looks at memory.

    Args:
        settings: In force.
        named: The other model.
        threads: Of a step.
        held_bytes: What the end of the present engine frees.
        mapped_bytes: What that uses although it counts as available.

    Raises:
        ModelError: It can't be loaded.
    """
    choice = choose_model(named.path, named.backend)
    beside = True
    if choice.path is not None and choice.backend != "scripted":
        available = available_memory_bytes()
        free = None if available is None else max(0, available - mapped_bytes)
        memory = Memory(free, total_memory_bytes())
        weights = read_model(choice.path, choice.backend)
        beside = fits_beside(weights, demand_of(settings), memory, held_bytes=held_bytes + mapped_bytes)
    configured = named == configured_model(settings)
    load = load_of(settings, choice, threads=threads, configured=configured, held_bytes=held_bytes)
    return Prepared(choice, load, beside)


def patience_of(settings: Settings) -> Patience:
    """Return when to give up on an engine."""
    engine = settings.engine
    return Patience(engine.load_timeout_s, engine.stall_timeout_s, engine.restart_max_s)


def reply_prefixes_of(settings: Settings) -> tuple[str, ...]:
    """Return what a reply topic may begin with."""
    return settings.mqtt.reply_prefixes


def telemetry_interval_of(settings: Settings) -> float:
    """Return the seconds between two reports."""
    return settings.daemon.telemetry_s
