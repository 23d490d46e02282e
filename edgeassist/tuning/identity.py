"""On what figures hold: the device, the library, and the model, by what its speed depends on."""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec
import psutil

from edgeassist.device.board import board_name
from edgeassist.device.files import ROOT
from edgeassist.errors import EdgeAssistError
from edgeassist.models.files.gguf_parts import parts_of

_PACKAGES = {"llama": "llama-cpp-python", "onnx": "onnxruntime-genai"}
# The head of a file says what it is: shape, types, vocabulary. Weights of another value are as fast.
_HEAD_BYTES = 1 << 20
_TAIL_BYTES = 1 << 16
# Firmware and kernel keep some of it, and not always as much.
_MEMORY_SHARE = 0.1


class Device(msgspec.Struct, frozen=True):
    """A machine.

    Attributes:
        board: What it is called.
        processors: Logical ones.
        memory_bytes: All of its memory.
    """

    board: str
    processors: int
    memory_bytes: int

    def is_like(self, other: Device) -> bool:
        """Whether figures of the one hold on the other."""
        alike = (self.board, self.processors) == (other.board, other.processors)
        return alike and abs(self.memory_bytes - other.memory_bytes) <= _MEMORY_SHARE * self.memory_bytes


def this_device(root: Path = ROOT) -> Device:
    """Return the machine that this runs on."""
    try:
        memory = psutil.virtual_memory().total
    except OSError:
        memory = 0
    return Device(board_name(root), psutil.cpu_count() or 1, memory)


def library_of(backend: str) -> str:
    """Return the backend's package and its version."""
    package = _PACKAGES.get(backend, backend)
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return package


def fingerprint(path: Path) -> str:
    """Return a digest of what a model's speed follows from: sizes, and the heads of its files.

    It reads about a megabyte. A file of the same shape and size whose weights alone differ may have the same.

    Raises:
        EdgeAssistError: It can't be read.
    """
    digest = hashlib.sha256()
    try:
        if path.is_dir():
            for file in sorted(each for each in path.rglob("*") if each.is_file()):
                digest.update(f"{file.relative_to(path)} {file.stat().st_size}\n".encode())
            digest.update((path / "genai_config.json").read_bytes())
        else:
            for part in parts_of(path):
                size = part.stat().st_size
                digest.update(f"{size}\n".encode())
                with part.open("rb") as file_:
                    digest.update(file_.read(_HEAD_BYTES))
                    file_.seek(max(0, size - _TAIL_BYTES))
                    digest.update(file_.read(_TAIL_BYTES))
    except OSError as error:
        raise EdgeAssistError(f"can't read {path}: {error.strerror}") from None
    return digest.hexdigest()
