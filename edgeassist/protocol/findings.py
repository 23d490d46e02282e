"""What `edgeassist doctor --json` prints, and the command `doctor` answers."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

# More than a box with all its watches in order has.
MAX_FINDINGS = 200
# No finding is as long, but what it quotes may be.
MAX_TEXT = 1_000


class Severity(StrEnum):
    """How bad a finding is, least first.

    `skipped`: could not be checked. `problem`: prompts are not answered, or soon won't be.
    """

    OK = "ok"
    SKIPPED = "skipped"
    WARNING = "warning"
    PROBLEM = "problem"


_WORST_FIRST = tuple(reversed(Severity))


class Finding(BaseModel):
    """One result of a check.

    Attributes:
        severity: `skipped`: it could not be checked.
        area: What was checked: `broker`, `model`, …
        text: One sentence for a person.
        remedy: The command that repairs it, or what to do where no command can; None if nothing is wrong.
    """

    model_config = ConfigDict(frozen=True)

    severity: Severity
    area: str
    text: str
    remedy: str | None = None


class Examination(BaseModel):
    """All results.

    Attributes:
        version: Of the program that examined.
        worst: The highest severity.
        findings: In the order in which they were checked.
        left_out: How many findings are not in the list, because they were too many.
    """

    model_config = ConfigDict(frozen=True)

    version: str
    worst: Severity
    findings: list[Finding]
    left_out: Annotated[int, Field(ge=0)] = 0

    def bounded(self) -> Examination:
        """Return the same within the bounds of one message: what is left out is the least bad."""
        by_weight = sorted(self.findings, key=lambda each: _WORST_FIRST.index(each.severity))
        kept = {id(each) for each in by_weight[:MAX_FINDINGS]}
        findings = [_short(each) for each in self.findings if id(each) in kept]
        return self.model_copy(
            update={"findings": findings, "left_out": self.left_out + len(self.findings) - len(findings)}
        )


def _short(finding: Finding) -> Finding:
    remedy = finding.remedy
    return finding.model_copy(
        update={"text": _cut(finding.text), "remedy": None if remedy is None else _cut(remedy)}
    )


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"
