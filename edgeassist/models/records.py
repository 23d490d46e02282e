"""What is noted beside a model that was pulled: where it is from, and what its files should be."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_SUFFIX = ".pulled.json"


@dataclass(frozen=True, slots=True)
class Record:
    """What was noted when a model was pulled.

    Attributes:
        source: What was asked for, as `pull` takes it.
        when: When it was whole, ISO 8601 in UTC.
        digests: The SHA-256 of each file in hexadecimal, by its path: relative to the folder that the record
            lies in, for a model in a folder relative to that.
    """

    source: str
    when: str
    digests: Mapping[str, str]


def record_path(model: Path) -> Path:
    """Return where the record of a model's file or folder is."""
    return model.with_name(model.name + _SUFFIX)


def read_record(model: Path) -> Record | None:
    """Return what was noted of a model; None where nothing was, or nothing that can be read."""
    try:
        found = json.loads(record_path(model).read_bytes())
        digests = {str(name): str(digest) for name, digest in found["files"].items()}
        if not digests:
            return None
        return Record(str(found["source"]), str(found["when"]), digests)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def write_record(model: Path, record: Record) -> None:
    """Note it beside a model, whole or not at all.

    Raises:
        OSError: It can't be written.
    """
    path = record_path(model)
    unfinished = path.with_name(f".{path.name}.new")
    content = {"source": record.source, "when": record.when, "files": dict(record.digests)}
    with unfinished.open("w") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
