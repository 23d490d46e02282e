"""Files that options of a command name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgeassist.errors import InvalidRequestError

# A schema counts without its white space, so a file may be larger than what is sent.
MAX_FILE_BYTES = 1_048_576


def read_json(option: str, path: Path) -> Any:
    """Return what a file with JSON holds.

    Raises:
        InvalidRequestError: It can't be read, or holds no JSON; names the option.
    """
    try:
        return json.loads(read_text(option, path))
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"{option}: {path} holds no JSON: {error}") from None


def read_text(option: str, path: Path) -> str:
    """Return the text of a file.

    Raises:
        InvalidRequestError: It can't be read, is too large, or no UTF-8; names the option.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InvalidRequestError(f"{option}: {path} can't be read: {error.strerror}") from None
    if len(data) > MAX_FILE_BYTES:
        raise InvalidRequestError(f"{option}: {path} has more than {MAX_FILE_BYTES} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequestError(
            f"{option}: {path} is not UTF-8: byte {error.start} can't be read"
        ) from None
