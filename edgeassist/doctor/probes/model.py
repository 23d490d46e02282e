"""The model: what its file says, who may read it, and how much memory there is for it."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from edgeassist.device.memory import available_memory_bytes, total_memory_bytes
from edgeassist.doctor.checks.model import ModelSnapshot
from edgeassist.doctor.probes.permissions import User, may_read, this_user
from edgeassist.errors import ModelError
from edgeassist.models.builtin import is_builtin
from edgeassist.models.choice import choose_model, is_installed
from edgeassist.models.files.reading import read_model
from edgeassist.models.files.template import read_template
from edgeassist.models.fit import Demand, Memory


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a model is judged by: which one is served, why no other, and the settings about memory."""

    path: Path
    backend: str
    demand: Demand
    template: Path | None = None
    chosen: bool = False
    note: str | None = None
    state_bytes: int = 0


def probe_model(
    wanted: Wanted, user: User, *, memory_max_bytes: int | None, engine_bytes: int | None
) -> ModelSnapshot:
    """Read the model's file and find out who may read it and what memory there is.

    Args:
        wanted: The settings.
        user: The user that the service runs as.
        memory_max_bytes: The unit's limit; None without one.
        engine_bytes: The running engine's memory, which a restart frees; None where none runs.
    """
    snapshot = ModelSnapshot(
        wanted.path,
        wanted.backend,
        platform.machine(),
        wanted.demand,
        builtin=is_builtin(wanted.path),
        python=sys.executable,
        user=user.name,
        memory=_memory(memory_max_bytes, engine_bytes or 0),
        swap_bytes=_swap(),
        chosen=wanted.chosen,
        note=wanted.note,
        state_bytes=wanted.state_bytes,
        template=wanted.template,
        template_refusal=_refusal_of(wanted.template),
    )
    if user != this_user() and not snapshot.builtin and _is_hidden(wanted.path):
        return replace(snapshot, hidden=True)
    try:
        choice = choose_model(wanted.path, wanted.backend)
        snapshot = replace(snapshot, backend=choice.backend, backend_installed=is_installed(choice.backend))
        if choice.path is None or choice.backend == "scripted":
            return snapshot
        snapshot = replace(snapshot, readable=may_read(user, choice.path))
        return _read(snapshot, choice.path, user)
    except ModelError as error:
        return replace(snapshot, refusal=error.message)


def _read(snapshot: ModelSnapshot, path: Path, user: User) -> ModelSnapshot:
    model = read_model(path, snapshot.backend)
    barred = next((file for file in model.files if may_read(user, file) is False), None)
    if barred is not None:
        snapshot = replace(snapshot, readable=False, barred=barred)
    return replace(
        snapshot,
        weights=model,
        quantization=model.quantization,
        main_type=model.main_type,
        has_template=model.template is not None,
        made_for=model.made_for,
    )


def _refusal_of(template: Path | None) -> str | None:
    try:
        read_template(str(template or ""))
    except ModelError as error:
        return error.message
    return None


def _is_hidden(path: Path) -> bool:
    """Whether this process is kept from it."""
    try:
        path.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return not os.access(path, os.R_OK)


def _memory(memory_max_bytes: int | None, engine_bytes: int) -> Memory:
    free, total = available_memory_bytes(), total_memory_bytes()
    return Memory(
        _least(None if free is None else free + engine_bytes, memory_max_bytes),
        _least(total, memory_max_bytes),
    )


def _least(*sizes: int | None) -> int | None:
    return min((size for size in sizes if size is not None), default=None)


def _swap() -> int | None:
    try:
        return psutil.swap_memory().total
    except (OSError, RuntimeError):  # a sandbox that hides /proc/meminfo or /proc/vmstat
        return None
