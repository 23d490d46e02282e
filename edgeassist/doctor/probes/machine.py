"""The machine: how llama.cpp was built for it, power and heat, room, and the clock."""

from __future__ import annotations

import ctypes
import importlib.util
import re
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import edgeassist
from edgeassist.device.cpus import read_frequency_policies
from edgeassist.device.disk import disk_free_bytes
from edgeassist.device.files import ROOT, read_text
from edgeassist.device.firmware import throttled_flags
from edgeassist.device.heat import heat_limit_c
from edgeassist.device.memory import available_memory_bytes
from edgeassist.device.pressure import Resource, read_pressure
from edgeassist.device.thermal import cpu_temperature_c
from edgeassist.doctor.checks.clock import ClockSnapshot
from edgeassist.doctor.checks.power import PowerSnapshot
from edgeassist.doctor.checks.processor import WheelSnapshot
from edgeassist.doctor.checks.room import RoomSnapshot
from edgeassist.doctor.probes.permissions import User, may_write
from edgeassist.doctor.probes.run import ask_program
from edgeassist.errors import UnsupportedError

_BUILD_MODULE = "edgeassist.engine.backends.llama.build"
_BUILD_LIMIT_S = 10.0
# What adjtimex(2) returns while nothing keeps the clock right.
_TIME_ERROR = 5
_TIMEX_BYTES = 512  # more than struct timex has on any machine


def survey_wheel(root: Path = ROOT) -> WheelSnapshot:
    """Ask llama.cpp, in a process of its own, what it was built with."""
    # "flags" on x86, "Features" on ARM.
    lines = re.findall(r"^(?:flags|Features)\s*: (.*)$", read_text(root / "proc/cpuinfo") or "", re.MULTILINE)
    features = frozenset(lines[0].split()) if lines else frozenset[str]()
    if importlib.util.find_spec("llama_cpp") is None:
        return WheelSnapshot(features, None, python=sys.executable)
    build, failure, unasked = None, None, None
    try:
        ended = ask_program(
            [sys.executable, "-P", "-m", "edgeassist.engine.backends.llama.build"], _BUILD_LIMIT_S
        )
        if ended.status == 0:
            build = ended.output.strip()
        elif ended.status == -signal.SIGILL:
            failure = "llama.cpp was built for another processor: it meets an instruction that this one lacks"
        else:
            said = ended.errors.strip().splitlines()
            failure = f"llama.cpp can't be loaded: {said[-1] if said else f'exit status {ended.status}'}"
    except UnsupportedError as error:
        unasked = error.message
    return WheelSnapshot(features, build, failure, unasked, sys.executable)


def survey_power(health: Mapping[str, Any] | None) -> PowerSnapshot:
    """Read the sensors; `health` is the running daemon's, None without one."""
    health = health or {}
    return PowerSnapshot(
        temperature_c=cpu_temperature_c(),
        limit_c=heat_limit_c(),
        flags=throttled_flags(),
        policies=read_frequency_policies(),
        throttled_since_start=health.get("throttled_since_start"),
        under_voltage_since_start=health.get("under_voltage_since_start"),
    )


def survey_room(state_folder: Path | None, state_bytes: int, user: User) -> RoomSnapshot:
    """Look for room; `state_folder` is None where the settings don't tell."""
    memory, io = read_pressure(Resource.MEMORY), read_pressure(Resource.IO)
    return RoomSnapshot(
        memory_available_bytes=available_memory_bytes(),
        memory_pressure=None if memory is None else memory.avg60,
        io_pressure=None if io is None else io.avg60,
        root_free_bytes=disk_free_bytes(Path("/")),
        state_folder=state_folder,
        state_writable=None if state_folder is None else may_write(user, state_folder),
        state_free_bytes=None if state_folder is None else disk_free_bytes(state_folder),
        state_bytes=state_bytes,
        user=user.name,
    )


def survey_clock(*, tls: bool) -> ClockSnapshot:
    """Look at the clock."""
    installed = Path(edgeassist.__file__).stat().st_mtime
    return ClockSnapshot(
        now=datetime.now(UTC),
        installed=datetime.fromtimestamp(installed, UTC),
        synchronised=_is_synchronised(),
        tls=tls,
    )


def _is_synchronised() -> bool | None:
    # With no bit of `modes` set it only reads, and needs no privilege.
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _TIME_ERROR
