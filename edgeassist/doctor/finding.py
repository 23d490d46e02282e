"""The results of checks, by their severity. Sans-I/O."""

from __future__ import annotations

from collections.abc import Iterable

from edgeassist.protocol.findings import Finding, Severity


def ok(area: str, text: str) -> Finding:
    """Return a finding that says all is well."""
    return Finding(severity=Severity.OK, area=area, text=text)


def skipped(area: str, text: str, remedy: str | None = None) -> Finding:
    """Return a finding that says why it could not be checked."""
    return Finding(severity=Severity.SKIPPED, area=area, text=text, remedy=remedy)


def warning(area: str, text: str, remedy: str) -> Finding:
    """Return a finding about what works, but not as well as it could, or not for long."""
    return Finding(severity=Severity.WARNING, area=area, text=text, remedy=remedy)


def problem(area: str, text: str, remedy: str) -> Finding:
    """Return a finding about what does not work."""
    return Finding(severity=Severity.PROBLEM, area=area, text=text, remedy=remedy)


def worst(findings: Iterable[Finding]) -> Severity:
    """Return the highest severity; `OK` without findings."""
    order = list(Severity)
    return max((each.severity for each in findings), key=order.index, default=Severity.OK)
