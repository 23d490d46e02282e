"""One file from a server onto the disk: resumed where it was left, whole and checked when it has its name."""

from __future__ import annotations

import errno
import hashlib
import http.client
import json
import os
import re
import shutil
from email.message import Message
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from edgeassist.errors import PullError
from edgeassist.models.progress import Meter
from edgeassist.models.pulling.plan import Remote
from edgeassist.models.pulling.web import OutOfRangeError, Web, whole_number

PART = ".part"
_STATE = ".part.json"
_BLOCK = 1 << 18
# Attempts in a row that bring less than this end it; with more, a bad line may break off at will.
_TRIES = 5
_PROGRESS_BYTES = 1 << 20
# Where the first attempt brings nothing, a person is told soon.
_FIRST_TRIES = 2
_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)")
# What is left free of a disk: others have to write, too.
_SPARE_BYTES = 32 << 20
# How often that is looked at: others fill the disk too, and not every server says how much will come.
_LOOK_BYTES = 16 << 20
_REMEDY = "remove a model (edgeassist models remove NAME), or name another folder in library.folder"
_FULL = {errno.ENOSPC, errno.EDQUOT}


def fetch(remote: Remote, folder: Path, web: Web, meter: Meter) -> str:
    """Get a file, going on from what an earlier attempt left.

    Args:
        remote: The file.
        folder: Below it the file gets `remote.name`, once it is whole.
        web: Where from.
        meter: Counts its bytes.

    Returns:
        Its SHA-256 in hexadecimal.

    Raises:
        PullError: It can't be had, is not what it should be, or there is no room for it. What is there is
            kept, unless it is wrong.
        CancelledRequestError: It was cancelled.
    """
    target = folder / remote.name
    target.parent.mkdir(parents=True, exist_ok=True)
    base = meter.done
    meter.begin(base, f"getting {target.name}")
    if target.exists():
        digest = _hash(target, web, meter).hexdigest()
        if _is_as_announced(target, digest, remote):
            return digest
        # It has changed there since.
        target.unlink()
        meter.begin(base)
    return _Download(remote, target, web, meter).run()


class _Download:
    """A file that comes, in one attempt or in several."""

    def __init__(self, remote: Remote, target: Path, web: Web, meter: Meter) -> None:
        self._remote = remote
        self._target = target
        self._part = target.with_name(target.name + PART)
        self._state = target.with_name(target.name + _STATE)
        self._web = web
        self._meter = meter
        self._base = meter.done
        # What is there of it: so many bytes, hashed, of the version that `_identity` names.
        self._size = 0
        self._most = 0
        self._digest = hashlib.sha256()
        self._identity: str | None = None

    def run(self) -> str:
        """Return the file's SHA-256, once it has its name."""
        self._look_at_what_is_left()
        failures = 0
        while True:
            try:
                if self._remote.size is None or self._size != self._remote.size:
                    self._attempt()
                return self._finish()
            except PullError as error:
                # Beyond what any attempt brought: some servers begin anew for ever.
                failures = 0 if self._size - self._most >= _PROGRESS_BYTES else failures + 1
                self._most = max(self._most, self._size)
                if not error.passing:
                    raise
                if failures >= (_TRIES if self._most else _FIRST_TRIES):
                    kept = "; what is there is kept, and pulling it again goes on from it"
                    raise PullError(f"{error.message}{kept if self._size else ''}", passing=True) from None
                asked = (error.retry_after_ms or 0) / 1000
                self._web.wait(max(asked, 2.0 ** (failures - 1)))

    def _look_at_what_is_left(self) -> None:
        """Take over what an earlier attempt left, if that is of the same version."""
        try:
            identity = json.loads(self._state.read_bytes())["identity"]
            size = self._part.stat().st_size
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return
        same = isinstance(identity, str) and identity == (self._remote.sha256 or identity)
        if same and size <= (self._remote.size or size):
            self._digest = _hash(self._part, self._web, self._meter)
            self._size, self._identity = size, identity
            self._most = size

    def _attempt(self) -> None:
        headers = {}
        if self._size and self._identity is not None:
            # Without a name for its version, nobody could tell whether the rest is of the same.
            headers["Range"] = f"bytes={self._size}-"
            if self._remote.sha256 is None:
                headers["If-Range"] = self._identity
        try:
            with self._web.open(self._remote.url, headers, self._remote.token) as response:
                total = self._begin(response)
                self._meter.begin(self._base + self._size)
                with self._part.open("ab" if self._size else "wb") as file:
                    self._copy(response, file)
                    os.fsync(file.fileno())
        except OutOfRangeError:
            self._forget()
            raise
        if total is not None and self._size != total:
            host = urlsplit(self._remote.url).hostname
            raise PullError(
                f"the connection to {host} broke off after {self._size} of {total} bytes", passing=True
            )

    def _begin(self, response: http.client.HTTPResponse) -> int | None:
        """Return how long the whole file is; forget what is there where the server begins anew."""
        partial = response.status == http.HTTPStatus.PARTIAL_CONTENT
        total = whole_number(response.headers.get("Content-Length", ""))
        if partial:
            found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if found is None or int(found[1]) != self._size:
                self._forget()
                raise PullError("a server sent another part of the file than was asked for", passing=True)
            if self._is_other(response.headers):
                self._forget()
                raise PullError(f"{self._target.name} has changed at its server meanwhile", passing=True)
            total = whole_number(found[2])
        if None not in {self._remote.size, total} and total != self._remote.size:
            self._forget()
            raise PullError(
                f"{self._target.name} has {total} bytes, and {self._remote.size} were announced: it has "
                "changed there, or a mirror is behind; try again later"
            )
        if self._remote.size is None and total is not None:
            self._meter.expect(self._base + total)
            check_room(self._part.parent, total - (self._size if partial else 0))
        if not partial:
            self._forget()
            self._identity = self._remote.sha256 or _version(response.headers)
            self._state.write_text(json.dumps({"identity": self._identity}))
        return total

    def _is_other(self, headers: Message) -> bool:
        """Whether a server that was to go on says that it has another version; some ignore `If-Range`."""
        known = self._identity
        if self._remote.sha256 is not None or known is None:
            return False
        return headers.get("ETag" if known.startswith('"') else "Last-Modified", known) != known

    def _copy(self, response: http.client.HTTPResponse, file: BinaryIO) -> None:
        looked = -_LOOK_BYTES
        while True:
            if self._size - looked >= _LOOK_BYTES:
                check_room(self._part.parent, 0)
                looked = self._size
            with self._web.errors(self._remote.url):
                block = response.read1(_BLOCK)
            if not block:
                return
            self._web.check()
            try:
                file.write(block)
                file.flush()
            except OSError as error:
                raise no_room(self._part, error) from None
            self._digest.update(block)
            self._size += len(block)
            self._meter.add(len(block))
            if self._size > (self._remote.size or self._size):
                raise PullError(f"{self._target.name} does not end where it should; try again later")

    def _finish(self) -> str:
        digest = self._digest.hexdigest()
        if not _is_as_announced(self._part, digest, self._remote):
            self._forget()
            announced = self._remote.sha256 or f"one of Git's {self._remote.git_oid}"
            raise PullError(
                f"{self._target.name} is damaged: its SHA-256 is {digest}, and {announced} was announced; it "
                "was thrown away, so pull it again; should that go on, the mirror or something in between "
                "changes it"
            )
        self._part.replace(self._target)
        self._state.unlink(missing_ok=True)
        return digest

    def _forget(self) -> None:
        self._size, self._digest = 0, hashlib.sha256()
        self._part.unlink(missing_ok=True)
        self._state.unlink(missing_ok=True)


def _hash(path: Path, web: Web, meter: Meter) -> hashlib._Hash:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            web.check()
            digest.update(block)
            meter.add(len(block))
    return digest


def _is_as_announced(path: Path, digest: str, remote: Remote) -> bool:
    if remote.size is not None and path.stat().st_size != remote.size:
        return False
    if remote.sha256 is not None:
        return digest == remote.sha256.lower()
    if remote.git_oid is None:
        return True
    # Git's own name for it, against damage and not against malice.
    oid = hashlib.sha1(b"blob %d\0" % path.stat().st_size)  # noqa: S324
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            oid.update(block)
    return oid.hexdigest() == remote.git_oid


def _version(headers: Message) -> str | None:
    """Return what a server calls the very bytes: an entity tag that is not a weak one, or their date."""
    etag = headers.get("ETag")
    return etag if etag is not None and etag.startswith('"') else headers.get("Last-Modified")


def check_room(folder: Path, needed: int) -> None:
    """Raise `PullError` where so many bytes don't fit on the folder's disk."""
    free = shutil.disk_usage(folder).free - _SPARE_BYTES
    if needed > max(0, free):
        raise NoRoomError(
            f"it needs {needed / 1e6:,.0f} MB of disk, and {max(0, free) / 1e6:,.0f} MB are free for it "
            f"where the models are: {_REMEDY}"
        )
    if free < 0:
        raise _full()


class NoRoomError(PullError):
    """The disk is too small; what came is good."""


def no_room(path: Path, error: OSError) -> PullError:
    """Return the error of a file that can't be written."""
    if error.errno in _FULL:
        return _full()
    return PullError(f"can't write {path}: {error.strerror}")


def _full() -> NoRoomError:
    return NoRoomError(
        f"no space is left where the models are: {_REMEDY}; what came is kept, and pulling it again goes on "
        "from it"
    )
