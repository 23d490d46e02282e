"""Whether the settings are valid, and whether others can read the secrets in them. Sans-I/O."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgeassist.doctor.finding import ok, problem, skipped, warning
from edgeassist.protocol.findings import Finding

_AREA = "settings"


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A file that holds a secret, the setting that it belongs to, and its `st_mode`."""

    setting: str
    path: Path
    mode: int


@dataclass(frozen=True, slots=True)
class ConfigurationSnapshot:
    """What was found out about the settings.

    Attributes:
        source: Where they come from, in words.
        command: The command that checks them.
        problems: What is wrong with them, in the words of `check-config`; empty if they are valid.
        secrets: The files with passwords and keys.
        in_unit: The secret settings that are in the unit's `Environment=`.
        unread: The service's settings that this user may not read; the defaults were used for them.
    """

    source: str
    command: str
    problems: tuple[str, ...] = ()
    secrets: tuple[SecretFile, ...] = ()
    in_unit: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def check_configuration(snapshot: ConfigurationSnapshot) -> Iterator[Finding]:
    """Judge the settings."""
    for text in snapshot.problems:
        yield problem(_AREA, text, f"correct it, then: {snapshot.command}")
    if not snapshot.problems:
        yield ok(_AREA, f"valid ({snapshot.source})")
    for name in snapshot.unread:
        yield skipped(
            _AREA,
            f"this user may not read {name} of the service: what follows was tried without it",
            "sudo edgeassist doctor",
        )
    for secret in snapshot.secrets:
        if secret.mode & stat.S_IROTH:
            yield warning(
                _AREA,
                f"everybody on this machine can read {secret.path}, where {secret.setting} stands",
                f"sudo chmod o-rwx {secret.path}, and let the service's group read it; or use a credential "
                "(docs/configuration.md)",
            )
    for name in snapshot.in_unit:
        yield warning(
            _AREA,
            f"{name} stands in the unit's Environment=, which everybody can read with systemctl show",
            f"sudo systemctl edit edgeassist, and there LoadCredential={name}:FILE instead",
        )
