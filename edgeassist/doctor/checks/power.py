"""Whether power and heat let the processor run at full speed. Sans-I/O."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgeassist.device.cpus import FrequencyPolicy
from edgeassist.device.firmware import ThrottledFlags
from edgeassist.doctor.finding import ok, problem, skipped, warning
from edgeassist.protocol.findings import Finding

# If the temperature at which the processor is throttled is unknown: few processors throttle below this.
_HOT_CELSIUS = 85.0
_NEAR_CELSIUS = 3.0
# With these drivers, `powersave` follows the load (Linux, intel_pstate, amd-pstate).
_OWN_GOVERNORS = ("intel_pstate", "amd-pstate", "amd-pstate-epp")
_SUPPLY = "use the board's own power supply and a short, thick cable (a Raspberry Pi 5 wants 5 V at 5 A)"
_COOLING = "give it a heat sink or a fan, and air"


@dataclass(frozen=True, slots=True)
class PowerSnapshot:
    """What the sensors say; None without a sensor.

    Attributes:
        limit_c: The temperature at which the processor is throttled.
        flags: A Raspberry Pi's.
        policies: How the kernel sets frequencies.
        throttled_since_start: Seen by the running daemon; None without one.
        under_voltage_since_start: As `throttled_since_start`.
    """

    temperature_c: float | None
    limit_c: float | None
    flags: ThrottledFlags | None
    policies: tuple[FrequencyPolicy, ...]
    throttled_since_start: bool | None = None
    under_voltage_since_start: bool | None = None


def check_power(snapshot: PowerSnapshot) -> Iterator[Finding]:
    """Judge power, heat and frequency."""
    findings = [
        *_check_supply(snapshot),
        *_check_heat(snapshot),
        *(finding for policy in dict.fromkeys(snapshot.policies) for finding in _check_policy(policy)),
    ]
    yield from findings
    if not findings:
        if snapshot.flags is None and snapshot.temperature_c is None and not snapshot.policies:
            yield skipped("power", "not checked: no sensor of power, heat or frequency can be read here")
            return
        heat = "" if snapshot.temperature_c is None else f", {snapshot.temperature_c:.0f} °C"
        yield ok("power", f"nothing holds the processor back{heat}")


def _check_supply(snapshot: PowerSnapshot) -> Iterator[Finding]:
    flags = snapshot.flags
    if flags is not None and flags.under_voltage:
        yield problem("power", "under-voltage at this moment: the board slows down and may fail", _SUPPLY)
    elif snapshot.under_voltage_since_start or (flags is not None and flags.under_voltage_occurred):
        yield warning("power", "there was under-voltage before: the board slowed down", _SUPPLY)


def _check_heat(snapshot: PowerSnapshot) -> Iterator[Finding]:
    flags, temperature = snapshot.flags, snapshot.temperature_c
    if flags is not None and (flags.throttled or flags.soft_temperature_limit):
        yield warning("heat", f"the processor is slowed down at this moment{_at(temperature)}", _COOLING)
    elif temperature is not None and temperature >= (snapshot.limit_c or _HOT_CELSIUS) - _NEAR_CELSIUS:
        yield warning("heat", f"the processor has {temperature:.0f} °C, and is slowed down soon", _COOLING)
    elif snapshot.throttled_since_start or (
        flags is not None and (flags.throttled_occurred or flags.soft_temperature_limit_occurred)
    ):
        yield warning("heat", f"the processor was slowed down before{_at(temperature)}", _COOLING)
    if flags is not None and flags.frequency_capped and not flags.under_voltage:
        yield warning("heat", "the firmware caps the processor's frequency at this moment", _COOLING)


def _at(temperature: float | None) -> str:
    return "" if temperature is None else f" (now {temperature:.0f} °C)"


def _check_policy(policy: FrequencyPolicy) -> Iterator[Finding]:
    if policy.governor == "powersave" and policy.driver not in _OWN_GOVERNORS:
        yield warning(
            "frequency",
            "the governor powersave keeps the processor at its lowest frequency",
            "echo ondemand | sudo tee /sys/devices/system/cpu/cpufreq/policy*/scaling_governor",
        )
    if policy.limit_khz is not None and policy.max_khz is not None and policy.limit_khz < policy.max_khz:
        yield warning(
            "frequency",
            f"the processor is held to {policy.limit_khz // 1000} MHz, and could do {policy.max_khz // 1000}",
            f"echo {policy.max_khz} | sudo tee /sys/devices/system/cpu/cpufreq/policy*/scaling_max_freq",
        )
