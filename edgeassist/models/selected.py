"""Which model is served: the configured one, or one that somebody chose since.

`edgeassist models use` and the command `model` make the choice. It is kept in the state directory, with the
settings `model.path` and `model.backend` of that moment: it holds until one of these changes.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeassist.errors import ModelError
from edgeassist.models.builtin import is_builtin

# What `use` takes in place of a name for the model that the settings name.
DEFAULT = "default"
# In the state directory.
FILE = "model.json"
_FORMAT = 1
# A damaged one is not read into memory whole.
_MAX_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Named:
    """A model as settings name it: `model.path` and `model.backend`."""

    path: Path
    backend: str = "auto"


@dataclass(frozen=True, slots=True)
class Selected:
    """The model to serve.

    Attributes:
        named: It.
        chosen: Whether it was chosen, and is another than the configured one.
        note: Why a choice is not followed, for a person; None where there is none, or it is.
        stale: Whether that choice will never count again: `forget` it.
    """

    named: Named
    chosen: bool = False
    note: str | None = None
    stale: bool = False


def select(configured: Named, folder: Path) -> Selected:
    """Return the model to serve; changes nothing.

    Args:
        configured: By the settings.
        folder: The state directory; it need not exist.
    """
    file = folder / FILE
    try:
        with file.open("rb") as opened:
            choice, made_over = _read(opened.read(_MAX_BYTES))
    except FileNotFoundError:
        return Selected(configured)
    except OSError as error:
        return Selected(configured, note=f"can't read which model was chosen: {file}: {error.strerror}")
    except (ValueError, KeyError, TypeError, RecursionError):
        note = f"{file} is damaged: the configured model is used; choose again (edgeassist models use)"
        return Selected(configured, note=note, stale=True)
    return _judge(choice, made_over, configured)


def choose(chosen: Named, configured: Named, folder: Path) -> None:
    """Keep a choice, for as long as the settings name `configured`. That itself is no choice to be kept.

    Raises:
        ModelError: It can't be written; the message says where.
    """
    if chosen == configured:
        forget(folder)
        return
    document = {"format": _FORMAT, "chosen": _plain(chosen), "configured": _plain(configured)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".part", delete=False) as file:
            try:
                json.dump(document, file)
                file.flush()
                os.fsync(file.fileno())
                _give_away(file.name, folder)
                Path(file.name).replace(folder / FILE)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise _unwritable(folder, error) from None


def forget(folder: Path) -> None:
    """Go back to the configured model.

    Raises:
        ModelError: The choice can't be deleted; the message says where.
    """
    try:
        (folder / FILE).unlink(missing_ok=True)
    except NotADirectoryError:
        return
    except OSError as error:
        raise _unwritable(folder, error) from None


def is_there(path: Path) -> bool:
    """Whether there is something at `path`, or it is one of the package's own."""
    if is_builtin(path):
        return True
    try:
        return path.exists()
    except OSError:
        return False


def _judge(choice: Named, made_over: Named, configured: Named) -> Selected:
    if made_over != configured:
        note = f"the choice of {choice.path} is dropped: the settings named {made_over.path} then"
        return Selected(configured, note=note, stale=True)
    if not is_there(choice.path):
        note = f"the chosen model {choice.path} is not there: the configured one is used, {configured.path}"
        return Selected(configured, note=note)
    return Selected(choice, chosen=choice != configured)


def _read(content: bytes) -> tuple[Named, Named]:
    document = json.loads(content)
    if document["format"] != _FORMAT:
        raise ValueError(document["format"])
    return _named(document["chosen"]), _named(document["configured"])


def _named(plain: dict[str, Any]) -> Named:
    path, backend = plain["path"], plain["backend"]
    if not (isinstance(path, str) and isinstance(backend, str)):
        raise TypeError(plain)
    return Named(Path(path), backend)


def _plain(named: Named) -> dict[str, str]:
    return {key: str(value) for key, value in asdict(named).items()}


def _give_away(file: str, folder: Path) -> None:
    """Let root's choice be the service's to read and to replace."""
    owner = folder.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        with contextlib.suppress(OSError):  # a file system without owners
            os.chown(file, owner.st_uid, owner.st_gid)


def _unwritable(folder: Path, error: OSError) -> ModelError:
    return ModelError(
        f"can't keep the choice of a model in {folder}: {error.strerror}; "
        "run it as root, or let the daemon do it (the command model, docs/protocol.md)"
    )
