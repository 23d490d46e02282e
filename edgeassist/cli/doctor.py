"""`edgeassist doctor`: prints what is wrong on this machine, and how to repair it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from edgeassist import __version__, harmless
from edgeassist.cli.consoles import Console
from edgeassist.doctor.examination import examine
from edgeassist.doctor.finding import worst
from edgeassist.protocol.findings import Examination, Finding, Severity

# The exit statuses of monitoring plugins (Nagios, Icinga, Zabbix), so that these can call it directly.
_EXIT = {Severity.OK: 0, Severity.SKIPPED: 0, Severity.WARNING: 1, Severity.PROBLEM: 2}
_STYLES = {
    Severity.OK: "green",
    Severity.SKIPPED: "dim",
    Severity.WARNING: "yellow",
    Severity.PROBLEM: "bold red",
}
_AREA_WIDTH = 9
_SEVERITY_WIDTH = 7
_GAP = 2
# In terminals narrower than this, the text goes below severity and area instead of beside them.
_NARROW = 60


def doctor(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as one JSON object.")] = False,
) -> None:
    """Find what is wrong on this machine, and how to repair it.

    Checks settings, broker, daemon, model, processor, power, heat, memory, disks, service and clock, and
    changes nothing. If a service is installed and you name no settings, the service's are used; only root may
    read all of them. Takes about 15 seconds at most.

    Exit status, as of monitoring plugins: 0: all is well; 1: warnings; 2: problems.
    """
    findings = asyncio.run(examine(context.obj, os.environ))
    if as_json:
        print(_to_json(findings))
    else:
        _print(findings)
    raise typer.Exit(_EXIT[worst(findings)])


def _print(findings: Sequence[Finding]) -> None:
    console = Console(highlight=False)
    for each in findings:
        _print_finding(console, each)
    console.print()
    console.print(_summary(findings), style=_STYLES[worst(findings)])


def _print_finding(console: Console, finding: Finding) -> None:
    style, severity = _STYLES[finding.severity], finding.severity.value
    said = harmless.lines(finding.text)
    indent = " " * (_SEVERITY_WIDTH + _AREA_WIDTH + 2 * _GAP)
    if not console.is_terminal:  # one line per finding, for grep
        print(f"{severity:{_SEVERITY_WIDTH}}  {finding.area:{_AREA_WIDTH}}  {said}")
    elif console.width < _NARROW:
        indent = " " * _GAP
        console.print(Text.assemble((severity, style), f" {finding.area}"))
        console.print(Padding(Text(said), (0, 0, 0, _GAP)))
    else:
        row = Table.grid(padding=(0, _GAP, 0, 0))
        row.add_column(width=_SEVERITY_WIDTH, style=style)
        row.add_column(width=_AREA_WIDTH)
        row.add_column(style="dim" if finding.severity is Severity.SKIPPED else "")
        row.add_row(severity, finding.area, Text(said))
        console.print(row)
    if finding.remedy is not None:
        # Not wrapped: a command that is copied must stay in one piece.
        console.print(f"{indent}[cyan]remedy:[/] {escape(finding.remedy)}", soft_wrap=True)


def _summary(findings: Sequence[Finding]) -> str:
    counts = {severity: sum(each.severity is severity for each in findings) for severity in Severity}
    nouns = {Severity.PROBLEM: "problem", Severity.WARNING: "warning"}
    told = [
        f"{counts[severity]} {noun}{'' if counts[severity] == 1 else 's'}"
        for severity, noun in nouns.items()
        if counts[severity]
    ]
    told.append(f"{counts[Severity.OK]} ok")
    if counts[Severity.SKIPPED]:
        told.append(f"{counts[Severity.SKIPPED]} not checked")
    return ", ".join(told)


def _to_json(findings: Sequence[Finding]) -> str:
    examination = Examination(version=__version__, worst=worst(findings), findings=list(findings))
    return examination.model_dump_json(indent=2, exclude={"left_out"})
