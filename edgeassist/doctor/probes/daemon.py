"""The daemon, by what the broker delivered: its status, its health, and the answer to `ping`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from edgeassist.doctor.checks.daemon import DaemonSnapshot
from edgeassist.protocol.packets import Inbound
from edgeassist.protocol.state import Availability
from edgeassist.protocol.topics import Topics
from edgeassist.sight.reading import HealthSeen


def read_daemon(daemon: DaemonSnapshot, heard: Sequence[Inbound], topics: Topics) -> DaemonSnapshot:
    """Return the snapshot with status and health as the messages tell them."""
    documents = [
        document.model_dump(exclude_none=True)
        for each in heard
        if each.topic == topics.health and (document := HealthSeen.read(each.payload)) is not None
    ]
    # A daemon came or went while we were listening; one that stays says `online` now and then.
    said = [each.payload for each in heard if each.topic == topics.status]
    changes = sum(one != other for one, other in pairwise(said))
    return replace(
        daemon,
        status=read_status(heard, topics),
        flapped=changes > 1,
        boots=len({str(document.get("boot_id")) for document in documents}),
        health=documents[-1] if documents else None,
    )


def read_status(heard: Sequence[Inbound], topics: Topics) -> Availability | None:
    """Return the status that was published last; None without one that is known."""
    said = [each.payload.decode(errors="replace") for each in heard if each.topic == topics.status]
    return Availability(said[-1]) if said and said[-1] in set(Availability) else None


def count_answers(heard: Sequence[Inbound], key: str) -> int:
    """Return how often the command `ping` with this id was answered: once by every daemon."""
    return sum(
        each.topic.endswith("/response/ping") and key.encode() in each.payload and not each.redelivered
        for each in heard
    )
