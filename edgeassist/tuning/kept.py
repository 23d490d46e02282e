"""What was found, in a file of the state directory: figures for a person, settings for the daemon."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from edgeassist.errors import ConfigurationError
from edgeassist.tuning.identity import Device

NAME = "tuned.json"
# What may come from there: nothing else is taken from the file.
KEYS = (
    "engine.threads_max",
    "engine.prefill_threads_max",
    "engine.step_tokens",
    "engine.kv_type",
    "engine.load_mode",
)
# The newest are kept.
MOST_RESULTS = 16
_FORMAT = 1
_MODE = 0o644

Settings = dict[str, int | str]


class Row(msgspec.Struct, frozen=True):
    """An option and its medians; None where it was not measured.

    Attributes:
        stage: What was tried.
        option: Its label.
        rounds: How often it was measured.
        prefill_rate: Tokens a second.
        decode_rate: Tokens a second.
        memory_bytes: The engine's.
        start_s: From a cold page cache, or a warm one where nothing else was tried.
        note: Why it could not be measured, or what disturbed it.
    """

    stage: str
    option: str
    rounds: int = 0
    prefill_rate: float | None = None
    decode_rate: float | None = None
    memory_bytes: int | None = None
    start_s: float | None = None
    note: str = ""


class Rate(msgspec.Struct, frozen=True):
    """How fast a file of the model answers.

    Attributes:
        quantization: Its type.
        size_bytes: Of its file or files.
        decode_rate: Tokens a second.
    """

    quantization: str
    size_bytes: int
    decode_rate: float


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What was found for a model.

    Attributes:
        fingerprint: The model's (`identity.fingerprint`).
        model: Its name.
        kv_heads: Key/value heads of all layers together.
        key_size: Values in a head's key.
        device: The machine.
        library: That computed, and its version.
        at: When, in UTC, as ISO 8601 has it.
        rates: Of the model, and of its other quantizations that were tried.
        rows: All figures.
        proposed: Settings that are better than the defaults, by key.
        applied: Those that the daemon takes.
    """

    fingerprint: str
    model: str
    kv_heads: int
    key_size: int
    device: Device
    library: str
    at: str
    rates: tuple[Rate, ...] = ()
    rows: tuple[Row, ...] = ()
    proposed: Settings = {}
    applied: Settings = {}


class Kept(msgspec.Struct, frozen=True):
    """All that is kept, the newest last."""

    format: int = _FORMAT
    results: tuple[Result, ...] = ()


def read_kept(folder: Path) -> Kept:
    """Return what is kept in a folder; nothing where there is no file, or none for this user to read.

    Raises:
        ConfigurationError: The file holds something else.
    """
    path = folder / NAME
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=Kept)
    except OSError:
        return Kept()
    except (ValueError, RecursionError) as error:  # msgspec.ValidationError is a ValueError
        raise ConfigurationError(f"{path} can't be used ({error}): edgeassist tune writes it anew") from None
    if kept.format != _FORMAT:
        raise ConfigurationError(
            f"{path} is of another version of EdgeAssist: edgeassist tune writes it anew"
        )
    return kept


def keep(folder: Path, result: Result) -> Path:
    """Put a result in place of the one of the same model; return the file.

    Raises:
        ConfigurationError: It can't be written.
    """
    others = [each for each in _known(folder) if each.fingerprint != result.fingerprint]
    return _write(folder, [*others, result])


def known_result(folder: Path, fingerprint: str) -> Result | None:
    """Return what is kept of a model; None: nothing."""
    return next((each for each in _known(folder) if each.fingerprint == fingerprint), None)


def withdraw(folder: Path) -> bool:
    """Have the daemon take none of it any more; return whether it took any.

    Raises:
        ConfigurationError: It can't be written.
    """
    known = _known(folder)
    if not any(each.applied for each in known):
        return False
    _write(folder, [msgspec.structs.replace(each, applied={}) for each in known])
    return True


def may_keep(folder: Path) -> bool:
    """Whether this user may write there."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    return os.access(place, os.W_OK | os.X_OK)


def stale(result: Result, device: Device, library: str) -> str | None:
    """Say why a result does not hold here; None: it does."""
    if not result.device.is_like(device):
        return f"it was measured on another device ({result.device.board})"
    if result.library != library:
        return f"it was measured with {result.library}, and this is {library}"
    return None


def tables_of(settings: Mapping[str, int | str]) -> dict[str, dict[str, int | str]]:
    """Return settings as the TOML file would have them, without what may not come from here."""
    tables: dict[str, dict[str, int | str]] = {}
    for key in KEYS:
        if key in settings:
            table, _, name = key.partition(".")
            tables.setdefault(table, {})[name] = settings[key]
    return tables


def _known(folder: Path) -> tuple[Result, ...]:
    try:
        return read_kept(folder).results
    except ConfigurationError:
        return ()


def _write(folder: Path, results: list[Result]) -> Path:
    path = folder / NAME
    data = msgspec.json.format(msgspec.json.encode(Kept(results=tuple(results[-MOST_RESULTS:]))), indent=1)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, unfinished = tempfile.mkstemp(dir=folder, prefix=f".{NAME}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data + b"\n")
                os.fchmod(file.fileno(), _MODE)
                if os.geteuid() == 0:  # the daemon's user has to read what root writes
                    owner = folder.stat()
                    os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
                file.flush()
                os.fsync(file.fileno())
            Path(unfinished).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(unfinished).unlink()
            raise
    except OSError as error:
        raise ConfigurationError(f"can't write {path}: {error.strerror}") from None
    return path
