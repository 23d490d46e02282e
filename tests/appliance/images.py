"""Debian in a folder, for tests: made once by debootstrap, kept in the user's cache, given out as copies.

A root has the Debian packages that `scripts/install.sh` would install, so that no test needs apt. What the
host knows of its network (mirror, certificates, settings of pip) goes in with it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

import platformdirs

CACHE = platformdirs.user_cache_path("edgeassist") / "appliance"
PIP_CACHE = platformdirs.user_cache_path("pip")
# Another checkout may be using another recipe right now, so only what nobody used for a while is deleted.
KEPT_S = 7 * 24 * 3600
MAKE_S = 1500
INSTALL_S = 600
_BINFMT = Path("/proc/sys/fs/binfmt_misc")
_CERTIFICATES = Path("/usr/local/share/ca-certificates")
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_SCRIPTS = Path("/usr/share/debootstrap/scripts")


Tell = Callable[[str], None]


class Release(StrEnum):
    """Debian 12 has Python 3.11 and systemd 252, 13 has 3.13 and 257; the next one changes day by day."""

    BOOKWORM = "bookworm"
    TRIXIE = "trixie"
    FORKY = "forky"


# What EdgeAssist is installed on. The next Debian is for other people's programs.
SUPPORTED = (Release.BOOKWORM, Release.TRIXIE)


class Arch(StrEnum):
    """As Debian calls it; arm64 runs emulated where the host has another processor."""

    AMD64 = "amd64"
    ARM64 = "arm64"


HOST_ARCH = {"x86_64": Arch.AMD64, "aarch64": Arch.ARM64}.get(platform.machine())


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a root is made of. Another recipe makes another root."""

    release: Release
    arch: Arch
    mirror: str | None
    sources: tuple[str, ...]
    settings: tuple[tuple[str, bytes], ...]
    # libsystemd0 comes with systemd; llama.cpp needs libgomp1.
    packages: tuple[str, ...] = (
        "systemd",
        "systemd-sysv",
        "dbus",
        "procps",
        "ca-certificates",
        "python3",
        "python3-venv",
        "mosquitto",
        "mosquitto-clients",
        "libgomp1",
    )
    # Raised when the steps of `_make` change.
    steps: int = 1

    @property
    def name(self) -> str:
        """Release, architecture and a hash of everything else."""
        return f"{self.release}-{self.arch}-{hashlib.sha256(repr(self).encode()).hexdigest()[:12]}"


class ImageError(Exception):
    """A root could not be made; the text says which step and ends with its output."""


@cache
def why_not(arch: Arch = Arch.AMD64) -> str | None:
    """Return why this machine can't run such a root, None where it can. Gets the tools it lacks by apt."""
    if os.geteuid() != 0:
        return "only root can make and enter a Debian root"
    if HOST_ARCH is None:
        return f"no Debian root for a {platform.machine()} machine"
    if _output("unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt") is None:
        return "this system lets root mount nothing"
    missing = [
        package
        for package, program in (("debootstrap", "debootstrap"), ("systemd-container", "systemd-nspawn"))
        if shutil.which(program) is None
    ]
    emulated = arch is not HOST_ARCH
    if emulated and not (_BINFMT / _handler(arch)).exists():
        missing += ["qemu-user-static", "binfmt-support"]
    if missing and not _install(missing):
        return f"these packages are missing, and apt-get can't install them: {' '.join(missing)}"
    if emulated and not (_BINFMT / _handler(arch)).exists():
        # The packages' own scripts do it, except where binfmt_misc was not mounted then.
        _output("mount", "-t", "binfmt_misc", "binfmt_misc", str(_BINFMT))
        _output("update-binfmts", "--enable", _handler(arch))
        if not (_BINFMT / _handler(arch)).exists():
            return f"this kernel runs no {arch} programs (no {_BINFMT / _handler(arch)})"
    return None


@contextmanager
def exclusive(name: str, tell: Tell) -> Iterator[None]:
    """Make something in the cache that several processes may want; the others wait, and say so."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell(f"waiting for another process that makes {name}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def debian_root(release: Release, arch: Arch = Arch.AMD64, tell: Tell = print) -> Path:
    """Return a root of that kind, made first where there is none. Read only by agreement: see `fresh_root`.

    Making one takes 1 to 2 minutes, 4 to 5 emulated, and 400 MB; `tell` hears of it.

    Raises:
        ImageError: It could not be made.
    """
    recipe = _recipe(release, arch)
    root = CACHE / recipe.name
    with exclusive(f"{release}-{arch}", tell):
        if not root.exists():
            emulated = arch is not HOST_ARCH
            tell(f"making a Debian {release} for {arch}: {'4 to 5' if emulated else '1 to 2'} minutes")
            part = root.with_suffix(".part")
            _remove(part)
            _make(recipe, part)
            part.rename(root)
        os.utime(root)
        for other in CACHE.glob(f"{release}-{arch}-*/"):
            if time.time() - other.stat().st_mtime > KEPT_S:
                _remove(other)
    return root


@contextmanager
def fresh_root(
    scratch: Path,
    release: Release,
    arch: Arch = Arch.AMD64,
    tell: Tell = print,
    laid: Callable[[Path], Path | None] = lambda _template: None,
) -> Iterator[Path]:
    """Give a writable copy below the folder `scratch` (which must not exist), and delete it in the end.

    Args:
        scratch: Below it, `upper` has what differs from the root.
        release: Of Debian.
        arch: The processor's.
        tell: Hears what takes long.
        laid: Returns a folder with what lies over the root, such as another copy's `upper`.
    """
    template = debian_root(release, arch, tell)
    over = laid(template)
    root, upper, work = (scratch / name for name in ("root", "upper", "work"))
    for folder in (root, upper, work):
        folder.mkdir(parents=True)
    # The copy's own top folder keeps the mode of Debian's: a service user must be able to enter it.
    upper.chmod(0o755)
    lower = template if over is None else f"{over}:{template}"
    # A copy needs no disk to outlive a power cut: dpkg and databases wait for none (Linux 5.10).
    layers = f"lowerdir={lower},upperdir={upper},workdir={work}"
    mounted = any(
        _output("mount", "-t", "overlay", "overlay", "-o", options, str(root)) is not None
        for options in (f"{layers},volatile", layers)
    )
    if not mounted:
        for each in [template] if over is None else [template, over]:
            _run("copying", "cp", "-a", "--reflink=auto", f"{each}/.", str(root))
    try:
        yield root
    finally:
        if mounted:
            # Lazily: a process that a failed test left behind must not keep the rest from being tidied up.
            _run("unmounting", "umount", "--lazy", str(root))
        _remove(scratch)


def nspawn(root: Path, *options: str) -> list[str]:
    """Return the command line that enters a root: on the host's network, with pip's cache of the host.

    Whatever was started inside ends with it. What to run follows the options: `--pipe -- ls`.
    """
    cache_bind = [f"--bind={PIP_CACHE}:/root/.cache/pip"] if PIP_CACHE.is_dir() else []
    # Two containers of one name would share a folder in /run.
    name = f"--machine=root-{hashlib.sha256(bytes(root)).hexdigest()[:12]}"
    base = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", name, f"--directory={root}"]
    return [*base, *cache_bind, *options]


# --- How a root is made ---------------------------------------------------------------------


def _recipe(release: Release, arch: Arch) -> Recipe:
    mirror, sources = _mirror(release)
    settings = {"/etc/apt/apt.conf.d/90host": "\n".join(_apt_settings()).encode()}
    for path in [Path("/etc/pip.conf"), *sorted(_CERTIFICATES.glob("*.crt"))]:
        if path.is_file():
            settings[str(path)] = path.read_bytes()
    return Recipe(release, arch, mirror, sources, tuple(settings.items()))


@cache
def _mirror(release: Release) -> tuple[str | None, tuple[str, ...]]:
    """Return where the host gets Debian from, and a release's sources; None is debootstrap's own choice."""
    host = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    # A Raspberry Pi has sources of another origin too; before the first update apt does not know any.
    wanted = "$(SITE) $(RELEASE) $(ORIGIN)"
    listed = _output("apt-get", "indextargets", "--format", wanted, "Created-By: Packages") or ""
    targets = {tuple(line.split()) for line in listed.splitlines() if line.count(" ") > 1}
    ours = sorted(
        (site, suite.removeprefix(host))
        for site, suite, *origin in targets
        if host in set(Release) and suite.startswith(host) and origin in (["Debian"], ["$(ORIGIN)"])
    )
    mirror = next((site for site, part in ours if not part), None)
    return mirror, tuple(f"deb {site} {release}{part} main" for site, part in ours)


def _apt_settings() -> list[str]:
    dump = _output("apt-config", "dump", "Acquire") or ""
    wanted = ("Acquire::http", "Acquire::Check-", "Acquire::ForceIPv", "Acquire::Retries")
    return [line for line in dump.splitlines() if line.startswith(wanted)]


def _make(recipe: Recipe, root: Path) -> None:
    started = ["debootstrap", "--variant=minbase", f"--arch={recipe.arch}"]
    started += [f"--include={','.join(recipe.packages)}"]
    started += [f"--keyring={_KEYRING}"] if _KEYRING.exists() else []
    # A debootstrap that is older than the release makes it as it makes unstable.
    script = next((_SCRIPTS / name for name in (recipe.release, "sid") if (_SCRIPTS / name).exists()), "")
    started += [recipe.release, str(root), recipe.mirror or "", str(script)]
    # In namespaces of its own: its mounts and processes go with it, even when it is killed.
    alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    _run(f"debootstrap of {recipe.release} {recipe.arch}", *alone, *started)
    if recipe.sources:
        (root / "etc/apt/sources.list").write_text("\n".join(recipe.sources) + "\n")
    for path, content in recipe.settings:
        place = root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    _run("update-ca-certificates", "chroot", str(root), "update-ca-certificates")
    _run("apt-get clean", "chroot", str(root), "apt-get", "clean")
    # Booted roots share the host's network, where port 1883 may be taken.
    (root / "etc/systemd/system/multi-user.target.wants/mosquitto.service").unlink(missing_ok=True)
    # Each copy shall get its own at its first boot.
    (root / "etc/machine-id").write_text("")


def _handler(arch: Arch) -> str:
    return {Arch.AMD64: "qemu-x86_64", Arch.ARM64: "qemu-aarch64"}[arch]


def _install(packages: list[str]) -> bool:
    _output("apt-get", "update")
    options = ("--no-install-recommends", "-o", "DPkg::Lock::Timeout=300")
    return (
        _output("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", *options, *packages)
        is not None
    )


def _output(*command: str) -> str | None:
    """Return what a command prints; None where it fails or does not exist."""
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=INSTALL_S, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return ended.stdout


def _run(what: str, *command: str) -> None:
    try:
        subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=True,
            timeout=MAKE_S,
            stdin=subprocess.DEVNULL,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise ImageError(f"{what}: {error}\n{str(error.output)[-3000:]}") from error


def _remove(folder: Path) -> None:
    if folder.exists():
        _run("deleting", "rm", "-rf", "--one-file-system", str(folder))
