"""Whether systemd starts the daemon, keeps it running, and has patience enough. Sans-I/O."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgeassist.doctor.finding import ok, problem, skipped, warning
from edgeassist.protocol.findings import Finding

_AREA = "service"
_CONFIGURATION = 78
# systemd restarts the daemon without limit; this many restarts mean that it does not come up.
_LOOP = 3
# The daemon pings the watchdog twice per period, and a small machine that swaps can stall for seconds.
_LEAST_WATCHDOG_S = 10.0
# A load from a cold disk takes longer than the last one.
_LOAD_MARGIN = 2.0
# How long the disk, stopping the engine and the last messages may take, after daemon.drain_s.
_END_S = 16.0


@dataclass(frozen=True, slots=True)
class UnitSnapshot:
    """The unit, as `systemctl show` prints it. Times are in seconds; None for "infinity" or if switched off.

    Attributes:
        enabled: `UnitFileState`: enabled, disabled, static, …
        result: Why it failed: exit-code, watchdog, oom-kill, timeout, …
        exit_status: Of its last process; None if that still runs.
        restarts: By systemd, since somebody started it.
        memlock_bytes: `LimitMEMLOCK`; None for "infinity".
    """

    name: str
    user_manager: bool
    load_state: str
    active_state: str
    sub_state: str = ""
    enabled: str = ""
    result: str = ""
    exit_status: int | None = None
    restarts: int = 0
    watchdog_s: float | None = None
    start_timeout_s: float | None = None
    stop_timeout_s: float | None = None
    memlock_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Durations:
    """How long the daemon may take, in seconds.

    Attributes:
        load_s: For the model's last load, by the journal; None if unknown.
        load_limit_s: The setting `engine.load_timeout_s`.
        drain_s: The setting `daemon.drain_s`.
    """

    load_s: float | None = None
    load_limit_s: float = 300.0
    drain_s: float = 20.0


def check_service(
    unit: UnitSnapshot | None, durations: Durations, *, locks: bool = False
) -> Iterator[Finding]:
    """Judge the unit.

    Args:
        unit: None if systemd does not run.
        durations: What its patience has to be longer than.
        locks: Whether it is to lock the model in memory, which root may always.
    """
    if unit is None:
        yield skipped(_AREA, "not checked: systemd does not run here")
        return
    control, log = (
        ("systemctl --user", "journalctl --user") if unit.user_manager else ("sudo systemctl", "journalctl")
    )
    if unit.load_state == "not-found":
        yield warning(
            _AREA,
            "there is no unit: the daemon does not start with the machine",
            "sudo ./scripts/install.sh (docs/installation.md)",
        )
        return
    if unit.load_state == "masked":
        yield problem(_AREA, "the unit is masked: nothing can start it", f"{control} unmask {unit.name}")
        return
    findings = [
        *_check_state(unit, control, f"{log} -u {unit.name} -p err -n 20"),
        *_check_times(unit, durations, control),
        *(_check_lock(unit, control) if locks else ()),
    ]
    yield from findings
    if not findings:
        yield ok(_AREA, f"{unit.name} is {unit.active_state} and {unit.enabled}")


def _check_state(unit: UnitSnapshot, control: str, log: str) -> Iterator[Finding]:
    if unit.enabled == "disabled":
        yield warning(
            _AREA,
            "the unit is not enabled: it does not start with the machine",
            f"{control} enable {unit.name}",
        )
    if unit.active_state == "failed":
        setting = unit.exit_status == _CONFIGURATION
        why = "a setting has to be mended" if setting else f"{unit.result}, exit status {unit.exit_status}"
        yield problem(_AREA, f"the service failed ({why})", f"{log}; then: {control} restart {unit.name}")
    elif unit.sub_state == "auto-restart" or (unit.active_state == "activating" and unit.restarts >= _LOOP):
        yield problem(
            _AREA,
            f"the service ends and is started again, {unit.restarts} times by now "
            f"({unit.result or 'unknown'})",
            log,
        )
    elif unit.active_state == "inactive":
        yield problem(_AREA, "the service is stopped", f"{control} start {unit.name}")


def _check_lock(unit: UnitSnapshot, control: str) -> Iterator[Finding]:
    if unit.memlock_bytes is not None:
        yield warning(
            _AREA,
            f'engine.load_mode is "lock", and LimitMEMLOCK is {unit.memlock_bytes} bytes: the model can be '
            "swapped out",
            f"{_edit(unit, control)}: LimitMEMLOCK=infinity",
        )


def _edit(unit: UnitSnapshot, control: str) -> str:
    return f"{control} edit {unit.name}, and there under [Service]"


def _check_times(unit: UnitSnapshot, durations: Durations, control: str) -> Iterator[Finding]:
    edit = _edit(unit, control)
    if unit.watchdog_s is not None and unit.watchdog_s < _LEAST_WATCHDOG_S:
        yield warning(
            _AREA,
            f"WatchdogSec is {unit.watchdog_s:g} s: a box that swaps misses that, and a daemon that is well "
            "is killed",
            f"{edit}: WatchdogSec=30",
        )
    if unit.start_timeout_s is not None:
        load = durations.load_s
        needed = durations.load_limit_s if load is None else _LOAD_MARGIN * load
        if unit.start_timeout_s < needed:
            took = "the model may take" if load is None else f"the model took {load:.0f} s last time; allow"
            yield warning(
                _AREA,
                f"TimeoutStartSec is {unit.start_timeout_s:g} s and {took} {needed:.0f} s: the service would "
                "be killed while it loads",
                f"{edit}: TimeoutStartSec=infinity",
            )
    least = durations.drain_s + _END_S
    if unit.stop_timeout_s is not None and unit.stop_timeout_s < least:
        yield warning(
            _AREA,
            f"TimeoutStopSec is {unit.stop_timeout_s:g} s and answers that run get {durations.drain_s:g} s "
            "to end: they would be cut off",
            f"{edit}: TimeoutStopSec={least + 10:.0f}",
        )
