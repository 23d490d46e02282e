"""What the examples need and this project does not: got once, pinned, and kept in the user's cache."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import platformdirs

from tests.kept import GET_S, kept, run

EXAMPLES = Path(__file__).parents[2] / "examples"
CACHE = platformdirs.user_cache_path("edgeassist") / "examples"

_UMQTT = (
    "micropython-umqtt.simple==1.3.4 "
    "--hash=sha256:b6a2520239e3992c63a7de9370ee9b3d9d27819a90359c521f1c0f7ccab8d12f"
)
# Of Debian 13, which is stable: nothing but security updates changes there.
_MICROPYTHON = ("micropython", "libc6", "libffi8", "libmbedcrypto16", "libmbedtls21", "libmbedx509-7")
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


# A setting on an example's top: what stands before its value, the value, and how a text is written there.
_SETTINGS: dict[str, tuple[str, Callable[[object], str]]] = {
    ".py": (r"^({} = )(.*?)(?=  #|$)", repr),
    ".sh": (r"^({}=)(\S*)", str),
    ".ino": (r"^(const [\w* ]+ {} = )([^;]*)", json.dumps),
}


def changed(source: Path, folder: Path, **settings: object) -> Path:
    """Copy an example into the folder, with other values in the lines on its top, as its README says."""
    pattern, written = _SETTINGS[source.suffix]
    text = source.read_text()
    for name, value in settings.items():
        found = re.search(pattern.format(name), text, flags=re.MULTILINE)
        assert found is not None, f"{source.name} has no {name} on top"
        text = text[: found.start(2)] + written(value) + text[found.end(2) :]
    target = folder / source.name
    target.write_text(text)
    shutil.copymode(source, target)
    return target


def umqtt() -> Path:
    """Return the folder that holds MicroPython's package `umqtt`; skip where PyPI does not give it."""
    return kept(CACHE / "umqtt-1.3.4", _get_umqtt)


def pymodbus() -> Path:
    """Return the folder with the pymodbus that the gateway's requirements name; skip where PyPI does not."""
    return kept(CACHE / _pymodbus_pin().replace("==", "-"), _get_pymodbus)


def micropython() -> list[str]:
    """Return the command of MicroPython's unix port: the system's, else Debian 13's, unpacked; else skip."""
    if found := shutil.which("micropython"):
        return [found]
    root = kept(CACHE / "micropython-trixie", _get_micropython)
    # With the library of its own Debian, whatever this system's is.
    loader = next((root / "usr/lib").glob("*/ld-linux*.so.*"))
    return [str(loader), "--library-path", str(loader.parent), str(root / "usr/bin/micropython")]


def _pymodbus_pin() -> str:
    lines = (EXAMPLES / "gateway/requirements.txt").read_text().splitlines()
    return next(line for line in lines if line.startswith("pymodbus=="))


def _get_pymodbus(folder: Path) -> None:
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    run(*install, _pymodbus_pin())


def _get_umqtt(folder: Path) -> None:
    # The package has no setup.py, so pip unpacks it, says so and fails: what it unpacked is all there is.
    requirements = folder / "requirements.txt"
    requirements.write_text(_UMQTT)
    options = ["--no-clean", "--no-deps", "--no-binary", ":all:", "--require-hashes", "-r", str(requirements)]
    download = [sys.executable, "-m", "pip", "download", "--dest", str(folder), *options]
    ended = subprocess.run(
        download,
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=GET_S,
        check=False,
    )
    unpacked = list(folder.glob("pip-*/*/umqtt"))
    if not unpacked:
        raise OSError(ended.stderr)
    unpacked[0].rename(folder / "umqtt")


def _get_micropython(folder: Path) -> None:
    for part in ("lists/partial", "archives/partial", "debs"):
        (folder / part).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text(f"deb [signed-by={_KEYRING}] {_debian_mirror()} trixie main\n")
    settings = {
        "Dir::Etc::SourceList": folder / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State": folder,
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder,
        "APT::Sandbox::User": "",
    }
    options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
    run("apt-get", *options, "update")
    run("apt-get", *options, "download", *_MICROPYTHON, cwd=folder / "debs")
    for package in (folder / "debs").glob("*.deb"):
        run("dpkg-deb", "--extract", str(package), str(folder))
    for rest in ("lists", "archives", "debs"):
        shutil.rmtree(folder / rest)


def _debian_mirror() -> str:
    """Return where this system gets Debian from."""
    wanted = ["apt-get", "indextargets", "--format", "$(SITE) $(RELEASE) $(ORIGIN)", "Created-By: Packages"]
    targets = subprocess.run(wanted, capture_output=True, text=True, timeout=GET_S, check=True).stdout
    release = platform.freedesktop_os_release().get("VERSION_CODENAME")
    for line in targets.splitlines():
        site, suite, origin = line.split()[:3]
        if suite == release and origin in {"Debian", "$(ORIGIN)"}:  # apt knows the origin after an update
            return site
    raise FileNotFoundError("apt has no source of Debian's own packages")
