"""A Debian that boots: systemd-nspawn as a machine with a power switch, for tests.

It shares the host's network, so every machine gets ports and a device name of its own.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from edgeassist.sandbox import free_port

# As tests/patience.py, for what a whole machine does.
BOOT_S = 300.0
COMMAND_S = 300.0
POWER_OFF_S = 180.0
# A look is a command that enters the machine: it takes 13 ms of processor.
_LOOK_S = 0.25
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# A process's ids: the host's, and that in the machine's namespace.
_NSPID = re.compile(r"^NSpid:\t(\d+)\t(\d+)$", re.MULTILINE)


class MachineError(Exception):
    """The machine did not do what it was told; the text has what it said last."""


class Machine:
    """One machine, switched on with `boot`.

    Args:
        root: Its file system; written to.
        name: Its host name, and so the device's.
        binds: Folders of the host that it sees read-only, under the same paths.
        pip_cache: The folder of the host that is its root's cache of pip.
    """

    def __init__(
        self, root: Path, name: str, binds: tuple[Path, ...] = (), pip_cache: Path | None = None
    ) -> None:
        self.root = root
        self.name = name
        self.binds = binds
        self.pip_cache = pip_cache
        self.port = free_port()
        self.booted_at = 0.0
        self._console = root.parent / "console.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._leader = 0

    def __enter__(self) -> Self:
        """Boot."""
        self.boot()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Power off."""
        self.power_off()

    def boot(self) -> None:
        """Switch on, and return when systemd takes commands; units may still be starting.

        Raises:
            MachineError: It did not boot.
        """
        (self.root / "etc/hostname").write_text(f"{self.name}\n")
        # Debian's installer writes it, debootstrap does not.
        (self.root / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n")
        command = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", f"--machine={self.name}"]
        command += [f"--bind-ro={folder}" for folder in self.binds]
        command += [] if self.pip_cache is None else [f"--bind={self.pip_cache}:/root/.cache/pip"]
        command += [f"--directory={self.root}", "--boot"]
        self.booted_at = time.monotonic()
        with self._console.open("ab") as console:
            # The container's cgroups are made in that of its nspawn: two machines need two.
            self._process = subprocess.Popen(
                ["sh", "-c", f"echo $$ >{self._cgroup()}/cgroup.procs && exec {shlex.join(command)}"],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
                start_new_session=True,
            )
        self.until(self._find_leader, "start an init", BOOT_S)
        self.until(
            lambda: self.tries("systemctl is-system-running --quiet || systemctl status"), "boot", BOOT_S
        )

    def power_off(self) -> None:
        """Shut down in order; pull the plug where that takes too long."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None and self._leader:
            # systemd(1): SIGRTMIN+4 is poweroff.target.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._leader, signal.SIGRTMIN + 4)
        try:
            process.wait(POWER_OFF_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._leader, signal.SIGKILL)
            process.kill()
            process.wait(POWER_OFF_S)
        self._leader = 0
        for folder in sorted(self._cgroup().rglob("*/"), reverse=True):
            with contextlib.suppress(OSError):
                folder.rmdir()
        with contextlib.suppress(OSError):
            self._cgroup().rmdir()

    def reboot(self) -> None:
        """Power off and boot again, with the same disk."""
        self.power_off()
        self.boot()

    def run(self, command: str, *, timeout_s: float = COMMAND_S, status: int | None = 0) -> str:
        """Run a shell command inside as root and return what it prints, standard error included.

        Raises:
            MachineError: It ended with another status (None allows any), or took too long.
        """
        ended = self._run(command, timeout_s)
        if status is not None and ended.returncode != status:
            raise MachineError(f"{command!r} ended with {ended.returncode}:\n{ended.stdout}")
        return ended.stdout

    def tries(self, command: str) -> bool:
        """Whether a command succeeds."""
        return self._run(command, COMMAND_S).returncode == 0

    def until(self, condition: Callable[[], object], what: str, timeout_s: float = COMMAND_S) -> float:
        """Wait until something holds; return how long that took, in seconds.

        Raises:
            MachineError: It did not within the time.
        """
        begun = time.monotonic()
        while not condition():
            if time.monotonic() - begun > timeout_s:
                raise MachineError(
                    f"{self.name} did not {what} within {timeout_s:.0f} s:\n{self._last_words()}"
                )
            time.sleep(_LOOK_S)
        return time.monotonic() - begun

    def show(self, unit: str, key: str) -> str:
        """Return one property of a unit."""
        return self.run(f"systemctl show --property={key} --value {unit}").strip()

    def journal(self, unit: str = "edgeassist") -> str:
        """Return what a unit has logged since the machine was booted."""
        return self.run(f"journalctl --boot --unit={unit} --output=cat --no-pager", status=None)

    def pid(self, pattern: str) -> int:
        """Return the id, as the machine counts, of the one process whose command line matches."""
        found = self.run(f"pgrep --full -- {shlex.quote(pattern)}", status=None).split()
        if len(found) != 1:
            raise MachineError(
                f"{len(found)} processes match {pattern!r}:\n{self.run('ps -ef', status=None)}"
            )
        return int(found[0])

    def host_pid(self, pid: int) -> int:
        """Return the host's id of a process that the machine knows as `pid`."""
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                ids = _NSPID.search((folder / "status").read_text(encoding="utf-8", errors="replace"))
                ours = (folder / "ns/pid").readlink() == Path(f"/proc/{self._leader}/ns/pid").readlink()
                if ours and ids and int(ids[2]) == pid:
                    return int(ids[1])
        raise MachineError(f"{self.name} has no process {pid}")

    def _run(self, command: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
        if self._process is None or self._process.poll() is not None:
            raise MachineError(f"{self.name} is off:\n{self._last_words()}")
        enter = ["nsenter", f"--target={self._leader}", "--all", "--wdns=/root"]
        environment = [
            "env",
            "-i",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME=/root",
        ]
        try:
            return subprocess.run(
                [*enter, *environment, "bash", "-c", command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            # Bytes, although text was asked for.
            said = (error.stdout or b"").decode(errors="replace")
            raise MachineError(f"{command!r} took more than {timeout_s:.0f} s:\n{said}") from error

    def _find_leader(self) -> bool:
        """Find the machine's init, in the cgroups that systemd-nspawn has made for it."""
        if self._process is not None and self._process.poll() is not None:
            raise MachineError(f"systemd-nspawn ended:\n{self._last_words()}")
        for procs in self._cgroup().rglob("cgroup.procs"):
            with contextlib.suppress(OSError):
                for pid in procs.read_text().split():
                    ids = _NSPID.search(Path(f"/proc/{pid}/status").read_text(errors="replace"))
                    if ids and int(ids[2]) == 1:
                        self._leader = int(pid)
                        return True
        return False

    def _cgroup(self) -> Path:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
        top = next(Path(line.split()[4]) for line in mounts if " - cgroup2 " in line)
        folder = top / f"edgeassist-{self.name}-{os.getpid()}"
        folder.mkdir(exist_ok=True)
        return folder

    def _last_words(self) -> str:
        return self._console.read_text(errors="replace")[-3000:] if self._console.exists() else ""
