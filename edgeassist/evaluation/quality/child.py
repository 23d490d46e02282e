"""Runs a model's Python and asserts about it. Its source is given to a confined interpreter (`confined`).

Reads one JSON object from standard input (code, function, asserts, limits, token), writes one line of JSON.
It imports nothing of ours: that interpreter is the system's, and sees no other packages.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
from pathlib import Path
from typing import Any

SEEN = {"bin", "dev", "lib", "lib64", "tmp", "usr"}


def unconfined() -> str:
    """Return what is not as confinement should make it; empty where all is."""
    others = {place.name for place in Path("/").iterdir()} - SEEN
    if others:
        return "sees /" + sorted(others)[0]
    if any(Path("/tmp").iterdir()):  # noqa: S108 - its own
        return "sees files in /tmp"
    if {name for _, name in socket.if_nameindex()} - {"lo"}:
        return "sees the network"
    if os.geteuid() == 0:
        return "is root"
    for place in ("/usr", "/dev", "/"):
        if os.access(place, os.W_OK):
            return "may write to " + place
    return ""


def limit(limits: dict[str, int]) -> str:
    """Bound what this process may take: no other process, no thread, so much memory and time."""
    for name, most in limits.items():
        number = getattr(resource, "RLIMIT_" + name)
        resource.setrlimit(number, (most, most))
    try:
        child = os.fork()
    except OSError:
        return ""
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return "may start processes"


def run(job: dict[str, Any]) -> str | None:
    """Return what is wrong with the code; None if nothing is."""
    names: dict[str, Any] = {"__name__": "answer"}
    try:
        exec(compile(job["code"], "answer.py", "exec"), names)  # noqa: S102 - what all this is for
    except BaseException as error:  # noqa: BLE001 - its own end, too
        # What stands below the function, an example or a test of the model's own, may fail.
        if not callable(names.get(job["function"])):
            return "the code fails: " + describe(error)
    if not callable(names.get(job["function"])):
        return f"defines no function {job['function']}"
    for line in job["asserts"]:
        try:
            exec(compile(line, "assert", "exec"), names)  # noqa: S102 - as above
        except AssertionError:
            return f"fails: {line}"
        except BaseException as error:  # noqa: BLE001 - as above
            return f"fails: {line}: {describe(error)}"
    return None


def describe(error: BaseException) -> str:
    """Return an exception as a short line."""
    return (type(error).__name__ + ": " + " ".join(str(error)[:200].split()))[:200]


def main() -> None:
    """Read the job, look around, run it, and tell."""
    job = json.loads(sys.stdin.buffer.read())
    told = os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    wrong = unconfined() or limit(job["limits"])
    result = {"token": job["token"], "unconfined": wrong}
    if not wrong:
        result["fault"] = run(job)
    os.write(told, json.dumps(result).encode())
    os._exit(0)


main()
