"""The result of a check: severity, explanation, remedy. Sans-I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a finding is, least first.

    `skipped`: could not be checked. `problem`: prompts are not answered, or soon won't be.
    """

    OK = "ok"
    SKIPPED = "skipped"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of a check.

    Attributes:
        area: What was checked: `broker`, `model`, …
        text: One sentence for a person.
        remedy: The command that repairs it, or what to do if no command can; None if nothing is wrong.
    """

    severity: Severity
    area: str
    text: str
    remedy: str | None = None


def ok(area: str, text: str) -> Finding:
    """Return a finding that says all is well."""
    return Finding(Severity.OK, area, text)


def skipped(area: str, text: str, remedy: str | None = None) -> Finding:
    """Return a finding that says why it could not be checked."""
    return Finding(Severity.SKIPPED, area, text, remedy)


def warning(area: str, text: str, remedy: str) -> Finding:
    """Return a finding about what works, but not as well as it could, or not for long."""
    return Finding(Severity.WARNING, area, text, remedy)


def problem(area: str, text: str, remedy: str) -> Finding:
    """Return a finding about what does not work."""
    return Finding(Severity.PROBLEM, area, text, remedy)


def worst(findings: Iterable[Finding]) -> Severity:
    """Return the highest severity; `OK` without findings."""
    order = list(Severity)
    return max((each.severity for each in findings), key=order.index, default=Severity.OK)
