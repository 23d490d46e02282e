"""What differs from run to run or from machine to machine, and what stands for it in a fixture.

A mask goes by the field's name, and replaces only a value of its kind: a `ttft_ms` that is a string stays,
and so differs from the fixture.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import NoneType

from pydantic import JsonValue

_MADE_UP_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{16}(?![0-9a-f])")

_CALL_ID = re.compile(r"^[a-z0-9]{9}$")

_NUMBER = (int, float)
# A machine may lack the sensor.
_READING = (int, float, NoneType)
_FLAG = (bool, NoneType)

_MS = (
    "queue_ms",
    "prefill_ms",
    "ttft_ms",
    "decode_ms",
    "total_ms",
    "overhead_ms",
    "tpot_ms",
    "retry_after_ms",
)
_RATES = ("prefill_tokens_per_s", "decode_tokens_per_s", "tokens_per_s")
_BYTES = ("engine_memory_bytes", "memory_available_bytes", "disk_free_bytes")
_READINGS = ("cpu_temperature_c", "cpu_frequency_mhz", "cpu_pressure", "memory_pressure", "io_pressure")
_FLAGS = (
    "throttled",
    "under_voltage",
    "frequency_capped",
    "soft_temperature_limit",
    "throttled_since_start",
    "under_voltage_since_start",
)
_MASKS: Mapping[str, tuple[str, tuple[type, ...]]] = {
    **dict.fromkeys(_MS, ("<ms>", _NUMBER)),
    **dict.fromkeys(_RATES, ("<tokens per s>", _NUMBER)),
    **dict.fromkeys(_BYTES, ("<bytes or null>", _READING)),
    **dict.fromkeys(_READINGS, ("<number or null>", _READING)),
    **dict.fromkeys(_FLAGS, ("<flag or null>", _FLAG)),
    "daemon_memory_bytes": ("<bytes>", _NUMBER),
    **dict.fromkeys(("uptime_s", "age_s", "deadline_in_s"), ("<s>", _NUMBER)),
    "port": ("<port>", _NUMBER),
    "version": ("<version>", (str,)),
    "sw": ("<version>", (str,)),
    "boot_id": ("<boot id>", (str,)),
    **dict.fromkeys(("state_at", "answered_at"), ("<date>", (str,))),
    "since": ("<date>", (str, *_NUMBER)),
    "threads_reason": ("<reason>", (str,)),
}
# Home Assistant is told of these only where the machine has the sensor.
_COMPONENTS = ("cpu_temperature", "under_voltage", "throttled")


def mask(value: JsonValue, name: str = "") -> JsonValue:
    """Return the value, which stands in a field of that name, with placeholders for what varies."""
    if isinstance(value, dict) and name == "cmps":
        return {key: "<if there is a sensor>" if key in _COMPONENTS else value[key] for key in value}
    if isinstance(value, dict):
        # A figure may be an object: of its percentiles.
        meant = {"id": "tool_call_id"} if name == "tool_call" else {}
        return {
            key: mask(each, name if name in _MASKS else meant.get(key, key)) for key, each in value.items()
        }
    if isinstance(value, list):
        inner = "tool_call" if name == "tool_calls" else ""
        return [mask(each, inner) for each in value]
    if name == "tool_call_id" and isinstance(value, str):
        return _CALL_ID.sub("<call id>", value)
    placeholder, kinds = _MASKS.get(name, ("", ()))
    if type(value) in kinds:
        return placeholder
    return mask_ids(value) if name == "id" and isinstance(value, str) else value


def mask_ids(text: str) -> str:
    """Return the text, a topic or an id, with a placeholder for an id that the daemon made up."""
    return _MADE_UP_ID.sub("<made-up id>", text)
