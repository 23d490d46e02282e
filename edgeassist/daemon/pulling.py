"""Gets a model while the daemon serves: in a thread, one at a time."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Callable
from typing import Any

from pydantic import JsonValue

from edgeassist.errors import BusyError, InvalidRequestError, ModelError, ShuttingDownError
from edgeassist.gateways.commands import Say, Seldom
from edgeassist.models.library import Entry, Library
from edgeassist.models.progress import Progress

# Gets a model from its source: `edgeassist.models.pulling.pull`.
Pull = Callable[[str, Library, Callable[[Progress], None], threading.Event], Entry]

# A line of a few kB/s gets a model of some GB in that time.
LIMIT_S = 24 * 3600.0
# How often the one who asked for it hears how far it is.
_PROGRESS_S = 1.0


class Pulling:
    """Gets models into the library.

    Args:
        library: Where they go.
        get: Gets one; blocks.
    """

    def __init__(self, library: Library, get: Pull) -> None:
        self._library = library
        self._get = get
        self._source: str | None = None
        self._told: dict[str, JsonValue] = {}
        self._cancelled = threading.Event()
        self._closed = False

    @property
    def under_way(self) -> dict[str, JsonValue] | None:
        """What is being pulled, and how far it is, as `pull` says it; None: nothing is."""
        return None if self._source is None else {"model": self._source, **self._told}

    async def pull(self, source: str, say: Say) -> Entry:
        """Get a model.

        Args:
            source: As `edgeassist models pull` takes it.
            say: Told how far it is, once a second.

        Raises:
            BusyError: Another one is under way.
            ModelError: It can't be had.
            ShuttingDownError: The daemon stops.
        """
        if self._source is not None:
            raise BusyError(
                f"{self._source} is being pulled: ask again when that has ended, or end it (cancel)"
            )
        if self._closed:
            raise ShuttingDownError("the device is shutting down")
        self._source, self._cancelled = _without_password(source), threading.Event()
        self._told = {}
        try:
            async with asyncio.timeout(LIMIT_S):
                return await self._in_thread(source, say, self._cancelled)
        except TimeoutError:
            raise ModelError(
                f"{self._source} took more than {LIMIT_S / 3600:g} hours: pull it again to go on"
            ) from None
        finally:
            self._cancelled.set()
            self._source = None

    def cancel(self) -> str:
        """End what is being pulled, and return what that is.

        Raises:
            InvalidRequestError: Nothing is.
        """
        if self._source is None:
            raise InvalidRequestError("no model is being pulled")
        self._cancelled.set()
        return self._source

    def close(self) -> None:
        """End what is being pulled, and begin no more."""
        self._closed = True
        self._cancelled.set()

    async def _in_thread(self, source: str, say: Say, cancelled: threading.Event) -> Entry:
        """Run it in a thread of its own: one that hangs in a read must not hold up the daemon's end."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Entry] = loop.create_future()
        seldom = Seldom(say, _PROGRESS_S)

        def tell(told: dict[str, JsonValue]) -> None:
            self._told = told
            seldom(told)

        def later(call: Callable[..., Any], *values: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended before
                loop.call_soon_threadsafe(call, *values)

        def report(progress: Progress) -> None:
            later(tell, _told(progress))

        def work() -> None:
            try:
                entry = self._get(source, self._library, report, cancelled)
            except BaseException as error:  # noqa: BLE001 - it is raised again where it is waited for
                later(_fail, ended, error)
            else:
                later(_succeed, ended, entry)

        threading.Thread(target=work, name="model-pull", daemon=True).start()
        return await ended


def _without_password(source: str) -> str:
    """Return what may be said of a source where others hear it."""
    return re.sub(r"(?<=//)[^/]*@", "", source)


def _told(progress: Progress) -> dict[str, JsonValue]:
    rate = progress.bytes_per_s
    return {
        "step": progress.text,
        "done_bytes": progress.done_bytes,
        "total_bytes": progress.total_bytes,
        "bytes_per_s": None if rate is None else round(rate),
    }


def _succeed(ended: asyncio.Future[Entry], entry: Entry) -> None:
    if not ended.done():
        ended.set_result(entry)


def _fail(ended: asyncio.Future[Entry], error: BaseException) -> None:
    if not ended.done():
        ended.set_exception(error)
