"""Runs a program for its output."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from edgeassist.errors import UnsupportedError


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended; a negative status is the signal that killed it."""

    status: int
    output: str
    errors: str


def ask_program(command: Sequence[str], limit_s: float) -> Ended:
    """Run a program in the C locale, without input, and return its output.

    Raises:
        UnsupportedError: It does not exist, or takes longer than `limit_s`.
    """
    try:
        ended = subprocess.run(  # noqa: S603 - the command is the caller's, without a shell
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit_s,
            check=False,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
    except OSError as error:
        raise UnsupportedError(f"can't run {command[0]}: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise UnsupportedError(f"{command[0]} took longer than {limit_s:g} s") from None
    return Ended(ended.returncode, ended.stdout, ended.stderr)
