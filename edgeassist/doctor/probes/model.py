"""The model: what its file says, who may read it, and whether it can be had in memory."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from edgeassist.device.memory import available_memory_bytes
from edgeassist.doctor.checks.model import ModelSnapshot
from edgeassist.doctor.probes.permissions import User, may_read, this_user
from edgeassist.errors import ModelError
from edgeassist.models.builtin import is_builtin
from edgeassist.models.choice import choose_model, is_installed
from edgeassist.models.files.gguf import kv_bytes_per_token, read_header
from edgeassist.models.files.onnx import read_onnx_folder


@dataclass(frozen=True, slots=True)
class Wanted:
    """The settings that a model is judged by: `model.path`, `model.backend`, `model.context`."""

    path: Path
    backend: str
    context: int


def survey_model(
    wanted: Wanted, user: User, *, memory_max_bytes: int | None, engine_bytes: int | None
) -> ModelSnapshot:
    """Look at the model.

    Args:
        wanted: The settings.
        user: As whom the service runs.
        memory_max_bytes: What the unit allows; None for no limit.
        engine_bytes: What the running engine has, which it would give back; None where none runs.
    """
    snapshot = ModelSnapshot(
        wanted.path,
        wanted.backend,
        platform.machine(),
        builtin=is_builtin(wanted.path),
        python=sys.executable,
        user=user.name,
        context=wanted.context,
        available_bytes=_available(memory_max_bytes, engine_bytes or 0),
        swap_bytes=_swap(),
    )
    if user != this_user() and not snapshot.builtin and _is_hidden(wanted.path):
        return replace(snapshot, hidden=True)
    try:
        choice = choose_model(wanted.path, wanted.backend)
        snapshot = replace(snapshot, backend=choice.backend, backend_installed=is_installed(choice.backend))
        if choice.path is None:
            return snapshot
        snapshot = replace(snapshot, readable=may_read(user, choice.path))
        return _read(snapshot, choice.path)
    except ModelError as error:
        return replace(snapshot, refusal=error.message)


def _read(snapshot: ModelSnapshot, path: Path) -> ModelSnapshot:
    if snapshot.backend == "onnx":
        folder = read_onnx_folder(path)
        return replace(
            snapshot,
            size_bytes=folder.size_bytes,
            kv_bytes_per_token=folder.kv_bytes_per_token,
            trained_context=folder.context,
        )
    header = read_header(path)
    return replace(
        snapshot,
        size_bytes=header.file_size,
        kv_bytes_per_token=kv_bytes_per_token(header),
        trained_context=header.context_length,
        quantization=header.quantization,
        weights=header.weights,
    )


def _is_hidden(path: Path) -> bool:
    """Whether this process is kept from it."""
    try:
        path.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return not os.access(path, os.R_OK)


def _available(memory_max_bytes: int | None, engine_bytes: int) -> int | None:
    available = available_memory_bytes()
    if available is None:
        return memory_max_bytes
    available += engine_bytes
    return available if memory_max_bytes is None else min(available, memory_max_bytes)


def _swap() -> int | None:
    try:
        return psutil.swap_memory().total
    except (OSError, RuntimeError):  # a sandbox that hides /proc/meminfo or /proc/vmstat
        return None
