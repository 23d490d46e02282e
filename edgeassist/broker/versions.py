"""Whether a broker takes only the other version of MQTT.

One that knows only 3.1.1 refuses MQTT 5, or hangs up on it without a word, and so does what stands before a
broker that is being restarted. So both versions are tried, one after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from edgeassist.broker.options import BrokerOptions, tls_context
from edgeassist.broker.reasons import Reason
from edgeassist.broker.wire import Wire, connect_client, make_client
from edgeassist.errors import ConfigurationError

# How long the broker may take to answer one CONNECT.
GREET_S = 3.0
# How long it may be silent before the other version is tried too, and how much longer once that was answered.
SILENT_S, STILL_SILENT_S = 1.5, 1.0
_CLOSE_S = 1.0


def other_version(options: BrokerOptions) -> BrokerOptions:
    """Return the same options, for the other version."""
    return replace(options, protocol="3.1.1" if options.protocol == "5" else "5")


async def takes_only_other(options: BrokerOptions) -> bool:
    """Whether the broker answers the other version, and a moment later still not the one of the options."""
    return await greets(other_version(options)) and not await greets(options)


async def swallows(options: BrokerOptions, greeted: Callable[[], bool]) -> bool:
    """Whether a broker that has our CONNECT answers one of the other version, sent later, and not ours.

    Args:
        options: Of ours.
        greeted: Whether ours is answered by now.
    """
    await asyncio.sleep(SILENT_S)
    if greeted() or not await greets(other_version(options)):
        return False
    await asyncio.sleep(STILL_SILENT_S)
    return not greeted()


async def greets(options: BrokerOptions) -> bool:
    """Whether the broker answers a CONNECT of this version, if only by a refusal.

    Takes GREET_S seconds at most. Connects under another client id, which leaves our session alone.
    """
    feeler = replace(options, client_id=f"{options.client_id}-version", will=None, session_expiry_s=0)
    told: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def handle_connect(_client: Any, _data: Any, _flags: Any, reason: Any, _props: Any) -> None:
        if not told.done():
            told.set_result(reason.value != Reason.UNSUPPORTED_PROTOCOL_VERSION)

    try:
        tls = None if options.tls is None else tls_context(options.tls)
        client = make_client(feeler, tls, connect_timeout_s=GREET_S)
        client.on_connect = handle_connect
        wire = Wire(client)
        async with asyncio.timeout(GREET_S):
            await wire.connect(partial(connect_client, client, feeler))
    except (OSError, UnicodeError, ConfigurationError):
        return False
    serving = asyncio.create_task(wire.serve(), name="mqtt-version")
    try:
        ends: list[asyncio.Future[Any]] = [serving, told]
        await asyncio.wait(ends, timeout=GREET_S, return_when=asyncio.FIRST_COMPLETED)
        return told.done() and told.result()
    finally:
        client.disconnect()
        await asyncio.wait([serving], timeout=_CLOSE_S)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
