"""`edgeassist doctor`: what is wrong on this box, in words, each with what mends it."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from edgeassist import __version__
from edgeassist.device.cpus import read_cpu_snapshot
from edgeassist.doctor.checks.broker import BrokerSnapshot, check_broker, unreachable
from edgeassist.doctor.checks.clock import check_clock
from edgeassist.doctor.checks.configuration import check_configuration
from edgeassist.doctor.checks.daemon import DaemonSnapshot, check_daemon
from edgeassist.doctor.checks.model import check_model
from edgeassist.doctor.checks.power import check_power
from edgeassist.doctor.checks.processor import check_threads, check_wheel
from edgeassist.doctor.checks.room import RoomSnapshot, check_room
from edgeassist.doctor.checks.service import Durations, check_service
from edgeassist.doctor.finding import Finding, Severity, skipped, worst
from edgeassist.doctor.probes.broker import survey_broker
from edgeassist.doctor.probes.configuration import survey_configuration
from edgeassist.doctor.probes.machine import survey_clock, survey_power, survey_room, survey_wheel
from edgeassist.doctor.probes.model import Wanted, survey_model
from edgeassist.doctor.probes.permissions import User, find_user, this_user
from edgeassist.doctor.probes.unit import Unit, last_load_s, survey_unit
from edgeassist.settings import Settings
from edgeassist.wiring import broker_options, demand_of, number_or_none, state_folder_of, topics_of

# As monitoring plugins end (Nagios, Icinga, Zabbix), so that one can call this as it is.
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
# Below, a column of text beside two of words would be a ribbon.
_NARROW = 60


def doctor(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as one JSON object.")] = False,
) -> None:
    """Find what is wrong on this box, and say what mends it.

    Looks at settings, broker, daemon, model, processor, power, heat, memory, disks, service and clock, and
    changes nothing. Where a service is installed and no settings are named, it looks at that service's; some
    of them only root may read. Takes at most some 15 seconds.

    Exit status, as of monitoring plugins: 0: all is well; 1: warnings; 2: problems.
    """
    findings = asyncio.run(_examine(context))
    if as_json:
        print(_to_json(findings))
    else:
        _print(findings)
    raise typer.Exit(_EXIT[worst(findings)])


async def _examine(context: typer.Context) -> list[Finding]:
    unit = await asyncio.to_thread(survey_unit)
    configuration = survey_configuration(context.obj, unit, os.environ)
    settings = None if configuration.loaded is None else configuration.loaded.settings
    # A unit whose settings these are not says nothing of their user, memory and folders.
    service = configuration.unit
    wheel = asyncio.create_task(asyncio.to_thread(survey_wheel), name="wheel")
    findings = [*check_configuration(configuration.snapshot)]
    health = None
    if settings is not None:
        broker, daemon = await _ask_broker(settings, service)
        broker = replace(broker, without_password="mqtt.password" in configuration.snapshot.unread)
        lost = unreachable("daemon", broker)
        findings += check_broker(broker)
        findings += check_daemon(daemon) if lost is None else [lost]
        health = daemon.health if daemon.status == "online" else None
        user = _service_user(service)
        findings += check_model(
            survey_model(
                Wanted(settings.model.path, settings.model.backend, demand_of(settings)),
                user,
                memory_max_bytes=None if service is None else service.memory_max_bytes,
                engine_bytes=None if health is None else health.get("engine_memory_bytes"),
            )
        )
        findings += check_threads(
            read_cpu_snapshot(),
            number_or_none(settings.engine.threads),
            None if service is None else service.quota,
        )
    else:
        why = "not checked: the settings can't be used"
        findings += [skipped(area, why) for area in ("broker", "daemon", "model", "threads")]
    findings += check_wheel(await wheel)
    findings += check_power(survey_power(health))
    findings += check_room(_survey_room(settings, service))
    durations = await asyncio.to_thread(_durations, settings, unit)
    findings += check_service(None if unit is None else unit.snapshot, durations)
    findings += check_clock(survey_clock(tls=settings is not None and settings.mqtt.tls))
    return findings


async def _ask_broker(settings: Settings, unit: Unit | None) -> tuple[BrokerSnapshot, DaemonSnapshot]:
    return await survey_broker(
        broker_options(settings, client_id=f"edgeassist-doctor-{secrets.token_hex(4)}"),
        topics_of(settings),
        daemon_id=settings.mqtt.client_id or f"edgeassist-{settings.device.name}",
        installed=__version__,
        unit_active=None if unit is None else unit.snapshot.active_state == "active",
        max_tokens=settings.sampling.max_tokens,
    )


def _service_user(unit: Unit | None) -> User:
    """Return as whom the daemon runs: this user, where no service does it."""
    if unit is None or unit.snapshot.user_manager:
        return this_user()
    return find_user(unit.user or "root") or this_user()


def _survey_room(settings: Settings | None, unit: Unit | None) -> RoomSnapshot:
    if settings is None or settings.engine.state_mb == 0:
        return survey_room(None, 0, this_user())
    folder = state_folder_of(settings)
    if settings.engine.state_folder is None and unit is not None and unit.state_folder is not None:
        folder = unit.state_folder
    return survey_room(folder, settings.engine.state_mb << 20, _service_user(unit))


def _durations(settings: Settings | None, unit: Unit | None) -> Durations:
    load_s = None if unit is None else last_load_s(unit)
    if settings is None:
        return Durations(load_s)
    return Durations(load_s, settings.engine.load_timeout_s, settings.daemon.drain_s)


def _print(findings: Sequence[Finding]) -> None:
    console = Console(highlight=False)
    for each in findings:
        _print_finding(console, each)
    console.print()
    console.print(_summary(findings), style=_STYLES[worst(findings)])


def _print_finding(console: Console, finding: Finding) -> None:
    style, severity = _STYLES[finding.severity], finding.severity.value
    indent = " " * (_SEVERITY_WIDTH + _AREA_WIDTH + 2 * _GAP)
    if not console.is_terminal:  # for grep: a finding is a line
        print(f"{severity:{_SEVERITY_WIDTH}}  {finding.area:{_AREA_WIDTH}}  {finding.text}")
    elif console.width < _NARROW:
        indent = " " * _GAP
        console.print(Text.assemble((severity, style), f" {finding.area}"))
        console.print(Padding(Text(finding.text), (0, 0, 0, _GAP)))
    else:
        row = Table.grid(padding=(0, _GAP, 0, 0))
        row.add_column(width=_SEVERITY_WIDTH, style=style)
        row.add_column(width=_AREA_WIDTH)
        row.add_column(style="dim" if finding.severity is Severity.SKIPPED else "")
        row.add_row(severity, finding.area, Text(finding.text))
        console.print(row)
    if finding.remedy is not None:
        # Not wrapped by us: a command that is copied must stay one.
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
    return json.dumps(
        {
            "version": __version__,
            "worst": worst(findings).value,
            "findings": [
                {
                    "severity": each.severity.value,
                    "area": each.area,
                    "text": each.text,
                    "remedy": each.remedy,
                }
                for each in findings
            ],
        },
        indent=2,
        ensure_ascii=False,
    )
