"""A device's figures in words, the same in every command. Sans-I/O."""

from __future__ import annotations

from edgeassist.sight.reading import HealthSeen, SpreadSeen, WatchSeen

NEVER_SEEN = "never seen: is its daemon running, and is this its broker?"
NO_ANSWER = "no answer yet"
_MANY = 100
_MIB = 1 << 20
_GIB = 1 << 30
_PERIODS = ((86_400, "d"), (3600, "h"), (60, "min"))
_FLAGS = ("throttled", "under_voltage", "frequency_capped", "soft_temperature_limit")


def period(seconds: float) -> str:
    """Return a length of time in its two largest units: `3 d 4 h`, `12 min`, `40 s`."""
    left = max(0, int(seconds))
    told: list[str] = []
    for size, name in _PERIODS:
        count, left = divmod(left, size)
        if count or told:
            told.append(f"{count} {name}")
    if not told:
        return f"{left} s"
    return " ".join(told[:2])


def size(count: int) -> str:
    """Return a size in memory."""
    return f"{count / _GIB:.1f} GiB" if count >= 10 * _GIB else f"{count // _MIB} MiB"


def rate(value: float | None) -> str | None:
    """Return tokens per second, a small number with more places; None for none."""
    if value is None:
        return None
    return f"{value:,.0f}" if value >= _MANY else f"{value:.1f}"


def latency(value: float) -> str:
    """Return how long something took, in milliseconds."""
    return f"{value:,.0f} ms"


def heat(value: float) -> str:
    """Return a temperature, where there is little room."""
    return f"{value:.0f} °C"


def memory(health: HealthSeen) -> str:
    """Return what daemon and engine take."""
    sizes = (health.daemon_memory_bytes, health.engine_memory_bytes)
    daemon, engine = (size(each) if each else "unknown" for each in sizes)
    return f"daemon {daemon}, engine {engine}"


def free(health: HealthSeen) -> str | None:
    """Return what the machine has left; None where it does not say."""
    sizes = {"memory": health.memory_available_bytes, "disk": health.disk_free_bytes}
    return ", ".join(f"{name} {size(each)}" for name, each in sizes.items() if each) or None


def waits(health: HealthSeen) -> str | None:
    """Return for what the machine's work waits; None where it does not say."""
    shares = {"cpu": health.cpu_pressure, "memory": health.memory_pressure, "io": health.io_pressure}
    told = ", ".join(f"{name} {share:.0f} %" for name, share in shares.items() if share is not None)
    return f"{told} of the last 10 s" if told else None


def processor(health: HealthSeen) -> str | None:
    """Return temperature and frequency; None without a sensor."""
    told = []
    if health.cpu_temperature_c is not None:
        told.append(f"{health.cpu_temperature_c:.1f} °C")
    if health.cpu_frequency_mhz is not None:
        told.append(f"{health.cpu_frequency_mhz} MHz")
    return ", ".join(told) or None


def strains(health: HealthSeen) -> tuple[list[str], list[str]]:
    """Return what the firmware holds back now, and what it held back since the daemon's start."""
    now = [flag.replace("_", " ") for flag in _FLAGS if getattr(health, flag)]
    before = [
        flag.replace("_", " ")
        for flag in _FLAGS[:2]
        if getattr(health, f"{flag}_since_start") and not getattr(health, flag)
    ]
    return now, before


def spread(figures: SpreadSeen | None, unit: str) -> str | None:
    """Return percentiles; None before the first answer."""
    if figures is None or figures.p50 is None:
        return None
    p95 = "" if figures.p95 is None else f", {figures.p95:.1f} {unit} (p95)"
    return f"{figures.p50:.1f} {unit} (p50){p95}"


def failures(counts: dict[str, int]) -> str:
    """Return how many failed of which code, the most first."""
    most = sorted(counts.items(), key=lambda each: -each[1])
    return ", ".join(f"{code} {count}" for code, count in most)


def known(watch: WatchSeen | None) -> str:
    """Return what is known from a watch."""
    if watch is None or watch.answers is None:
        return "nothing is said of it"
    told = []
    for name, answer in watch.answers.items():
        choice = None if answer is None else answer.choice
        share = None if answer is None else answer.share
        told.append(f"{name} {choice or 'unknown'}" + ("" if share is None else f" ({share:.0%})"))
    return ", ".join(told) + (f": {watch.reason}" if watch.reason else "")
