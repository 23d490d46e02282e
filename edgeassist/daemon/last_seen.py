"""When this device was last connected, told to its next run.

With MQTT 3.1.1 a broker does not tell how old a message is; what was published since then can't be older. It
holds within one boot only, since no other boot's clock can be compared with. So it is kept in memory (the
runtime directory), every few seconds, and on the disk once, at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path

from edgeassist.journal.stamps import Stamp, stamp_now

INTERVAL_S = 5.0
_FOLDER = "seen"
_MOST_BYTES = 4096


class LastSeen:
    """One device's.

    Args:
        state: The state directory.
        runtime: Where files are in memory, and outlive a run; None where there is no such folder.
        who: What tells the device's session at its broker from any other.
        connected: Returns whether it is connected, in a version that does not tell how old a message is.
        now: Returns this moment.
    """

    def __init__(
        self,
        state: Path,
        runtime: Path | None,
        who: Iterable[str],
        *,
        connected: Callable[[], bool],
        now: Callable[[], Stamp] = stamp_now,
    ) -> None:
        self._who = list(who)
        name = sha256("\0".join(self._who).encode()).hexdigest()[:32]
        self._kept = state / _FOLDER / f"{name}.json"
        self._often = None if runtime is None else runtime / f"{name}.json"
        self._connected = connected
        self._now = now
        self._last: Stamp | None = None

    def away_s(self) -> float:
        """Return for how many seconds it may have been away, at most; infinity where nobody knows."""
        now = self._now()
        found = [self._read(path, now) for path in (self._often, self._kept) if path is not None]
        return min(found, default=math.inf)

    async def run(self) -> None:
        """Note it every INTERVAL_S seconds, for ever, and once more in the end."""
        try:
            while True:
                self._note()
                await asyncio.sleep(INTERVAL_S)
        finally:
            if self._last is not None:
                self._write(self._kept, self._last)

    def _note(self) -> None:
        if self._connected():
            self._last = self._now()
            if self._often is not None:
                self._write(self._often, self._last)

    def _read(self, path: Path, now: Stamp) -> float:
        try:
            # What is no file is not waited for.
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
            with os.fdopen(os.open(path, flags), "rb") as file:
                document = json.loads(file.read(_MOST_BYTES))
            boot, ticks, who = document["boot"], float(document["ticks"]), document["who"]
        except (OSError, ValueError, TypeError, KeyError, RecursionError, OverflowError):
            return math.inf
        comparable = boot and boot == now.boot and who == self._who
        return now.ticks - ticks if comparable and ticks <= now.ticks else math.inf

    def _write(self, path: Path, at: Stamp) -> None:
        document = {"boot": at.boot, "ticks": round(at.ticks, 3), "who": self._who}
        new = path.with_suffix(".new")
        with contextlib.suppress(OSError):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            with os.fdopen(os.open(new, flags, 0o600), "w") as file:
                json.dump(document, file)
            new.replace(path)
