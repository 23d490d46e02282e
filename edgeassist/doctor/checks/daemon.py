"""Whether a daemon runs, answers, and is healthy. Sans-I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from edgeassist.doctor.finding import ok, problem, skipped, warning
from edgeassist.protocol.findings import Finding
from edgeassist.protocol.state import NOT_BROUGHT_AGAIN, NOT_DURABLE

_AREA = "daemon"
_HOUR_S = 3600
# More lost connections than networks and access points explain.
_LOSSES_AN_HOUR = 4
_FEW_LOSSES = 3


class Ping(Enum):
    """What became of the command `ping`.

    `SILENCE`: there certainly was no answer. No faults are `REFUSED` (this user may not send commands) and
    `UNHEARD` (it may not read responses, or the broker does not tell).
    """

    ANSWERED = auto()
    SILENCE = auto()
    REFUSED = auto()
    UNHEARD = auto()
    NOT_TRIED = auto()


@dataclass(frozen=True, slots=True)
class DaemonSnapshot:
    """What the broker keeps of a daemon, and how the daemon reacted.

    Attributes:
        root: The root of its topics.
        client_id: Its client id.
        installed: The version of this program.
        unit_active: Whether systemd says that the daemon runs; None without a service.
        status: `online` or `offline`; None if it was never published.
        flapped: Whether the status changed more than once during the probe.
        boots: How many daemons published their health during the probe.
        health: The document `health`; None without one.
        ping: What became of the command `ping`.
        answers: How many daemons answered it.
    """

    root: str
    client_id: str
    installed: str
    unit_active: bool | None = None
    status: str | None = None
    flapped: bool = False
    boots: int = 0
    health: Mapping[str, Any] | None = None
    ping: Ping = Ping.NOT_TRIED
    answers: int = 0

    @property
    def there(self) -> bool:
        """Whether a daemon runs. One that answers does, whatever the status says: that may be stale."""
        return self.status == "online" or self.ping is Ping.ANSWERED


def check_daemon(snapshot: DaemonSnapshot) -> Iterator[Finding]:
    """Judge the daemon."""
    if not snapshot.there:
        yield _absent(snapshot)
        return
    if snapshot.status != "online":
        kept = "no status of it" if snapshot.status is None else f"the status {snapshot.status!r}"
        yield warning(
            _AREA,
            f"{snapshot.root} answers, and the broker keeps {kept}: a will came late, or another client "
            "publishes there, and the daemon does not get to see it",
            f"allow that in the broker's access control list: topic read {snapshot.root}/status",
        )
    match snapshot.ping:
        case Ping.ANSWERED:
            yield ok(_AREA, f"{snapshot.root} is online and answers")
        case Ping.SILENCE:
            yield problem(
                _AREA,
                f"{snapshot.root} is online and does not answer the command ping: it hangs, or the broker's "
                f"access control list keeps {snapshot.root}/command/# from it",
                _log(snapshot),
            )
        case Ping.REFUSED | Ping.UNHEARD | Ping.NOT_TRIED:
            yield ok(_AREA, f"{snapshot.root} is online")
            yield skipped(
                _AREA,
                "whether it answers was not found out: the broker's access control list lets this user "
                "give no commands, or read no responses",
                'edgeassist ask "hello", with a user who may',
            )
    yield from _check_rivals(snapshot)
    if snapshot.health is None:
        yield warning(
            _AREA,
            "it is online and its health is not to be seen: the broker's access control list keeps "
            f"{snapshot.root}/health from it or from us",
            f"allow it there: topic readwrite {snapshot.root}/#",
        )
        return
    yield from _check_health(snapshot, snapshot.health)


def _absent(snapshot: DaemonSnapshot) -> Finding:
    if snapshot.unit_active:
        return problem(
            _AREA,
            f"the service runs, and nothing at the broker says that {snapshot.root} is online: it can't "
            "connect, or uses another broker or name than these settings",
            _log(snapshot),
        )
    if snapshot.status is None:
        text = f"{snapshot.root} was never seen at this broker: no daemon runs with these settings"
    else:
        text = f"{snapshot.root} is offline: no daemon runs"
    command = "edgeassist run" if snapshot.unit_active is None else "sudo systemctl start edgeassist"
    return problem(_AREA, text, command)


def _check_rivals(snapshot: DaemonSnapshot) -> Iterator[Finding]:
    health = snapshot.health or {}
    why = str(health.get("mqtt_last_problem") or "")
    losses, hours = int(health.get("mqtt_reconnects") or 0), float(health.get("uptime_s") or 0) / _HOUR_S
    taken = "another client" in why and losses > 0
    remedy = (
        "give each its own device.name (and its own mqtt.client_id, where that is set), then: "
        f"{_restart(snapshot)}"
    )
    # A device that is ready has nothing else to tell.
    if health.get("state") in {"ready", "busy"} and health.get("reason"):
        yield problem(_AREA, str(health["reason"]), remedy)
    elif snapshot.answers > 1:
        yield problem(
            _AREA, f"{snapshot.answers} daemons are {snapshot.root}: each answers every prompt", remedy
        )
    elif snapshot.boots > 1 or snapshot.flapped or (taken and losses > _LOSSES_AN_HOUR * hours):
        yield problem(
            _AREA,
            f"two clients throw each other off the broker: another one uses the id {snapshot.client_id!r}, "
            "most often a second device with the same name",
            remedy,
        )
    elif losses > max(_FEW_LOSSES, _LOSSES_AN_HOUR * hours):
        yield warning(
            _AREA,
            f"it lost the broker {losses} times in {hours:.1f} hours" + (f", last: {why}" if why else ""),
            "look at the network, and into the broker's log",
        )


def _check_health(snapshot: DaemonSnapshot, health: Mapping[str, Any]) -> Iterator[Finding]:
    state, reason = health.get("state"), health.get("reason")
    # While an engine can't be had, the state alternates between degraded and loading, with the same reason.
    if state == "degraded" or (state == "loading" and reason):
        yield problem(_AREA, f"{state}, so that no prompt is answered: {reason}", _log(snapshot))
    elif state in {"starting", "loading"}:
        yield warning(_AREA, f"it is {state} and can't answer yet", "wait, then: edgeassist status")
    why = health.get("undurable_reason")
    if health.get("durable") is False and why and why not in {NOT_DURABLE, NOT_BROUGHT_AGAIN}:
        yield warning(
            _AREA, f"requests that come now do not outlive a restart: {why}", _keeping(str(why), snapshot)
        )
    restarts = int(health.get("engine_restarts") or 0)
    if restarts:
        yield warning(
            _AREA,
            f"its engine died or hung {restarts} times since it started",
            _log(snapshot),
        )
    running = health.get("version")
    if running is not None and running != snapshot.installed:
        yield warning(
            _AREA,
            f"version {running} runs and {snapshot.installed} is installed",
            _restart(snapshot),
        )
    if int(health.get("mqtt_refused") or 0):
        yield warning(
            _AREA,
            f"the broker refused {health['mqtt_refused']} of its messages since it started, the last on "
            f"{health.get('mqtt_last_refusal')}",
            "let the broker's access control list and its limits allow it",
        )
    if health.get("mqtt_limits"):
        yield warning(
            _AREA, f"its broker lacks something: {health['mqtt_limits']}", "see the broker's own settings"
        )
    if int(health.get("mqtt_dropped") or 0):
        yield warning(
            _AREA,
            f"{health['mqtt_dropped']} messages could not be published since it started",
            _log(snapshot),
        )


def _keeping(why: str, snapshot: DaemonSnapshot) -> str:
    """Return what makes requests outlive a restart again."""
    if "journal.entries" in why:
        return "let clients fetch their answers, or set journal.entries and journal.mb higher"
    if "is full" in why:
        return "make room on the disk of the state directory: it is tried again every 10 s"
    return _log(snapshot)


def _restart(snapshot: DaemonSnapshot) -> str:
    return (
        "stop it, and: edgeassist run"
        if snapshot.unit_active is None
        else "sudo systemctl restart edgeassist"
    )


def _log(snapshot: DaemonSnapshot) -> str:
    """Return how to see the log; everything that matters is logged as a warning or worse."""
    return (
        "look into its log" if snapshot.unit_active is None else "journalctl -u edgeassist -p warning -n 50"
    )
