"""Folders of wheels for tests: filled once by scripts/wheelhouse.sh, and kept in the user's cache.

Their names tell their content: whoever has the same sources shares a folder, which nobody changes once it is
whole. Another begins with the wheels of the one before it, so a change of EdgeAssist compiles no llama.cpp.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.appliance.images import CACHE, KEPT_S, Tell, exclusive
from tests.appliance.person import PROJECT

FILL_S = 2400.0
# What a folder's wheels are made of.
CODE = ("edgeassist", "pyproject.toml", "README.md", "LICENSE")
SOURCES = (*CODE, "locks", "scripts/lib", "scripts/wheelhouse.sh")


def filled(target: str, pythons: str, tell: Tell) -> Path:
    """Return a folder whose `own` has what that target needs; made first where there is none.

    Args:
        target: As `--for` of scripts/wheelhouse.sh.
        pythons: As its `--python`.
        tell: Hears what takes long.
    """
    folder = CACHE / f"wheels-{target}-{_digest(target, pythons)}"
    with exclusive(f"wheels-{target}", tell):
        if not folder.exists():
            tell(f"filling a folder of wheels for {target}; compiles llama.cpp unless that build is cached")
            part = CACHE / f"wheels-{target}.part"
            _start_from_the_latest(target, part / "own")
            options = ("--for", target, "--python", pythons)
            script = [str(PROJECT / "scripts/wheelhouse.sh"), *options, str(part / "own")]
            subprocess.run(script, check=True, timeout=FILL_S, stdin=subprocess.DEVNULL)
            part.rename(folder)
        os.utime(folder)
        for other in _folders(target):
            if time.time() - other.stat().st_mtime > KEPT_S:
                shutil.rmtree(other)
    return folder


def with_version(folder: Path, name: str, version: str, tell: Tell, *, crashes: bool = False) -> Path:
    """Return a sibling of `own` whose EdgeAssist has another version, and perhaps a defect."""
    other = folder / name
    with exclusive(folder.name.rpartition("-")[0], tell):
        if not other.exists():
            part = folder / f"{name}.part"
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            like(folder / "own", part / "wheels")
            for wheel in (part / "wheels").glob("edgeassist-*.whl"):
                wheel.unlink()
            _build(_source(part / "source", version, crashes=crashes), part / "wheels")
            (part / "wheels").rename(other)
            shutil.rmtree(part)
    return other


def like(folder: Path, other: Path) -> Path:
    """Make another folder of the same wheels, and return it."""
    linked = folder.stat().st_dev == other.parent.stat().st_dev

    def copy(source: str, target: str) -> None:
        # The manifest is written anew in its place, a wheel never.
        (os.link if linked and source.endswith(".whl") else shutil.copy2)(source, target)

    shutil.copytree(folder, other, copy_function=copy)
    return other


def _digest(*options: str) -> str:
    digest = hashlib.sha256(repr((options, os.environ.get("CMAKE_ARGS"))).encode())
    for path in _sources():
        digest.update(f"{path.relative_to(PROJECT)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _sources() -> Iterator[Path]:
    for name in SOURCES:
        top = PROJECT / name
        paths = sorted(top.rglob("*")) if top.is_dir() else [top]
        yield from (path for path in paths if path.is_file() and path.suffix != ".pyc")


def _folders(target: str) -> list[Path]:
    return sorted(CACHE.glob(f"wheels-{target}-*/"), key=lambda folder: folder.stat().st_mtime)


def _start_from_the_latest(target: str, folder: Path) -> None:
    if folder.parent.exists():
        return  # an interrupted run: what is whole in it stays
    folder.parent.mkdir()
    if before := _folders(target):
        like(before[-1] / "own", folder)


def _source(source: Path, version: str, *, crashes: bool) -> Path:
    source.mkdir()
    for name in CODE:
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy2
        copy(PROJECT / name, source / name)
    root = source / "edgeassist/__init__.py"
    lines = [line for line in root.read_text().splitlines() if not line.startswith("__version__")]
    root.write_text("\n".join([*lines, f'__version__ = "{version}"', ""]))
    if crashes:
        with (source / "edgeassist/daemon/app.py").open("a") as module:
            module.write("\n\ndef serve(*_given):\n    raise RuntimeError('a defect of this version')\n")
    return source


def _build(source: Path, folder: Path) -> None:
    build: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        folder,
    ]
    subprocess.run([*build, source], check=True, timeout=FILL_S, stdin=subprocess.DEVNULL)
