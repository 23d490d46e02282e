"""Whether the broker lets the daemon do its work. Sans-I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from edgeassist.doctor.finding import ok, problem, skipped, warning
from edgeassist.former.remains import clearing
from edgeassist.protocol.findings import Finding

_AREA = "broker"
_SHOWN = 3
# ACME clients renew 30 days before the end, and home-made certificates last for years.
_RENEW_DAYS = 14


class Fate(Enum):
    """What became of a published message.

    `ACCEPTED`: acknowledged by a broker that would tell of a refusal (MQTT 5), and not delivered to us.
    `SWALLOWED`: the same by a broker that would not tell (MQTT 3.1.1).
    """

    DELIVERED = auto()
    ACCEPTED = auto()
    REFUSED = auto()
    SWALLOWED = auto()
    UNANSWERED = auto()
    NOT_TRIED = auto()


@dataclass(frozen=True, slots=True)
class BrokerSnapshot:
    """What one connection with the daemon's user name and password found out.

    Attributes:
        local: Whether the broker runs on this machine.
        without_password: Whether the service has a password that this user may not read.
        connect_problem: Why there is no connection, in words that name the setting; None if there was one.
        mute: Whether the broker accepted the connection and then sent nothing.
        lost: Why the connection ended too early; None if it lasted.
        refused: The filters that the daemon needs and the broker refused, with the broker's reasons.
        reply: The fate of a message on `reply_topic`, where answers are published.
        response: The fate of a message on `response_topic`, where commands are answered.
        command: The fate of the command `ping`; this user subscribes to it as the daemon does.
        large: The fate of a message of `answer_bytes`, the size of the longest answer.
        max_packet_bytes: The broker's limit; None if it does not tell.
        only_version: The version of MQTT that it takes, where it does not take the one that is set.
        max_qos: The highest QoS that it takes.
        retains: Whether it keeps retained messages.
        certificate_days: How long its certificate is good for; None without TLS.
        retained_prompts: Topics for requests that hold a retained message, which the daemon ignores.
        left_behind: What the broker keeps of names that this device had before: topics, by the name's root.
    """

    address: str
    local: bool = False
    without_password: bool = False
    connect_problem: str | None = None
    mute: bool = False
    lost: str | None = None
    refused: Mapping[str, str] = field(default_factory=dict)
    reply_topic: str = ""
    response_topic: str = ""
    command_topic: str = ""
    reply: Fate = Fate.NOT_TRIED
    response: Fate = Fate.NOT_TRIED
    command: Fate = Fate.NOT_TRIED
    large: Fate = Fate.NOT_TRIED
    answer_bytes: int = 0
    max_packet_bytes: int | None = None
    only_version: str | None = None
    max_qos: int = 2
    retains: bool = True
    certificate_days: float | None = None
    retained_prompts: tuple[str, ...] = ()
    left_behind: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def check_broker(snapshot: BrokerSnapshot) -> Iterator[Finding]:
    """Judge the broker."""
    if snapshot.connect_problem is not None and snapshot.without_password:
        yield skipped(
            _AREA,
            f"not checked without the service's password: {snapshot.connect_problem}",
            "sudo edgeassist doctor",
        )
        return
    if snapshot.connect_problem is not None:
        log = "see its log: journalctl -u mosquitto -n 20; " if snapshot.local else ""
        yield problem(_AREA, snapshot.connect_problem, f"{log}correct that, then: edgeassist check-config")
        return
    yield ok(_AREA, f"{snapshot.address} takes the connection")
    yield from _check_kind(snapshot)
    if snapshot.mute:
        yield problem(
            _AREA,
            "it greets and then answers nothing, not even a subscription",
            "look into the broker's own log, and whether the network loses packets",
        )
        return
    if snapshot.lost is not None and not _too_large(snapshot):
        yield problem(
            _AREA, f"the connection did not last: {snapshot.lost}", "look into the broker's own log"
        )
        return
    yield from _check_rights(snapshot)
    yield from _check_size(snapshot)
    yield from _check_retained(snapshot)
    yield from _check_left_behind(snapshot)


def _check_kind(snapshot: BrokerSnapshot) -> Iterator[Finding]:
    if snapshot.only_version is not None:
        yield warning(
            _AREA,
            f"it takes only MQTT {snapshot.only_version}, which every connection has to find out",
            f'set mqtt.protocol to "{snapshot.only_version}"',
        )
    if snapshot.max_qos == 0:
        yield warning(
            _AREA,
            "it takes only QoS 0: prompts and ends of answers may be lost with a connection",
            "let it take QoS 1 (Mosquitto: max_qos 1)",
        )
    if not snapshot.retains:
        yield warning(
            _AREA,
            "it keeps no retained messages: who comes later does not learn of status, health and info, nor "
            "Home Assistant of this device",
            "let it keep them (Mosquitto: retain_available true)",
        )
    days = snapshot.certificate_days
    if days is not None and days < _RENEW_DAYS:
        yield warning(
            _AREA,
            f"its certificate ends in {days:.0f} days: then this device is cut off",
            "renew it; nothing here needs a restart",
        )


def _check_rights(snapshot: BrokerSnapshot) -> Iterator[Finding]:
    for topic, reason in snapshot.refused.items():
        yield problem(
            _AREA,
            f"it refuses the subscription to {topic} ({reason}), and without it no prompt arrives",
            f"allow it in the broker's access control list: topic read {topic}",
        )
    published = {snapshot.reply_topic: snapshot.reply, snapshot.response_topic: snapshot.response}
    for topic, fate in published.items():
        match fate:
            case Fate.REFUSED:
                yield problem(
                    _AREA,
                    f"it refuses what is published on {topic}: answers would be lost",
                    f"allow it in the broker's access control list: topic write {topic.rpartition('/')[0]}/#",
                )
            case Fate.UNANSWERED:
                yield problem(
                    _AREA,
                    f"it does not acknowledge what is published on {topic}",
                    "look into the broker's own log, and whether the network loses packets",
                )
            case Fate.SWALLOWED:
                yield warning(
                    _AREA,
                    f"what is published on {topic} does not come back: this user may not write there, or "
                    "may only write, and MQTT 3.1.1 does not tell which",
                    f"allow it in the broker's access control list: topic write {topic.rpartition('/')[0]}/#",
                )
            case Fate.DELIVERED | Fate.ACCEPTED | Fate.NOT_TRIED:
                pass
    # Mosquitto grants every subscription and then withholds the messages that its ACL file forbids. Only with
    # MQTT 5 is it known that a message which does not come back was accepted.
    if snapshot.command is Fate.ACCEPTED and not snapshot.refused:
        yield problem(
            _AREA,
            f"it takes what is published on {snapshot.command_topic} and does not deliver it to this user: "
            "no command would arrive",
            "allow it in the broker's access control list: topic read "
            f"{snapshot.command_topic.rpartition('/')[0]}/#, and so for prompts",
        )
    elif not snapshot.refused and snapshot.reply in {Fate.DELIVERED, Fate.ACCEPTED}:
        yield ok(_AREA, "it grants the subscription to prompts, and takes answers")


def _check_size(snapshot: BrokerSnapshot) -> Iterator[Finding]:
    limit, needed = snapshot.max_packet_bytes, snapshot.answer_bytes
    if limit is not None and limit < needed:
        yield problem(
            _AREA,
            f"it takes packets of at most {limit} bytes, and an answer of sampling.max_tokens may need "
            f"{needed}",
            f"raise the broker's limit (Mosquitto: max_packet_size {needed}), or lower sampling.max_tokens",
        )
    elif _too_large(snapshot):
        yield problem(
            _AREA,
            f"it does not deliver a message of {needed} bytes, which an answer of sampling.max_tokens may "
            "need",
            f"raise the broker's limit (Mosquitto: message_size_limit {needed}), tell it the daemon "
            "(mqtt.packet_bytes), or lower sampling.max_tokens",
        )


def _too_large(snapshot: BrokerSnapshot) -> bool:
    """Whether a short message gets through and a long one does not.

    `UNANSWERED` counts too: Mosquitto 2.0 refuses it with a reason code that MQTT 5 does not allow there, and
    paho closes the connection.
    """
    passed = snapshot.reply in {Fate.DELIVERED, Fate.ACCEPTED}
    return passed and snapshot.large in {Fate.REFUSED, Fate.SWALLOWED, Fate.UNANSWERED}


def _check_retained(snapshot: BrokerSnapshot) -> Iterator[Finding]:
    for topic in snapshot.retained_prompts[:_SHOWN]:
        yield warning(
            _AREA,
            f"a message is retained on {topic}; the daemon ignores it, at every connection",
            f"mosquitto_pub -r -n -t '{topic}'",
        )
    more = len(snapshot.retained_prompts) - _SHOWN
    if more > 0:
        yield warning(_AREA, f"and on {more} more topics for requests", "as before, for each")


def _check_left_behind(snapshot: BrokerSnapshot) -> Iterator[Finding]:
    for root, topics in snapshot.left_behind.items():
        yield warning(
            _AREA,
            f"this device was {root} before, and the broker still keeps what it published then: programs "
            "and Home Assistant take it for a second device",
            f"let the daemon clear it (topic readwrite {root}/#, and a restart), or: {clearing(topics)}",
        )


def unreachable(area: str, snapshot: BrokerSnapshot) -> Finding | None:
    """Return the finding for an area that only the broker can tell about; None if it did."""
    if snapshot.connect_problem is not None:
        return skipped(area, "could not be asked: there is no connection to the broker")
    if snapshot.mute or (snapshot.lost is not None and not _too_large(snapshot)):
        return skipped(area, "could not be asked: the broker does not do its part")
    return None
