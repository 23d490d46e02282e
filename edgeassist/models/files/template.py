"""The chat template that `model.template` names instead of the model's own."""

from __future__ import annotations

from pathlib import Path

from edgeassist.errors import ModelError

_MOST_BYTES = 1 << 20


def read_template(path: str) -> str | None:
    """Return the template's text; None for an empty path.

    Raises:
        ModelError: It can't be read; the message names the setting, and says why and what to do.
    """
    if not path:
        return None
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        raise ModelError(f"model.template: there is no {path}: correct the setting") from None
    except PermissionError:
        raise ModelError(
            f"model.template: no permission to read {path}: let this user read it (chmod a+r the file, a+x "
            "its folders)"
        ) from None
    except OSError as error:
        raise ModelError(f"model.template: {path} can't be read ({error.strerror})") from None
    if len(content) > _MOST_BYTES:
        raise ModelError(f"model.template: {path} has more than 1 MiB: name a file with a Jinja2 template")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ModelError(f"model.template: {path} is no text: name a file with a Jinja2 template") from None
    if not text.strip():
        raise ModelError(f"model.template: {path} is empty: name a file with a Jinja2 template")
    return text
