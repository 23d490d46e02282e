"""What a folder of wheels lacks of a lock file for a target, and the folder's manifest. Run by wheelhouse.sh.

pip downloads for another platform and Python, but evaluates markers (such as `python_version < "3.13"`) for
the Python that runs it. So this evaluates the markers of the lock file, for the target.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import is_zipfile

from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

# What Debian 12 and 13 have; a wheel for an older one runs there too.
GLIBC = {"3.11": 36, "3.13": 41}
# The first that Python's tags knew for each machine.
OLDEST_GLIBC = {"x86_64": 5, "aarch64": 17}


def platforms(python: str, machine: str) -> list[str]:
    """Return the platform tags of a Debian with that Python, best first."""
    minors = range(GLIBC[python], OLDEST_GLIBC[machine] - 1, -1)
    modern = [f"manylinux_2_{minor}_{machine}" for minor in minors]
    aliases = ["manylinux2014"] + (["manylinux2010", "manylinux1"] if machine == "x86_64" else [])
    return [*modern, *(f"{alias}_{machine}" for alias in aliases), f"linux_{machine}"]


def environment(python: str, machine: str) -> dict[str, str]:
    """Return the values of the target's markers."""
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
    }


class BrokenWheelError(Exception):
    """A wheel is not whole; the text says which."""


@dataclass(frozen=True, slots=True)
class Locked:
    """A package of a lock file: `name==version` with its marker, and its files' hashes as options of pip."""

    requirement: Requirement
    hashes: tuple[str, ...]

    def __str__(self) -> str:
        """Return it as a line for pip, without the marker, which pip would evaluate for its own Python."""
        return " ".join([f"{self.requirement.name}{self.requirement.specifier}", *self.hashes])


def read_lock(path: Path) -> Iterator[Locked]:
    """Yield the packages of a file that scripts/lock.sh made."""
    for line in path.read_text().replace("\\\n", " ").splitlines():
        if line.strip() and not line.startswith("#"):
            requirement, *hashes = line.split(" --hash=")
            yield Locked(Requirement(requirement.strip()), tuple(f"--hash={each.strip()}" for each in hashes))


class Shelf:
    """The wheels in a folder that a target can use."""

    def __init__(self, folder: Path, python: str, machine: str) -> None:
        self.environment = environment(python, machine)
        version = tuple(int(part) for part in python.split("."))
        tags = platforms(python, machine)
        usable: set[Tag] = {
            *cpython_tags(version, platforms=tags),
            *compatible_tags(version, f"cp{version[0]}{version[1]}", tags),
        }
        self.wheels: dict[str, list[tuple[Version, Path]]] = {}
        for path in sorted(folder.glob("*.whl")):
            name, number, _, own = parse_wheel_filename(path.name)
            if own & usable:
                self.wheels.setdefault(name, []).append((number, path))

    def holds(self, requirement: Requirement) -> bool:
        """Return whether a wheel fulfils a requirement.

        Raises:
            BrokenWheelError: One does, and it is not whole.
        """
        for number, path in self.wheels.get(canonicalize_name(requirement.name), []):
            if requirement.specifier.contains(number, prereleases=True):
                if not is_zipfile(path):
                    raise BrokenWheelError(f"{path} is no whole wheel: delete it, and run the same again")
                return True
        return False

    def missing(self, lock: Iterable[Locked]) -> Iterator[Locked]:
        """Yield the packages that the target needs and no wheel here is."""
        for locked in lock:
            marker = locked.requirement.marker
            if (marker is None or marker.evaluate(self.environment)) and not self.holds(locked.requirement):
                yield locked


def print_missing(options: argparse.Namespace) -> None:
    """Print one package a line, as pip reads it; nothing where the folder is whole."""
    shelf = Shelf(options.folder, options.python, options.machine)
    for path in options.lock:
        for locked in shelf.missing(read_lock(path)):
            print(locked)


def print_platforms(options: argparse.Namespace) -> None:
    """Print the platform tags of a target, one a line."""
    print("\n".join(platforms(options.python, options.machine)))


def write_manifest(options: argparse.Namespace) -> None:
    """Write `wheelhouse.json`: the given values, and the wheels that are there."""
    values: dict[str, object] = dict(pair.split("=", 1) for pair in options.value)
    values["complete"] = options.complete
    values["wheels"] = sorted(path.name for path in options.folder.glob("*.whl"))
    new = options.folder / "wheelhouse.json.part"
    new.write_text(json.dumps(values, indent=2) + "\n")
    new.rename(options.folder / "wheelhouse.json")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    for name, run in (("missing", print_missing), ("platforms", print_platforms)):
        command = commands.add_parser(name)
        command.set_defaults(run=run)
        command.add_argument("python", choices=GLIBC)
        command.add_argument("machine", choices=OLDEST_GLIBC)
        if run is print_missing:
            command.add_argument("folder", type=Path)
            command.add_argument("lock", type=Path, nargs="+")
    command = commands.add_parser("manifest")
    command.set_defaults(run=write_manifest)
    command.add_argument("folder", type=Path)
    command.add_argument("value", nargs="+", help="KEY=VALUE")
    command.add_argument("--complete", action="store_true")
    options = parser.parse_args()
    try:
        options.run(options)
    except BrokenWheelError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
