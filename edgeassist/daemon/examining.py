"""The command `doctor`: what `edgeassist doctor` finds on this box, asked over MQTT.

In a process of its own, as a person would run it: it loads what the daemon has no use for, may be killed, as
no thread may, and says the same as at a terminal.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import JsonValue, ValidationError

from edgeassist.errors import BusyError, InternalError, ShuttingDownError
from edgeassist.gateways.commands import Say
from edgeassist.protocol.commands import NoArguments
from edgeassist.protocol.findings import Examination

log = logging.getLogger(__name__)

# It takes about 40 s at most, on a box that computes nothing else.
LIMIT_S = 120.0
# Streams go first, and whoever looks at other programs' load overlooks it.
_NICE = 10
# One that hangs in the kernel is left behind.
_END_S = 5.0


def doctor_command(config: Path | None) -> tuple[str, ...]:
    """Return what examines this box.

    Args:
        config: The file that the daemon was given; None for the one that is found without.
    """
    named = () if config is None else ("--config", str(config))
    return (sys.executable, "-P", "-m", "edgeassist", *named, "doctor", "--json")


class Examining:
    """Examines the box, once at a time.

    Args:
        command: What to run.
        limit_s: How long it may take.
    """

    def __init__(self, command: Sequence[str], limit_s: float = LIMIT_S) -> None:
        self._command = command
        self._limit_s = limit_s
        self._process: asyncio.subprocess.Process | None = None
        self._begun = False
        self._closed = False

    async def handle(self, _arguments: NoArguments, _say: Say) -> dict[str, JsonValue]:
        """Return the findings.

        Raises:
            BusyError: Another one is under way.
            InternalError: It ended without findings, or not at all.
            ShuttingDownError: The daemon stops.
        """
        if self._begun:
            raise BusyError("the box is being examined already: ask again when that has ended")
        if self._closed:
            raise _shutting_down()
        self._begun = True
        try:
            output = await self._run()
        finally:
            self._begun = False
        return output.bounded().model_dump(mode="json", exclude_none=True)

    def close(self) -> None:
        """End it, and begin no more."""
        self._closed = True
        self._kill()

    async def _run(self) -> Examination:
        try:
            process = self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise InternalError(f"the examination can't be started: {error.strerror}") from None
        try:
            if self._closed:
                raise _shutting_down()
            # systemd's SystemCallFilter may not let us; then it runs like any other.
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, process.pid, _NICE)
            async with asyncio.timeout(self._limit_s):
                output, errors = await process.communicate()
        except TimeoutError:
            raise InternalError(
                f"the examination took more than {self._limit_s:g} s and was ended: "
                "run edgeassist doctor on the box"
            ) from None
        finally:
            self._kill()
            with suppress(TimeoutError):
                async with asyncio.timeout(_END_S):
                    await process.wait()
            self._process = None
        if self._closed:
            raise _shutting_down()
        return _read(output, errors, process.returncode)

    def _kill(self) -> None:
        """End it and what it started."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


def _read(output: bytes, errors: bytes, status: int | None) -> Examination:
    try:
        return Examination.model_validate_json(output)
    except ValidationError:
        said = errors.decode(errors="replace").strip().splitlines()
        log.error("the examination ended with %s: %s", status, "\n".join(said[-20:]))  # noqa: TRY400
        raise InternalError(
            "the examination ended without findings; the daemon's log says more: "
            "run edgeassist doctor on the box"
        ) from None


def _shutting_down() -> ShuttingDownError:
    return ShuttingDownError("the device is shutting down")
