"""What a device, or somebody in its place, says at a test's broker."""

from __future__ import annotations

import json
from typing import Any

from paho.mqtt import publish

from edgeassist.sandbox import HOST


def say(port: int, topic: str, payload: Any = "", *, retain: bool = False) -> None:
    """Publish one message, and wait until the broker has it; what is no text is said as JSON."""
    text = payload if isinstance(payload, str) else json.dumps(payload)
    publish.single(topic, text, qos=1, retain=retain, hostname=HOST, port=port)


def say_all(port: int, messages: list[tuple[str, str]], *, retain: bool = False) -> None:
    """Publish them one behind the other, over one connection."""
    ours: list[Any] = [
        {"topic": topic, "payload": text, "qos": 1, "retain": retain} for topic, text in messages
    ]
    publish.multiple(ours, hostname=HOST, port=port)


def health(**values: Any) -> dict[str, Any]:
    """Return a health document, with other values."""
    return {
        "state": "ready",
        "reason": None,
        "sleeping": False,
        "model": "m",
        "queued": 0,
        "running": 0,
        "uptime_s": 100,
        "version": "0.1.0",
        "boot_id": "b",
        "engine_restarts": 0,
        "daemon_memory_bytes": 50_000_000,
        "engine_memory_bytes": 450_000_000,
        "cpu_temperature_c": 51.5,
        "cpu_frequency_mhz": 2400,
        "throttled": False,
        "under_voltage": False,
        "frequency_capped": False,
        "soft_temperature_limit": False,
        "throttled_since_start": False,
        "under_voltage_since_start": False,
        "memory_available_bytes": 3_000_000_000,
        "cpu_pressure": 1.0,
        "memory_pressure": 0.0,
        "io_pressure": None,
        "disk_free_bytes": 9_000_000_000,
        "threads": 4,
        "prefill_threads": 4,
        "threads_reason": "4 threads",
        "durable": True,
        "undurable_reason": None,
        "mqtt_reconnects": 0,
        "mqtt_dropped": 0,
        "mqtt_last_problem": None,
        "mqtt_refused": 0,
        "mqtt_last_refusal": None,
        "mqtt_limits": None,
        "fleet": None,
        **values,
    }
