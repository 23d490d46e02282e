"""Runs all probes and judges what they found."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeassist import __version__
from edgeassist.configured import number_or_none, state_folder_of
from edgeassist.device.cpus import read_cpu_snapshot
from edgeassist.doctor.checks.background import check_background
from edgeassist.doctor.checks.broker import BrokerSnapshot, check_broker, unreachable
from edgeassist.doctor.checks.clock import check_clock
from edgeassist.doctor.checks.configuration import check_configuration
from edgeassist.doctor.checks.daemon import DaemonSnapshot, check_daemon
from edgeassist.doctor.checks.fleet import check_fleet
from edgeassist.doctor.checks.model import check_model
from edgeassist.doctor.checks.power import check_power
from edgeassist.doctor.checks.processor import check_build, check_threads
from edgeassist.doctor.checks.service import Durations, check_service
from edgeassist.doctor.checks.space import SpaceSnapshot, check_space
from edgeassist.doctor.checks.watches import check_watches
from edgeassist.doctor.finding import skipped
from edgeassist.doctor.probes.background import probe_background
from edgeassist.doctor.probes.broker import probe_broker
from edgeassist.doctor.probes.clock import probe_clock
from edgeassist.doctor.probes.configuration import probe_configuration
from edgeassist.doctor.probes.fleet import probe_fleet
from edgeassist.doctor.probes.model import Wanted, probe_model
from edgeassist.doctor.probes.permissions import User, find_user, this_user
from edgeassist.doctor.probes.power import probe_power
from edgeassist.doctor.probes.processor import probe_build
from edgeassist.doctor.probes.service import Unit, last_load_s, probe_service
from edgeassist.doctor.probes.space import probe_space
from edgeassist.doctor.probes.watches import probe_watches
from edgeassist.folders import box_state_directory
from edgeassist.former.register import Name, Register
from edgeassist.protocol.findings import Finding
from edgeassist.settings import Settings
from edgeassist.wiring import (
    broker_options,
    client_id_of,
    demand_of,
    fleet_topics_of,
    selected_model,
    template_of,
    topics_of,
)


async def examine(file: Path | None, environ: Mapping[str, str]) -> list[Finding]:
    """Examine this machine and its daemon. Changes nothing, and takes about 40 seconds at most.

    Args:
        file: The settings' file that the user named; None without.
        environ: The user's environment.
    """
    unit = await asyncio.to_thread(probe_service)
    configuration = probe_configuration(file, unit, environ)
    settings = None if configuration.loaded is None else configuration.loaded.settings
    # None if the settings are not the service's: then its user, memory and folders don't matter for them.
    service = configuration.unit
    build = asyncio.create_task(asyncio.to_thread(probe_build), name="probe-build")
    findings = [*check_configuration(configuration.snapshot)]
    health = None
    if settings is not None:
        broker, daemon = await _probe_broker(settings, service)
        broker = replace(broker, without_password="mqtt.password" in configuration.snapshot.unread)
        lost = unreachable("daemon", broker)
        findings += check_broker(broker)
        findings += check_daemon(daemon) if lost is None else [lost]
        health = daemon.health if daemon.there else None
        if settings.watch:
            findings += await _examine_watches(settings, broker, daemon)
        if settings.fleet.group is not None:
            findings += await _examine_fleet(settings, broker, daemon)
        findings += _examine_model(settings, service, health)
        findings += check_threads(
            read_cpu_snapshot(),
            number_or_none(settings.engine.threads),
            None if service is None else service.quota,
        )
    else:
        why = "not checked: the settings can't be used"
        findings += [skipped(area, why) for area in ("broker", "daemon", "model", "threads")]
    findings += check_build(await build)
    findings += check_background(await asyncio.to_thread(probe_background))
    findings += check_power(probe_power(health))
    findings += check_space(_probe_space(settings, service))
    durations = await asyncio.to_thread(_durations, settings, unit)
    locks = settings is not None and settings.engine.load_mode == "lock" and _service_user(service).uid != 0
    findings += check_service(None if unit is None else unit.snapshot, durations, locks=locks)
    findings += check_clock(probe_clock(tls=settings is not None and settings.mqtt.tls))
    return findings


async def _probe_broker(settings: Settings, unit: Unit | None) -> tuple[BrokerSnapshot, DaemonSnapshot]:
    return await probe_broker(
        broker_options(settings, client_id=f"{client_id_of(settings)}-doctor-{secrets.token_hex(4)}"),
        topics_of(settings),
        daemon_id=client_id_of(settings),
        installed=__version__,
        unit_active=None if unit is None else unit.snapshot.active_state == "active",
        max_tokens=settings.sampling.max_tokens,
        former=_former_names(settings, unit),
    )


def _former_names(settings: Settings, unit: Unit | None) -> list[Name]:
    folder = box_state_directory() if unit is None or unit.state_folder is None else unit.state_folder
    try:
        return Register(folder).former(topics_of(settings))
    except OSError:  # another user's: then it is not known what there was
        return []


async def _examine_watches(
    settings: Settings, broker: BrokerSnapshot, daemon: DaemonSnapshot
) -> list[Finding]:
    lost = unreachable("watches", broker)
    if lost is not None:
        return [lost]
    watches = await probe_watches(
        broker_options(settings, client_id=f"{client_id_of(settings)}-doctor-{secrets.token_hex(4)}"),
        topics_of(settings),
        {watch.name: [each.topic.get_secret_value() for each in watch.topics] for watch in settings.watch},
    )
    if watches is None:
        return [skipped("watches", "could not be asked: the broker ended a connection that listened to them")]
    return [*check_watches(watches, online=daemon.there)]


async def _examine_fleet(settings: Settings, broker: BrokerSnapshot, daemon: DaemonSnapshot) -> list[Finding]:
    lost, topics = unreachable("fleet", broker), fleet_topics_of(settings)
    if lost is not None or topics is None:
        return [] if lost is None else [lost]
    snapshot = await probe_fleet(
        broker_options(settings, client_id=f"{client_id_of(settings)}-doctor-{secrets.token_hex(4)}"),
        topics,
        device=settings.device.name,
        there=daemon.there,
        adopt_s=settings.fleet.adopt_s,
        session_expiry_s=settings.fleet.session_expiry_s,
    )
    if snapshot is None:
        return [skipped("fleet", "could not be asked: the broker ended a connection that listened to it")]
    return [*check_fleet(snapshot)]


def _examine_model(settings: Settings, unit: Unit | None, health: Mapping[str, Any] | None) -> list[Finding]:
    selected = selected_model(settings, None if unit is None else unit.state_folder)
    named = selected.named
    snapshot = probe_model(
        Wanted(
            named.path,
            named.backend,
            demand_of(settings),
            template_of(settings, selected),
            chosen=selected.chosen,
            note=selected.note,
            state_bytes=settings.engine.state_mb << 20,
        ),
        _service_user(unit),
        memory_max_bytes=None if unit is None else unit.memory_max_bytes,
        engine_bytes=None if health is None else health.get("engine_memory_bytes"),
    )
    return [*check_model(snapshot)]


def _service_user(unit: Unit | None) -> User:
    """Return the user that the daemon runs as: without a service, this one."""
    if unit is None or unit.snapshot.user_manager:
        return this_user()
    return find_user(unit.user or "root") or this_user()


def _probe_space(settings: Settings | None, unit: Unit | None) -> SpaceSnapshot:
    if settings is None or settings.engine.state_mb == 0:
        return probe_space(None, 0, this_user())
    folder = state_folder_of(settings)
    if settings.engine.state_folder is None and unit is not None and unit.state_folder is not None:
        folder = unit.state_folder
    return probe_space(folder, settings.engine.state_mb << 20, _service_user(unit))


def _durations(settings: Settings | None, unit: Unit | None) -> Durations:
    load_s = None if unit is None else last_load_s(unit)
    if settings is None:
        return Durations(load_s)
    return Durations(load_s, settings.engine.load_timeout_s, settings.daemon.drain_s)
