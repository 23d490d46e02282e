"""The text of a file of cases or tasks: a user's own, or what comes with the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from edgeassist.errors import ConfigurationError, InvalidRequestError

# What names the package's own.
BUILTIN = "builtin"


def text_of(name: str, builtin: str, option: str) -> str:
    """Return the text of a file, or of `builtin`, a path among the package's assets.

    Args:
        name: The file, or BUILTIN.
        builtin: What that means.
        option: The command's, for the message.

    Raises:
        ConfigurationError: There is no such file.
        InvalidRequestError: It is no text.
    """
    place = files("edgeassist") / "assets" / builtin if name == BUILTIN else Path(name)
    try:
        return place.read_text("utf-8")
    except OSError as error:
        raise ConfigurationError(f"{option}: can't read {name}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"{name}: is not UTF-8: byte {error.start} can't be read") from None
