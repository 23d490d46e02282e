"""Devices as they are seen, for tests of what is shown of them."""

from typing import Any

from edgeassist.errors import Code
from edgeassist.protocol.state import Health, Percentiles, State, Telemetry
from edgeassist.sight.box import Box

_MIB = 1 << 20


def health(**fields: Any) -> bytes:
    """Return how a device with all sensors is, while it answers."""
    document = Health(
        state=State.BUSY,
        reason=None,
        sleeping=False,
        model="Qwen2.5 0.5B Instruct",
        queued=1,
        running=2,
        uptime_s=187_200,
        version="0.1.0",
        boot_id="b",
        engine_restarts=0,
        daemon_memory_bytes=53 * _MIB,
        engine_memory_bytes=612 * _MIB,
        cpu_temperature_c=71.5,
        cpu_frequency_mhz=2400,
        throttled=False,
        under_voltage=False,
        frequency_capped=False,
        soft_temperature_limit=False,
        throttled_since_start=False,
        under_voltage_since_start=False,
        memory_available_bytes=3100 * _MIB,
        cpu_pressure=12.3,
        memory_pressure=0.0,
        io_pressure=1.0,
        disk_free_bytes=53 << 30,
        threads=4,
        prefill_threads=4,
        threads_reason="4 threads: one for each of 4 cores",
        durable=True,
        undurable_reason=None,
        mqtt_reconnects=0,
        mqtt_dropped=0,
        mqtt_last_problem=None,
        mqtt_refused=0,
        mqtt_last_refusal=None,
        mqtt_limits=None,
    )
    return document.model_copy(update=fields).model_dump_json().encode()


def telemetry(**fields: Any) -> bytes:
    """Return what a device has done."""
    some = Percentiles(p50=30.5, p95=33.0)
    document = Telemetry(
        requests=1242,
        done=1234,
        decisions=12,
        errors={Code.BUSY: 2, Code.CANCELLED: 6},
        prompt_tokens=1,
        cached_tokens=1,
        completion_tokens=1,
        queue_ms=some,
        ttft_ms=Percentiles(p50=118.0, p95=1204.0),
        tpot_ms=some,
        total_ms=some,
        decision_ms=some,
        prefill_tokens_per_s=some,
        decode_tokens_per_s=some,
    )
    return document.model_copy(update=fields).model_dump_json().encode()


INFO = (
    b'{"version": "0.1.0", "model": {"name": "Qwen2.5 0.5B Instruct", "backend": "llama", "quantisation": '
    b'"Q4_K_M", "context": 4096, "slots": 4, "size_bytes": 491000000}, "capabilities": {"commands": '
    b'["ping", "requests"]}, "settings": {"watch": [{"name": "window"}], "daemon": {"telemetry_s": 30}}}'
)
WATCH = b'{"answers": {"open": {"choice": "yes", "probabilities": {"yes": 0.93}}}, "reason": null}'


def box(device: str = "pi", **fields: Any) -> Box:
    """Return a device of which all is known, with a history of forty seconds up to 40."""
    seen = Box(device, f"edgeassist/{device}")
    seen.hear_status(b"online", 0.0)
    seen.hear_info(INFO)
    seen.hear_watch("window", WATCH)
    for number in range(40):
        running = min(number // 10, 2)
        heat = 50.0 + number / 2
        said = health(running=running, queued=0, cpu_temperature_c=heat)
        seen.hear_health(said, float(number), retained=False)
    seen.hear_health(health(**fields), 40.0, retained=False)
    seen.hear_telemetry(telemetry(), 40.0, retained=False)
    return seen
