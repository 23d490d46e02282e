"""Whether watches hear anything, and what the daemon knows from them. Sans-I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from edgeassist.doctor.finding import ok, problem, warning
from edgeassist.protocol.findings import Finding

_AREA = "watches"


@dataclass(frozen=True, slots=True)
class WatchSnapshot:
    """One watch, as the broker shows it. Its topics may hold secrets: they go by their place in the list.

    Attributes:
        topics: How many topics, or filters, it has.
        refused: Of which the broker refuses the subscription, by their place, with its reason.
        retained: How many of them have a value that is retained, or brought one while we listened.
        said: Whether the daemon said what it knows.
        unknown: Whether the answer to some question is unknown there.
        reason: Why, or why it is not as fresh as it should be; None: all is well.
        state_at: When the newest message came of what was answered (ISO 8601, UTC).
    """

    name: str
    topics: int
    refused: Mapping[int, str] = field(default_factory=dict)
    retained: int = 0
    said: bool = False
    unknown: bool = False
    reason: str | None = None
    state_at: str | None = None


def check_watches(watches: Sequence[WatchSnapshot], *, online: bool) -> Iterator[Finding]:
    """Judge all watches.

    Args:
        watches: As they are set.
        online: Whether the daemon says that it is there.
    """
    for watch in watches:
        yield from _check_refused(watch)
        if not watch.refused:
            yield _check_known(watch, online=online)


def _check_refused(watch: WatchSnapshot) -> Iterator[Finding]:
    for place, reason in watch.refused.items():
        yield problem(
            _AREA,
            f"the broker refuses the subscription to topics.{place} of {watch.name!r} ({reason})",
            "allow that topic in the broker's access control list: topic read",
        )


def _check_known(watch: WatchSnapshot, *, online: bool) -> Finding:
    heard = f"{watch.retained} of its {watch.topics} topics have a value"
    if online and not watch.said:
        return warning(
            _AREA,
            f"the daemon says nothing of {watch.name!r}: it runs with other settings, or may not publish it",
            "systemctl reload edgeassist; the broker's access control list must let it write <root>/watch/+",
        )
    if online and watch.unknown:
        remedy = "docs/watches.md says what each reason means"
        if not watch.retained:
            remedy = (
                "let somebody publish there, best retained; the access control list must let the daemon's "
                "account read it (Mosquitto grants a subscription, and then delivers nothing)"
            )
        return warning(_AREA, f"{watch.name!r} is unknown: {watch.reason}; {heard}", remedy)
    if online and watch.reason is not None:
        return ok(_AREA, f"{watch.name!r} is known, but {watch.reason}; {heard}")
    known = "" if watch.state_at is None else f", and is known of {watch.state_at}"
    return ok(_AREA, f"{watch.name!r} may listen; {heard}{known}")
