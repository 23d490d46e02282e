"""A GGUF model in several files, named as llama.cpp names and finds them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgeassist.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")


def parts_of(path: Path) -> list[Path]:
    """Return the files of the model whose first file this is, by their names; others may be missing."""
    found = _PART.search(path.name)
    if found is None or int(found[1]) != 1:
        return [path]
    return _named(path, path.name[: found.start()], int(found[2]))


def is_later_part(path: Path) -> bool:
    """Whether it is called like a file of a model that is not its first."""
    found = _PART.search(path.name)
    return found is not None and int(found[1]) != 1


def title_of(name: str) -> str:
    """Return the name of a model's file without `.gguf` and a part's number."""
    return _PART.sub("", name).removesuffix(".gguf")


def check_parts(path: Path, count: int) -> list[Path]:
    """Return the `count` files of a model, given its first.

    Raises:
        ModelError: It isn't the first, has a name of its own, or others are missing.
    """
    if count <= 1:
        return [path]
    found = _PART.search(path.name)
    if found is None:
        raise ModelError(
            f"{path} is one of {count} parts, and llama.cpp expects the name NAME-00001-of-{count:05}.gguf; "
            "give the parts their names back, or join them (llama-gguf-split --merge)"
        )
    if int(found[2]) != count:
        raise ModelError(f"{path} is one of {count} parts by what it holds; get all parts of one model again")
    parts = _named(path, path.name[: found.start()], count)
    if path != parts[0]:
        raise ModelError(f"{path} is one of {count} parts; name the first of them, {parts[0].name}")
    missing = [part.name for part in parts if not part.exists()]
    if missing:
        verb, what = ("is", "it") if len(missing) == 1 else ("are", "them")
        names = ", ".join(missing)
        raise ModelError(f"{path} is one of {count} parts, and {names} {verb} not beside it; download {what}")
    return parts


def _named(path: Path, name: str, count: int) -> list[Path]:
    return [path.with_name(f"{name}-{number:05}-of-{count:05}.gguf") for number in range(1, count + 1)]
