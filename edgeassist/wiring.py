"""Settings become the plain values that the rooms take, for the daemon and the commands alike."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import platformdirs

from edgeassist.broker import BrokerOptions, Tls
from edgeassist.device.memory import available_memory_bytes, total_memory_bytes
from edgeassist.engine.messages import FlashAttention, KvType, Load, LoadMode, Sampling, Thinking
from edgeassist.gateways.homeassistant.discovery import DiscoveryOptions
from edgeassist.gateways.mqtt.intake import ReplyRules
from edgeassist.gateways.mqtt.prompts import PromptOptions
from edgeassist.gateways.mqtt.replies import ReplyOptions
from edgeassist.models.choice import Choice
from edgeassist.models.fit import Demand
from edgeassist.protocol.packets import Outbound
from edgeassist.protocol.topics import Topics
from edgeassist.serving.admission import Limits
from edgeassist.serving.conversation import Bounds
from edgeassist.serving.policy import Policy
from edgeassist.serving.stream import Pace
from edgeassist.settings import Settings
from edgeassist.supervision.supervisor import Patience

# Above the payload limit, so that what is too large can be refused with a word; a broker drops what is over
# the Maximum Packet Size in silence.
_PACKET_HEADROOM = 4
# What `sampling.temperature = "auto"` is for a model that converses.
_TEMPERATURE = 0.7


def topics_of(settings: Settings) -> Topics:
    """Return this device's topics."""
    return Topics(settings.mqtt.base, settings.device.name)


def client_id_of(settings: Settings) -> str:
    """Return the daemon's client id at the broker."""
    return settings.mqtt.client_id or f"edgeassist-{settings.device.name}"


def broker_options(settings: Settings, *, client_id: str, will: Outbound | None = None) -> BrokerOptions:
    """Return how to reach the broker, for a client of that id (the daemon's own has a will)."""
    mqtt = settings.mqtt
    tls = Tls(mqtt.tls_ca, mqtt.tls_cert, mqtt.tls_key, mqtt.tls_insecure) if mqtt.tls else None
    return BrokerOptions(
        host=mqtt.host,
        port=mqtt.effective_port,
        client_id=client_id,
        protocol=mqtt.protocol,
        username=mqtt.username,
        password=None if mqtt.password is None else mqtt.password.get_secret_value(),
        keepalive_s=mqtt.keepalive_s,
        session_expiry_s=0 if will is None else mqtt.session_expiry_s,
        reconnect_max_s=mqtt.reconnect_max_s,
        queue=mqtt.queue,
        max_packet_bytes=max(1 << 20, _PACKET_HEADROOM * settings.admission.payload_bytes),
        packet_bytes=mqtt.packet_bytes,
        tls=tls,
        will=will,
    )


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
        thinking=_thinking_of(settings),
    )


def prompt_options_of(settings: Settings) -> PromptOptions:
    """Return what prompts over MQTT may ask for, and how they are answered."""
    stream = settings.stream
    return PromptOptions(
        rules=ReplyRules(settings.mqtt.reply_prefixes, settings.admission.payload_bytes),
        replies=ReplyOptions(stream.chunk_bytes, stream.chunk_qos, stream.final_qos),
    )


def _temperature_of(settings: Settings, *, builtin: bool) -> float:
    if settings.sampling.temperature != "auto":
        return settings.sampling.temperature
    return 0.0 if builtin else _TEMPERATURE


def _thinking_of(settings: Settings) -> Thinking:
    return Thinking(
        {"auto": None, "on": True, "off": False}[settings.model.think],
        number_or_none(settings.sampling.reasoning_budget),
    )


def discovery_of(settings: Settings) -> DiscoveryOptions:
    """Return what Home Assistant is told, and where."""
    ours = settings.homeassistant
    return DiscoveryOptions(ours.discovery, ours.prefix, ours.status_topic)


def load_of(settings: Settings, model: Choice, *, threads: int) -> Load:
    """Return what an engine is told first; memory is looked at now."""
    engine = settings.engine
    return Load(
        backend=model.backend,
        path=str(model.path or ""),
        context=settings.model.context,
        threads=threads,
        step_tokens=engine.step_tokens,
        step_ms=engine.step_ms,
        slots=number_or_none(engine.slots),
        kv_tokens=number_or_none(engine.kv_tokens),
        prefix_bytes=None if engine.prefix_mb == "auto" else engine.prefix_mb << 20,
        kv_type=KvType(engine.kv_type),
        flash_attention=FlashAttention(engine.flash_attention),
        load_mode=LoadMode(engine.load_mode),
        speculate=engine.speculate,
        memory_bytes=available_memory_bytes() or 0,
        total_memory_bytes=total_memory_bytes() or 0,
        system=settings.model.system,
        thinking=_thinking_of(settings),
        template=str(settings.model.template or ""),
        state_folder=str(state_folder_of(settings)),
        state_bytes=engine.state_mb << 20,
    )


def demand_of(settings: Settings) -> Demand:
    """Return what decides whether a model fits, as the engine is told it in `Load`."""
    engine = settings.engine
    return Demand(
        context=settings.model.context,
        kv_type=engine.kv_type,
        slots=number_or_none(engine.slots),
        kv_tokens=number_or_none(engine.kv_tokens),
        prefix_bytes=None if engine.prefix_mb == "auto" else engine.prefix_mb << 20,
    )


def state_folder_of(settings: Settings) -> Path:
    """Return where states are kept: as set, in systemd's `StateDirectory=`, or in the user's cache."""
    if settings.engine.state_folder is not None:
        return settings.engine.state_folder
    given = os.environ.get("STATE_DIRECTORY")
    folder = Path(given.split(":")[0]) if given else platformdirs.user_cache_path("edgeassist")
    return folder / "kv"


def number_or_none(value: int | Literal["auto"]) -> int | None:
    """Return a number that is configured; None where the choice is left to us."""
    return None if value == "auto" else value


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
