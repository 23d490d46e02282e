"""Copies of a model in four bits, made on this device from a larger file; and copies that are there."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from edgeassist.device.disk import disk_free_bytes
from edgeassist.errors import ConfigurationError, EdgeAssistError, ModelError
from edgeassist.models.files.description import ModelFile
from edgeassist.models.files.gguf import FILE_TYPES, read_gguf

# What is made, and of what: never of a smaller file, which has lost already what a larger one has.
TARGETS = ("Q4_0", "Q4_K_M")
SOURCES = frozenset({"F32", "F16", "BF16", "Q8_0"})
# Bits of a weight at most, embeddings and what falls back to a larger type included.
_BITS = 7.0
# What stays free on the disk.
_RESERVE_BYTES = 256 << 20
_NUMBERS = {name: number for number, name in FILE_TYPES.items()}


def missing(source: ModelFile, there: list[str]) -> list[str]:
    """Return the quantizations that can be made of a model and are not there.

    Args:
        source: The model.
        there: The quantizations that there are.
    """
    if source.quantization not in SOURCES:
        return []
    return [name for name in TARGETS if name not in there]


def name_of(source: Path, quantization: str) -> str:
    """Return the file name of a copy: the source's, with another quantization."""
    stem = source.stem
    for known in (*SOURCES, *TARGETS):
        for end in (f"-{known}", f".{known}", f"_{known}"):
            if stem.lower().endswith(end.lower()):
                stem = stem[: -len(end)]
    return f"{stem}-{quantization.lower()}.gguf"


def check_room(source: ModelFile, folder: Path, quantizations: list[str]) -> None:
    """Raise a ModelError where the copies have no room on the folder's disk."""
    free = disk_free_bytes(folder)
    each = min(source.size_bytes, int(source.parameters * _BITS / 8) or source.size_bytes)
    needed = len(quantizations) * each + _RESERVE_BYTES
    if free is not None and free < needed:
        raise ModelError(
            f"--quantize: the copies need up to {needed / 1e6:,.0f} MB in {folder}, and {free / 1e6:,.0f} MB "
            "are free: make room, or leave it out"
        )


async def quantize(source: Path, folder: Path, quantization: str, *, threads: int, limit_s: float) -> Path:
    """Write a copy into a folder, which is made where it is missing; return its path.

    It appears under its name only when it is whole. If this is cancelled, nothing of it stays.

    Args:
        source: The first file of a GGUF model, of `SOURCES`.
        folder: Where to.
        quantization: Of `TARGETS`.
        threads: To compute with.
        limit_s: How long it may take, in seconds.

    Raises:
        ModelError: It can't be made, or takes longer.
        ConfigurationError: The folder can't be written.
    """
    target = folder / name_of(source, quantization)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=folder, prefix=".tune."))
    except OSError as error:
        raise ConfigurationError(f"--quantize: can't write to {folder}: {error.strerror}") from None
    try:
        unfinished = made / target.name
        arguments = ("quantize", str(source), str(unfinished), str(_NUMBERS[quantization]), str(threads))
        await _run("edgeassist.bench.bare", *arguments, limit_s=limit_s)
        read_gguf(unfinished)
        _give_to_owner_of(folder, unfinished)
        unfinished.replace(target)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return target


async def _run(module: str, *arguments: str, limit_s: float) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", module, *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(limit_s):
            _, said = await process.communicate()
    except TimeoutError:
        raise ModelError(f"--quantize: it was not done within {limit_s:.0f} s (--minutes)") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        lines = said.decode(errors="replace").strip().splitlines()
        raise ModelError(f"--quantize: {lines[-1] if lines else f'exit status {process.returncode}'}")


def _give_to_owner_of(folder: Path, file: Path) -> None:
    """Let the daemon's user read what root has made."""
    with suppress(OSError):
        owner = folder.stat()
        file.chmod(0o644)
        if os.geteuid() == 0:
            os.chown(file, owner.st_uid, owner.st_gid)
        with file.open("rb") as made:
            os.fsync(made.fileno())


def copies_at_hand(path: Path, model: ModelFile, folders: list[Path]) -> list[tuple[str, Path]]:
    """Return other files of the same model: of its name and shape, and of another quantization.

    Args:
        path: The model's file.
        model: It.
        folders: Where to look.

    Returns:
        Quantization and path of each, one for each quantization.
    """
    found: dict[str, Path] = {}
    for folder in dict.fromkeys(folders):
        for file in sorted(folder.glob("*.gguf")) if folder.is_dir() else ():
            if file == path:
                continue
            with suppress(EdgeAssistError, OSError):
                other = read_gguf(file)
                if other.quantization != model.quantization and _is_same(other, model):
                    found.setdefault(other.quantization, file)
    return list(found.items())


def _is_same(one: ModelFile, other: ModelFile) -> bool:
    def what(model: ModelFile) -> tuple[object, ...]:
        return model.name.lower(), model.architecture, model.layers, model.kv_heads, model.parameters

    return what(one) == what(other)
