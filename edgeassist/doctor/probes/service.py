"""The systemd unit: its state, and the settings that the service gets besides the file."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from edgeassist.doctor.checks.service import UnitSnapshot
from edgeassist.doctor.probes.run import ask_program
from edgeassist.errors import UnsupportedError

_LIMIT_S = 3.0
# The names that `systemctl show` promises to keep (systemctl(1)).
_PROPERTIES = [
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "Result",
    "ExecMainStatus",
    "NRestarts",
    "MainPID",
    "User",
    "WatchdogUSec",
    "TimeoutStartUSec",
    "TimeoutStopUSec",
    "CPUQuotaPerSecUSec",
    "MemoryMax",
    "LimitMEMLOCK",
    "Environment",
    "ExecStart",
    "StateDirectory",
]
# systemd.time(7).
_UNITS_S = {"us": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800, "month": 2629800}
# How "infinity" is shown: with its name, or as the largest number.
_NO_LIMIT = (1 << 64) - 1
_LOADED = re.compile(r"loaded .+ in (\d+) ms: ")


@dataclass(frozen=True, slots=True)
class Unit:
    """The unit as systemd knows it.

    Attributes:
        snapshot: What `check_service` judges.
        user: `User=`; empty if not set.
        pid: The running daemon's; None without one.
        config: The file given with `--config` in `ExecStart=`.
        environment: `Environment=`.
        credentials: The files of `LoadCredential=`, by credential name.
        state_folder: `StateDirectory=`.
        quota: `CPUQuota=`, in CPUs.
        memory_max_bytes: `MemoryMax=`.
    """

    snapshot: UnitSnapshot
    user: str = ""
    pid: int | None = None
    config: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    credentials: Mapping[str, Path] = field(default_factory=dict)
    state_folder: Path | None = None
    quota: float | None = None
    memory_max_bytes: int | None = None


def probe_service(name: str = "edgeassist.service", root: Path = Path("/")) -> Unit | None:
    """Ask systemd for the unit, the system's before the user's; None if systemd does not run."""
    if not (root / "run/systemd/system").is_dir():  # sd_booted(3)
        return None
    found = None
    for user_manager in (False, True):
        options = ["--user"] if user_manager else []
        shown = _ask(["systemctl", *options, "show", name, f"--property={','.join(_PROPERTIES)}"])
        if not shown:
            continue
        unit = parse_unit(name, shown, user_manager=user_manager)
        if unit.snapshot.load_state == "loaded":
            # Debian 12's `show` calls credentials unprintable.
            return replace(unit, credentials=parse_credentials(_ask(["systemctl", *options, "cat", name])))
        found = found or unit
    return found


def parse_credentials(files: str) -> dict[str, Path]:
    """Read `LoadCredential=` from what `systemctl cat` prints; return the files by credential name."""
    credentials: dict[str, Path] = {}
    for line in files.splitlines():
        if line.strip() == "LoadCredential=":  # an empty value drops those before
            credentials.clear()
        elif line.startswith("LoadCredential="):
            credential, _, path = line.partition("=")[2].partition(":")
            credentials[credential.strip()] = Path(path.strip())
    return credentials


def _ask(command: list[str]) -> str:
    """Return what the program prints; empty if it fails."""
    try:
        ended = ask_program(command, _LIMIT_S)
    except UnsupportedError:
        return ""
    return ended.output if ended.status == 0 else ""


def parse_unit(name: str, shown: str, *, user_manager: bool) -> Unit:
    """Parse what `systemctl show` prints."""
    values = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    memory, exited = values.get("MemoryMax", ""), values.get("ExecMainStatus", "")
    pid = values.get("MainPID", "0")
    state = values.get("StateDirectory", "").split()
    snapshot = UnitSnapshot(
        name=name,
        user_manager=user_manager,
        load_state=values.get("LoadState", ""),
        active_state=values.get("ActiveState", ""),
        sub_state=values.get("SubState", ""),
        enabled=values.get("UnitFileState", ""),
        result=values.get("Result", ""),
        exit_status=int(exited) if exited.isdecimal() else None,
        restarts=int(values.get("NRestarts") or 0),
        watchdog_s=parse_seconds(values.get("WatchdogUSec", "")) or None,
        start_timeout_s=parse_seconds(values.get("TimeoutStartUSec", "")),
        stop_timeout_s=parse_seconds(values.get("TimeoutStopUSec", "")),
        memlock_bytes=_limit(values.get("LimitMEMLOCK", "")),
    )
    return Unit(
        snapshot,
        user=values.get("User", ""),
        pid=int(pid) if pid.isdecimal() and pid != "0" else None,
        config=_config(values.get("ExecStart", "")),
        environment=dict(each.split("=", 1) for each in _words(values.get("Environment", "")) if "=" in each),
        state_folder=Path("/var/lib") / state[0] if state and not user_manager else None,
        quota=parse_seconds(values.get("CPUQuotaPerSecUSec", "")),
        memory_max_bytes=int(memory) if memory.isdecimal() else None,
    )


def parse_seconds(text: str) -> float | None:
    """Parse a time span such as `1min 30s`; None for "infinity" and for anything else."""
    parts = re.findall(r"([\d.]+)(us|ms|s|min|h|d|w|month)\b", text)
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts) if parts else None


def _limit(text: str) -> int | None:
    return int(text) if text.isdecimal() and int(text) != _NO_LIMIT else None


def last_load_s(unit: Unit) -> float | None:
    """Return how long the model's last load took; None if this user finds none in the journal."""
    options = ["--user"] if unit.snapshot.user_manager else []
    command = [
        "journalctl",
        *options,
        "-u",
        unit.snapshot.name,
        "-o",
        "cat",
        "-r",
        "-n",
        "2000",
        "--no-pager",
    ]
    loads = (_LOADED.match(line) for line in _ask(command).splitlines())
    return next((int(load[1]) / 1000 for load in loads if load is not None), None)


def _config(exec_start: str) -> Path | None:
    """Return the file given with `--config` in `{ path=… ; argv[]=… ; ignore_errors=… }`."""
    arguments = re.search(r"argv\[\]=(.*?) ;", exec_start)
    words = _words(arguments[1]) if arguments else []
    for word, following in pairwise([*words, ""]):
        if word == "--config":
            return Path(following)
        if word.startswith("--config="):
            return Path(word.removeprefix("--config="))
    return None


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:  # an unbalanced quotation mark
        return line.split()
