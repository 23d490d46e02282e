"""What a check says: how bad it is, why, and what mends it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a finding is; from harmless to bad.

    `skipped`: could not be checked, and why. `problem`: prompts are not answered, or won't be for long.
    """

    OK = "ok"
    SKIPPED = "skipped"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        area: What was looked at: `broker`, `model`, …
        text: For a person, one sentence.
        remedy: The command that mends it, or what to do where no command can; None where nothing is wrong.
    """

    severity: Severity
    area: str
    text: str
    remedy: str | None = None


def ok(area: str, text: str) -> Finding:
    """All is well there."""
    return Finding(Severity.OK, area, text)


def skipped(area: str, text: str, remedy: str | None = None) -> Finding:
    """It could not be checked."""
    return Finding(Severity.SKIPPED, area, text, remedy)


def warning(area: str, text: str, remedy: str) -> Finding:
    """It works, and not as well as it could, or not for ever."""
    return Finding(Severity.WARNING, area, text, remedy)


def problem(area: str, text: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(Severity.PROBLEM, area, text, remedy)


def worst(findings: Iterable[Finding]) -> Severity:
    """Return how bad the worst of them is."""
    order = list(Severity)
    return max((each.severity for each in findings), key=order.index, default=Severity.OK)
