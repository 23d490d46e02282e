"""The folder of models: what is in it, pulled or copied there by hand."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from edgeassist.errors import CancelledRequestError, ModelError
from edgeassist.models.catalogue import known_sources
from edgeassist.models.files.gguf_parts import is_later_part, parts_of, title_of
from edgeassist.models.files.onnx import is_onnx_folder
from edgeassist.models.progress import Meter, Progress
from edgeassist.models.records import Record, read_record, record_path

# Models are looked for this many folders down, which is where `hf download --local-dir` leaves those of ONNX.
_LEVELS = 3
_BLOCK = 1 << 20
# Where pulls keep what they have got so far, and the file that says what that will be.
_PULLING = ".pulling"
# Its name is one that no model's file may have.
UNFINISHED = ".source"


@dataclass(frozen=True, slots=True)
class Entry:
    """A model that is there, whole.

    Attributes:
        name: What it is called here: its path in the library, without `.gguf` and the number of a part where
            no other has that name.
        path: What `model.path` may be: a GGUF file, the first of several, or a folder of ONNX Runtime GenAI.
        backend: That serves it: `llama` or `onnx`.
        size_bytes: Of all its files.
        sha256: Of its file, in hexadecimal; None where it has several, or nobody said.
        source: Where it was pulled from; None for what was copied there by hand.
    """

    name: str
    path: Path
    backend: str
    size_bytes: int
    sha256: str | None
    source: str | None

    def is_at(self, path: Path) -> bool:
        """Whether that path is this model's, however it is written."""
        return path == self.path or os.path.realpath(path) == os.path.realpath(self.path)

    @property
    def files(self) -> list[Path]:
        """Its files, for a folder all that are in it."""
        return _files_of(self.path)


class Library:
    """A folder of models.

    Args:
        folder: Need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def entries(self) -> list[Entry]:
        """Return the models that are there, by name; what is being pulled, or lacks a part, is left out.

        Raises:
            ModelError: The folder can't be read.
        """
        try:
            found = sorted(self._walk(self.folder, _LEVELS), key=lambda entry: entry.name.casefold())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ModelError(
                f"can't look into the folder of models, {error.filename or self.folder}: {error.strerror}; "
                "use sudo, or name another folder in library.folder"
            ) from None
        count = Counter(entry.name for entry in found)
        return [each if count[each.name] == 1 else self._by_its_file(each) for each in found]

    def _by_its_file(self, entry: Entry) -> Entry:
        return replace(entry, name=entry.path.relative_to(self.folder).as_posix())

    def find(self, name: str) -> Entry:
        """Return the model of that name; case and `.gguf` do not matter where one only can be meant.

        Args:
            name: Its name here or in the catalogue, or where it was pulled from.

        Raises:
            ModelError: There is none, or several; says what there is.
        """
        entries = self.entries()
        sources = {each.casefold() for each in (name, *known_sources(name))}
        looks: tuple[Callable[[Entry], bool], ...] = (
            lambda entry: entry.name == name,
            lambda entry: name.casefold() in _spellings(entry),
            lambda entry: (entry.source or "").casefold() in sources,
        )
        for is_meant in looks:
            if found := [entry for entry in entries if is_meant(entry)]:
                # Of the catalogue's quantizations any is meant that is there.
                if len(found) > 1 and is_meant is not looks[-1]:
                    several = ", ".join(entry.name for entry in found)
                    raise ModelError(f"{name!r} may be each of {several}: name one as it is written here")
                return found[0]
        there = ", ".join(entry.name for entry in entries) or "none"
        raise ModelError(
            f"there is no model {name!r} in {self.folder}; there: {there} (edgeassist models pull gets "
            "others)"
        )

    def staging(self, source: str) -> Path:
        """Return the folder in which what is pulled from there is gathered; it need not exist."""
        return self.folder / _PULLING / hashlib.sha256(source.encode()).hexdigest()[:16]

    def unfinished(self) -> dict[str, int]:
        """Return what pulls have left, by source: how many bytes. Pulling it again goes on from there."""
        return {source: _size_of(folder) for source, folder in self._unfinished()}

    def _unfinished(self) -> Iterator[tuple[str, Path]]:
        for path in (self.folder / _PULLING).glob(f"*/{UNFINISHED}"):
            with suppress(OSError, ValueError):
                yield path.read_text(), path.parent

    def discard(self, source: str) -> bool:
        """Delete what a pull from there has left; return whether it had.

        Raises:
            ModelError: It can't be deleted, or it is being pulled now.
        """
        meant = {each.casefold() for each in (source, *known_sources(source))}
        left = [folder for each, folder in self._unfinished() if each.casefold() in meant]
        for folder in left:
            try:
                with locked(folder):
                    shutil.rmtree(folder)
            except BlockingIOError:
                raise ModelError(f"{source} is being pulled now: end that first") from None
            except OSError as error:
                raise ModelError(f"can't delete {error.filename}: {error.strerror}; use sudo") from None
        return bool(left)

    def remove(self, name: str) -> Entry:
        """Delete a model's files, and return what it was.

        Args:
            name: As `find` takes it.

        Raises:
            ModelError: There is no such model, or it can't be deleted.
        """
        entry = self.find(name)
        try:
            if entry.path.is_dir() and not entry.path.is_symlink():
                # Under a hidden name it is listed no more, should this be interrupted.
                leaving = entry.path.with_name(f".{entry.path.name}.removed")
                entry.path.rename(leaving)
                shutil.rmtree(leaving)
            else:
                # The first part goes first: without it nobody takes the others for a model.
                for path in [entry.path] if entry.path.is_symlink() else entry.files:
                    path.unlink(missing_ok=True)
            record_path(entry.path).unlink(missing_ok=True)
        except OSError as error:
            raise ModelError(
                f"can't delete {error.filename or entry.path}: {error.strerror}; use sudo"
            ) from None
        return entry

    def verify(
        self, name: str, on_progress: Callable[[Progress], None], cancelled: threading.Event | None = None
    ) -> dict[str, str]:
        """Compare a model's files with what was noted when it was pulled.

        Args:
            name: As `find` takes it.
            on_progress: Called with how far it is.
            cancelled: Set to end it.

        Returns:
            The SHA-256 of each file, by its path from the model's folder on. Of what was copied by hand,
            `Entry.source` is None, and there was nothing to compare with.

        Raises:
            ModelError: There is no such model, or a file is missing, unreadable or another than it was.
        """
        entry = self.find(name)
        record = read_record(entry.path)
        if record is None and record_path(entry.path).exists():
            raise ModelError(
                f"{record_path(entry.path)} is damaged, so nobody knows what {entry.name} should be; get it "
                f"again: edgeassist models remove {entry.name} && edgeassist models pull …"
            )
        base = entry.path if entry.path.is_dir() else entry.path.parent
        meter = Meter(f"reading {entry.name}", entry.size_bytes, on_progress)
        found = {}
        for path in entry.files:
            inside = path.relative_to(base).as_posix()
            found[inside] = digest_of(path, meter, cancelled or threading.Event())
        if record is not None:
            _compare(entry, record, found)
        return found

    def _walk(self, folder: Path, levels: int) -> Iterator[Entry]:
        for path in sorted(folder.iterdir()):
            if not path.name.startswith("."):
                # Others' folders may lie here, such as a disk's lost+found, and others remove models.
                with suppress(PermissionError, FileNotFoundError):
                    yield from self._models_at(path, levels)

    def _models_at(self, path: Path, levels: int) -> Iterator[Entry]:
        if path.is_dir():
            if is_onnx_folder(path):
                yield self._entry(path, "onnx")
            elif levels > 1:
                yield from self._walk(path, levels - 1)
        elif _is_whole_gguf(path):
            yield self._entry(path, "llama")

    def _entry(self, path: Path, backend: str) -> Entry:
        record = read_record(path)
        digests = [] if record is None else list(record.digests.values())
        inside = path.relative_to(self.folder).as_posix()
        return Entry(
            name=inside if path.is_dir() else title_of(inside),
            path=path,
            backend=backend,
            size_bytes=sum(file.stat().st_size for file in _files_of(path)),
            sha256=digests[0] if len(digests) == 1 else None,
            source=None if record is None else record.source,
        )


def _is_whole_gguf(path: Path) -> bool:
    return path.suffix == ".gguf" and not is_later_part(path) and all(map(Path.is_file, parts_of(path)))


def _spellings(entry: Entry) -> set[str]:
    name = entry.name.casefold()
    return {name, f"{name}.gguf"} if entry.backend == "llama" else {name}


def _size_of(folder: Path) -> int:
    """Return how much a pull has got; it may be under way."""
    size = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            if path.is_file() and path.name != UNFINISHED and path.suffix != ".json":
                size += path.stat().st_size
    return size


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from a folder of `Library.staging`.

    Raises:
        BlockingIOError: Another has it.
        OSError: It can't be opened.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _files_of(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(each for each in path.rglob("*") if each.is_file())
    return parts_of(path)


def digest_of(path: Path, meter: Meter, cancelled: threading.Event) -> str:
    """Return the SHA-256 of a file in hexadecimal.

    Raises:
        ModelError: It can't be read, or this was cancelled.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                if cancelled.is_set():
                    raise CancelledRequestError("cancelled")
                digest.update(block)
                meter.add(len(block))
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror}") from None
    return digest.hexdigest()


def _compare(entry: Entry, record: Record, found: dict[str, str]) -> None:
    missing = sorted(record.digests.keys() - found.keys())
    changed = sorted(name for name, digest in record.digests.items() if found.get(name, digest) != digest)
    if missing or changed:
        what = [f"{name} is missing" for name in missing] + [f"{name} has changed" for name in changed]
        raise ModelError(
            f"{entry.name} is not what was pulled: {', '.join(what)}; get it again: "
            f"edgeassist models remove {entry.name} && edgeassist models pull {record.source}"
        )
