"""A model's code runs in a confined child, or not at all: bubblewrap, limits, a deadline, never root."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import signal
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from edgeassist.errors import ConfigurationError

# The system's interpreter: of the file system, the child sees /usr, and that only to read.
PYTHON = Path("/usr/bin/python3")
WALL_S = 10.0
# Its report is a line; what is more, the code wrote.
REPORT_BYTES = 8192
_LIMITS = {
    "CPU": 5,
    "AS": 256 << 20,
    "FSIZE": 1 << 20,
    "NOFILE": 16,
    "CORE": 0,
    "NPROC": 0,
}
_TMP_BYTES = 4 << 20
_NOBODY = 65534
_CONFINE = (
    "--unshare-all --unshare-user --disable-userns --die-with-parent --new-session --cap-drop ALL --clearenv "
    f"--uid {_NOBODY} --gid {_NOBODY} --hostname confined --ro-bind /usr /usr --symlink usr/bin /bin "
    f"--symlink usr/lib /lib --symlink usr/lib64 /lib64 --dev /dev --size {_TMP_BYTES} --tmpfs /tmp "
    "--remount-ro /dev --remount-ro / --chdir /tmp"
).split()
_TRIAL = ("def add(a, b):\n    return a + b\n", "add", ["assert add(1, 2) == 3"])


class UnconfinedError(ConfigurationError):
    """Code can't be confined here; the message says why."""


class Confinement:
    """Runs Python where it can do no harm: no network, no other process, no file but its own.

    It can read /usr. Kernel and bubblewrap are trusted. The child looks around first, and runs nothing where
    it is not confined.

    Args:
        bwrap: The program; None: there is none.
    """

    def __init__(self, bwrap: Path | None) -> None:
        self._bwrap = bwrap

    @classmethod
    def found(cls) -> Confinement:
        """Return what this machine has."""
        path = shutil.which("bwrap", path=f"{os.environ.get('PATH', '')}:/usr/bin")
        return cls(None if path is None else Path(path))

    async def why_not(self) -> str | None:
        """Return why code can't be run here, for a person; None: it can."""
        code, function, asserts = _TRIAL
        try:
            fault = await self.run(code, function, asserts)
        except UnconfinedError as error:
            return str(error)
        return None if fault is None else f"a trial in the confined child did not work: {fault}"

    async def run(self, code: str, function: str, asserts: list[str]) -> str | None:
        """Run code and asserts; return what is wrong with it, None: nothing.

        Args:
            code: Python that defines a function.
            function: The function's name.
            asserts: Lines of Python.

        Raises:
            UnconfinedError: It can't be confined here; nothing was run.
        """
        if self._bwrap is None:
            raise UnconfinedError("bubblewrap is not installed: sudo apt-get install bubblewrap")
        if not PYTHON.exists():
            raise UnconfinedError(f"there is no {PYTHON}, which the confined child runs")
        token = secrets.token_hex(16)
        job = {"code": code, "function": function, "asserts": asserts, "limits": _LIMITS, "token": token}
        try:
            report, said = await self._run(json.dumps(job).encode())
        except OSError as error:
            raise UnconfinedError(f"{self._bwrap} can't be run: {error.strerror}") from None
        try:
            document: dict[str, Any] = json.loads(report)
            told = document.get("token") == token
        except (ValueError, AttributeError, RecursionError):
            told = False
        if not told:
            if said.startswith(b"bwrap:"):
                raise UnconfinedError(
                    f"bubblewrap can't confine here: {said.decode(errors='replace').strip()}"
                )
            return (
                f"the code ended its process, or took more than {_LIMITS['CPU']} s of processor, "
                f"{WALL_S:g} s or {_LIMITS['AS'] >> 20} MB"
            )
        if document["unconfined"]:
            raise UnconfinedError(f"the confined child {document['unconfined']}")
        fault: str | None = document["fault"]
        return fault

    async def _run(self, job: bytes) -> tuple[bytes, bytes]:
        """Give a job to a new child; return what it wrote to its output, and to its log."""
        source = files("edgeassist.evaluation.quality").joinpath("child.py").read_text("utf-8")
        # A limit on processes holds for nobody but root, in any namespace.
        other: dict[str, Any] = (
            {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        )
        # Files and no pipes: their size is limited, and a child that is killed leaves nobody waiting.
        with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as log:
            given.write(job)
            given.seek(0)
            child = await asyncio.create_subprocess_exec(
                str(self._bwrap), *_CONFINE, "--", str(PYTHON), "-I", "-S", "-B", "-c", source,
                stdin=given, stdout=out, stderr=log, cwd="/", env={}, start_new_session=True, **other,
            )  # fmt: skip
            try:
                async with asyncio.timeout(WALL_S):
                    await child.wait()
            except TimeoutError:
                pass
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                await child.wait()
            return _beginning(out), _beginning(log)


def _beginning(file: IO[bytes]) -> bytes:
    """Return as much of a file as a report may be."""
    file.seek(0)
    return file.read(REPORT_BYTES)
