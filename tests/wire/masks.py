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


# What may stand where a mask does. `since` is of two kinds: `unmask` is told which.
_SAMPLES: Mapping[str, JsonValue] = {
    "<ms>": 12,
    "<tokens per s>": 31,
    "<s>": 60,
    "<bytes>": 73_400_320,
    "<bytes or null>": 524_288_000,
    "<number or null>": 41,
    "<flag or null>": False,
    "<port>": 1883,
    "<date>": "2026-11-28T17:23:20Z",
    "<version>": "1.0.0",
    "<boot id>": "0f5c7e1a9b3d2468",
    "<made-up id>": "d985a1c07be4f263",
    "<call id>": "k3x9q0w7z",
    "<call id 0>": "k3x9q0w7z",
    "<call id 1>": "b7h2m5t1c",
    "<if there is a sensor>": {"p": "sensor"},
}


def unmask(value: JsonValue, *, since: JsonValue = _SAMPLES["<date>"]) -> JsonValue:
    """Return the value with something that may be there in the place of each mask.

    Args:
        value: As a fixture has it.
        since: What stands for a date in a field of that name.
    """
    if isinstance(value, dict):
        return {
            key: since if key == "since" and each == "<date>" else unmask(each, since=since)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [unmask(each, since=since) for each in value]
    if not isinstance(value, str):
        return value
    if value in _SAMPLES:
        return _SAMPLES[value]
    return re.sub(r"<[a-z -]+( [0-9])?>", lambda found: str(_SAMPLES.get(found[0], found[0])), value)
