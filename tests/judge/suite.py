"""The official JSON-Schema-Test-Suite of draft 2020-12, as the source package of jsonschema carries it."""

from __future__ import annotations

import json
import sys
import tarfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import platformdirs

from tests.kept import kept, run

_PIN = "jsonschema==4.26.0 --hash=sha256:0c26707e2efad8aa1bfc5b7ce170f3fccc2e4918ff85989ba9ffa9facb2be326"
_TESTS = "jsonschema-4.26.0/json/tests/draft2020-12/"


@dataclass(frozen=True)
class Case:
    """A schema of the suite.

    Attributes:
        name: The file and what it tests.
        schema: Any JSON.
        instances: What an answer may be, and whether it would be valid.
    """

    name: str
    schema: Any
    instances: list[tuple[Any, bool]]


@cache
def cases() -> list[Case]:
    """Return the suite, without what needs other documents; skip where PyPI does not give it."""
    folder = kept(platformdirs.user_cache_path("edgeassist") / "jsonschema-4.26.0-suite", _get)
    return [
        Case(
            f"{path.relative_to(folder)}: {group['description']}",
            group["schema"],
            [(test["data"], test["valid"]) for test in group["tests"]],
        )
        for path in sorted((folder / "suite").rglob("*.json"))
        for group in json.loads(path.read_text())
    ]


def _get(folder: Path) -> None:
    requirements = folder / "requirements.txt"
    requirements.write_text(_PIN)
    options = ["--no-deps", "--no-binary", ":all:", "--require-hashes", "-r", str(requirements)]
    run(sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder), *options)
    source = folder / "jsonschema-4.26.0.tar.gz"
    with tarfile.open(source) as archive:
        for member in archive:
            if member.isfile() and member.name.startswith(_TESTS):
                target = folder / "suite" / member.name.removeprefix(_TESTS)
                target.parent.mkdir(parents=True, exist_ok=True)
                content = archive.extractfile(member)
                assert content is not None
                target.write_bytes(content.read())
    source.unlink()
