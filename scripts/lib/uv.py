"""What uv must be told to install as pip would: `pip config list` comes in, a command's beginning goes out.

uv reads none of pip's settings. One that it can't be told ends this with an error, and pip does the work.
Among them are constraints, which uv does not take together with hashes.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator

# Of one option each; a setting may hold several values.
OPTIONS = {
    "index-url": "--default-index",
    "extra-index-url": "--index",
    "find-links": "--find-links",
    "trusted-host": "--allow-insecure-host",
}
SWITCHES = {"no-index": "--no-index", "no-cache-dir": "--no-cache"}
VARIABLES = {
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "proxy": "ALL_PROXY",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
}
# These change nothing of what is installed.
IDLE = {
    "break-system-packages",
    "cache-dir",
    "config-file",
    "disable-pip-version-check",
    "log",
    "no-color",
    "no-input",
    "no-warn-script-location",
    "progress-bar",
    "quiet",
    "retries",
    "root-user-action",
    "verbose",
}


class UnknownSettingError(Exception):
    """A setting of pip that uv has nothing for."""


def settings(lines: Iterable[str]) -> dict[str, str]:
    """Return what holds for `pip install`; a command's own section is stronger, the environment strongest.

    Args:
        lines: What `pip config list` prints: `global.index-url='https://...'`.
    """
    found: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in lines:
        name, _, value = line.strip().partition("=")
        section, _, key = name.rpartition(".")
        if section in found:
            found[section][key.replace("_", "-")] = str(ast.literal_eval(value))
    return {key: value for section in found.values() for key, value in section.items()}


def command(lines: Iterable[str]) -> Iterator[str]:
    """Yield the words of a command, to which only what to install is added.

    Raises:
        UnknownSettingError: pip has a setting that uv can't be told.
    """
    said = settings(lines)
    if unknown := set(said) - {*OPTIONS, *SWITCHES, *VARIABLES, *IDLE}:
        raise UnknownSettingError(f"uv has nothing for pip's {', '.join(sorted(unknown))}")
    yield "env"
    for key, variable in VARIABLES.items():
        if key in said:
            yield f"{variable}={said[key]}"
    # uv would take a package from the first index that has any version of it; the hashes allow for pip's way.
    yield from ("uv", "pip", "install", "--no-config", "--index-strategy", "unsafe-best-match")
    for key, option in OPTIONS.items():
        for value in said.get(key, "").split():
            yield from (option, value)
    for key, switch in SWITCHES.items():
        if said.get(key, "").lower() in {"1", "true", "yes", "on", "y", "t"}:
            yield switch


if __name__ == "__main__":
    try:
        print("\n".join(command(sys.stdin)))
    except UnknownSettingError as error:
        sys.exit(str(error))
