"""What a folder of wheels lacks for a target, and the folder's manifest. Run by wheelhouse.sh.

pip resolves for another platform and Python, but evaluates the markers of requirements (such as
`python_version < "3.13"`) for the Python that runs it. So this looks again, with the target's markers.
"""

from __future__ import annotations

import argparse
import json
import sys
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import BytesParser
from pathlib import Path

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


def metadata(wheel: Path) -> Message:
    """Return what a wheel says of itself.

    Raises:
        BrokenWheelError: It is not whole.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            name = next(each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
            return BytesParser().parsebytes(archive.read(name))
    except (zipfile.BadZipFile, StopIteration) as error:
        raise BrokenWheelError(f"{wheel} is no whole wheel: delete it, and run the same again") from error


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

    def best(self, requirement: Requirement) -> Path | None:
        """Return the newest wheel that fulfils a requirement."""
        fitting = [
            (number, path)
            for number, path in self.wheels.get(canonicalize_name(requirement.name), [])
            if requirement.specifier.contains(number, prereleases=True)
        ]
        return max(fitting)[1] if fitting else None

    def needed(self, wheel: Path, extras: set[str]) -> Iterator[Requirement]:
        """Yield what a wheel requires on the target."""
        for text in metadata(wheel).get_all("Requires-Dist") or []:
            requirement = Requirement(text)
            marker = requirement.marker
            if marker is None or any(
                marker.evaluate({**self.environment, "extra": extra}) for extra in extras or {""}
            ):
                requirement.marker = None
                yield requirement

    def missing(self, roots: list[Requirement]) -> Iterator[Requirement]:
        """Yield the requirements, also of requirements, that no wheel here fulfils."""
        waiting, seen = list(roots), set()
        while waiting:
            requirement = waiting.pop()
            if str(requirement) in seen:
                continue
            seen.add(str(requirement))
            wheel = self.best(requirement)
            if wheel is None:
                yield requirement
            else:
                waiting += self.needed(wheel, requirement.extras)


def print_missing(options: argparse.Namespace) -> None:
    """Print one requirement a line; nothing where the folder is whole."""
    shelf = Shelf(options.folder, options.python, options.machine)
    roots = [Requirement(text) for text in options.requirement]
    print("\n".join(sorted({str(each) for each in shelf.missing(roots)})))


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
            command.add_argument("requirement", nargs="+")
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
