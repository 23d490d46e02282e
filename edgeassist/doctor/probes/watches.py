"""Watches, over one connection that listens as the daemon does, and to what the daemon knows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pydantic import ValidationError

from edgeassist.broker import BrokerOptions
from edgeassist.broker.probe import Sight, look
from edgeassist.doctor.checks.watches import WatchSnapshot
from edgeassist.errors import EdgeAssistError
from edgeassist.protocol.filters import levels_of, matches
from edgeassist.protocol.packets import Inbound, Outbound
from edgeassist.protocol.topics import Topics
from edgeassist.protocol.watches import WatchState

# How long to listen for what is retained.
_LISTEN_S = 0.5


async def probe_watches(
    options: BrokerOptions, topics: Topics, watches: Mapping[str, Sequence[str]]
) -> list[WatchSnapshot] | None:
    """Listen to the topics of all watches; None where the broker can't be looked at so.

    It is a connection of its own, because some brokers end one over a filter that they refuse.

    Args:
        options: The daemon's, but with another client id.
        topics: The device's.
        watches: The filters of each watch, by its name.
    """
    filters = list(dict.fromkeys(each for filters in watches.values() for each in filters))
    loop = asyncio.get_running_loop()
    until = float("inf")

    def say(_sight: Sight) -> Mapping[str, Outbound]:
        nonlocal until
        until = loop.time() + _LISTEN_S
        return {}

    def keep(message: Inbound) -> Inbound:
        ours = message.topic.startswith(topics.watch(""))
        return message if ours or not message.payload else replace(message, payload=b"-")

    try:
        sight = await look(
            options,
            filters=[*filters, topics.watch_filter],
            say=say,
            enough=lambda _sight: loop.time() > until,
            keep=keep,
        )
    except EdgeAssistError:
        return None
    if sight.lost is not None or not (sight.granted or sight.refused):
        return None
    return [_snapshot(name, filters, sight, topics) for name, filters in watches.items()]


def _snapshot(name: str, filters: Sequence[str], sight: Sight, topics: Topics) -> WatchSnapshot:
    heard = [message.topic.split("/") for message in sight.heard if message.payload]
    snapshot = WatchSnapshot(
        name,
        len(filters),
        refused={place: sight.refused[each] for place, each in enumerate(filters) if each in sight.refused},
        retained=sum(any(matches(levels_of(each), parts) for parts in heard) for each in filters),
    )
    for message in sight.heard:
        if message.topic != topics.watch(name):
            continue
        try:
            state = WatchState.model_validate_json(message.payload)
        except ValidationError:
            continue
        snapshot = replace(
            snapshot,
            said=True,
            unknown=any(each.choice is None for each in state.answers.values()),
            reason=state.reason,
            state_at=state.state_at,
        )
    return snapshot
