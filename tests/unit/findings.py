"""What tests of the diagnosis ask of findings."""

from collections.abc import Iterable

from edgeassist.protocol.findings import Finding, Severity

OK, SKIPPED, WARNING, PROBLEM = Severity.OK, Severity.SKIPPED, Severity.WARNING, Severity.PROBLEM


def only(findings: Iterable[Finding]) -> Finding:
    """Return the finding, where there is one."""
    (finding,) = findings
    return finding


def told(findings: Iterable[Finding], severity: Severity, *words: str) -> bool:
    """Whether one finding of that severity says all these words, in its text or its remedy."""
    return any(
        each.severity is severity and all(word in f"{each.text} {each.remedy}" for word in words)
        for each in findings
    )
