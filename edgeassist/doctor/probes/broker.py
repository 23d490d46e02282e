"""The broker, over one connection: what it lets the daemon do. What it delivers tells of the daemon as well.

Nothing that is published here makes anybody act: a reply and a response that no client waits for, and the
command `ping`. Nothing is retained.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from edgeassist.broker import BrokerOptions
from edgeassist.broker.probe import Sight, look
from edgeassist.doctor.checks.broker import BrokerSnapshot, Fate
from edgeassist.doctor.checks.daemon import DaemonSnapshot, Ping
from edgeassist.doctor.probes.daemon import count_answers, read_daemon
from edgeassist.errors import EdgeAssistError
from edgeassist.former.register import Name
from edgeassist.former.remains import Remains, Verdict
from edgeassist.protocol.packets import Inbound, Outbound
from edgeassist.protocol.state import CommandResponse
from edgeassist.protocol.topics import DecideTopic, PromptTopic, Topics

_HERE = frozenset({"localhost", "127.0.0.1", "::1"})
# How long after the first answer to listen for that of another daemon of the same name.
_SECOND_S = 0.3
# The size of an answer in JSON: per token of text, at most in practice, and everything else.
_TOKEN_BYTES = 8
_BESIDE_BYTES = 4096
_DAY_S = 86_400
# Somebody may wait for the answer to a command `doctor`, at this moment.
_NO_COMMAND = "trial"


async def probe_broker(
    options: BrokerOptions,
    topics: Topics,
    *,
    daemon_id: str,
    installed: str,
    unit_active: bool | None,
    max_tokens: int,
    former: Sequence[Name] = (),
) -> tuple[BrokerSnapshot, DaemonSnapshot]:
    """Examine the broker and, through it, the daemon.

    Args:
        options: The daemon's, but with another client id.
        topics: The device's.
        daemon_id: The daemon's client id, for texts.
        installed: The version of this program.
        unit_active: Whether systemd says that the daemon runs; None without a service.
        max_tokens: The default length limit of an answer.
        former: The names that the device had before.
    """
    key = f"doctor-{secrets.token_hex(6)}"
    answer_bytes = max_tokens * _TOKEN_BYTES + _BESIDE_BYTES
    daemon = DaemonSnapshot(topics.root, daemon_id, installed, unit_active)
    broker = BrokerSnapshot(
        options.address,
        local=options.host in _HERE,
        reply_topic=topics.reply(key),
        response_topic=topics.response(_NO_COMMAND),
        command_topic=topics.command("ping"),
        answer_bytes=answer_bytes,
    )
    trials = _trials(topics, key, answer_bytes)
    needed = [*topics.prompt_filters, *topics.decide_filters, *topics.command_filters]
    wanted = (topics.status, topics.health, topics.reply(key), topics.response("+"))
    filters = [*needed, *wanted, *(each for name in former for each in Remains(name, topics.root).filters)]
    loop = asyncio.get_running_loop()
    answered_at: float | None = None

    def say(sight: Sight) -> Mapping[str, Outbound]:
        # A message beyond the announced limit would end the connection (MQTT 5, section 3.2.2.3.6).
        if sight.max_packet_bytes is not None and sight.max_packet_bytes < answer_bytes + _BESIDE_BYTES:
            del trials["large"]
        return trials

    def enough(sight: Sight) -> bool:
        # Also of a device that is not online: that may be stale.
        nonlocal answered_at
        if answered_at is None and count_answers(sight.heard, key):
            answered_at = loop.time()
        heard_all = answered_at is not None and loop.time() - answered_at > _SECOND_S
        echoes = (name in sight.rejected or _heard(sight, trials[name]) for name in trials if name != "ping")
        return all(echoes) and (heard_all or "ping" in sight.rejected)

    try:
        sight = await look(options, filters=filters, say=say, enough=enough)
    except EdgeAssistError as error:
        return replace(broker, connect_problem=error.message), daemon
    fates = {name: _fate(sight, name, message) for name, message in trials.items()}
    until = sight.certificate_until
    broker = replace(
        broker,
        mute=sight.lost is None and not sight.granted and not sight.refused,
        lost=sight.lost,
        refused={each: sight.refused[each] for each in needed if each in sight.refused},
        reply=fates["reply"],
        response=fates["response"],
        command=fates["ping"],
        large=fates.get("large", Fate.NOT_TRIED),
        max_packet_bytes=sight.max_packet_bytes,
        only_version=None if sight.protocol == options.protocol else sight.protocol,
        max_qos=sight.max_qos,
        retains=sight.retains,
        certificate_days=None if until is None else (until - time.time()) / _DAY_S,
        retained_prompts=tuple(
            sorted({each.topic for each in sight.heard if _is_retained_prompt(each, topics)})
        ),
        left_behind={
            name.topics.root: left for name in former if (left := _left_behind(name, topics, sight.heard))
        },
    )
    daemon = read_daemon(daemon, sight.heard, topics)
    answers = count_answers(sight.heard, key)
    if answers:
        ping = Ping.ANSWERED
    elif fates["ping"] is Fate.REFUSED:
        ping = Ping.REFUSED
    else:
        # Silence is certain only if this user may read responses.
        sure = fates["response"] is Fate.DELIVERED and fates["ping"] in {Fate.DELIVERED, Fate.ACCEPTED}
        ping = Ping.SILENCE if sure else Ping.UNHEARD
    return broker, replace(daemon, ping=ping, answers=answers)


def _trials(topics: Topics, key: str, answer_bytes: int) -> dict[str, Outbound]:
    reply = topics.reply(key)
    nobody = CommandResponse(status="ok", id=key).model_dump_json(exclude_none=True).encode()
    text = {"type": "doctor", "id": key}
    return {
        "reply": Outbound(reply, json.dumps(text).encode()),
        "response": Outbound(topics.response(_NO_COMMAND), nobody),
        "ping": Outbound(topics.command("ping"), json.dumps({"id": key}).encode()),
        "large": Outbound(reply, json.dumps({**text, "text": " " * answer_bytes}).encode()),
    }


def _heard(sight: Sight, message: Outbound) -> bool:
    return any(each.topic == message.topic and each.payload == message.payload for each in sight.heard)


def _fate(sight: Sight, name: str, message: Outbound) -> Fate:
    if _heard(sight, message):
        return Fate.DELIVERED
    if name in sight.rejected:
        return Fate.REFUSED
    if name in sight.acknowledged:
        return Fate.ACCEPTED if sight.protocol == "5" and sight.max_qos else Fate.SWALLOWED
    return Fate.UNANSWERED


def _is_retained_prompt(message: Inbound, topics: Topics) -> bool:
    return message.retained and isinstance(topics.parse(message.topic), PromptTopic | DecideTopic)


def _left_behind(name: Name, topics: Topics, heard: Iterable[Inbound]) -> tuple[str, ...]:
    remains = Remains(name, topics.root)
    for message in heard:
        remains.hear(message)
    if remains.verdict() not in {Verdict.OURS, Verdict.ONLINE}:
        return ()
    return (*([] if remains.config is None else [remains.config]), *remains.held)
