"""Whether the settings can be used, and who else can read what is secret in them. Pure."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgeassist.doctor.finding import Finding, ok, problem, skipped, warning

_AREA = "settings"


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A file that holds a secret: the setting that it is for, and who may read it (`st_mode`)."""

    setting: str
    path: Path
    mode: int


@dataclass(frozen=True, slots=True)
class ConfigurationSnapshot:
    """What was found of the settings.

    Attributes:
        source: Where they come from, for a person.
        command: Which looks at them alone.
        problems: What is wrong with them, in the words of `check-config`; empty where they can be used.
        secrets: The files of passwords and keys.
        in_unit: The settings with secrets that stand in the unit's `Environment=`.
        unread: The settings of the service that this user may not read, and sees the defaults of.
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
