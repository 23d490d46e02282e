"""Has a running daemon serve another model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from edgeassist.cli.connect import connect
from edgeassist.client.asynchronous import MODEL_S
from edgeassist.errors import BrokerError, error_for
from edgeassist.protocol.state import Availability
from edgeassist.settings import Settings

# A box without a broker is told soon that there is none.
_CONNECT_S = 3.0


def switch_now(
    settings: Settings, name: str, on_progress: Callable[[dict[str, Any]], None]
) -> dict[str, Any] | None:
    """Have the daemon serve another model from now on; return its answer, None where there is no daemon.

    Args:
        settings: Name broker and device.
        name: As the command `model` takes it (docs/protocol.md).
        on_progress: Called with what the daemon says on the way.

    Raises:
        EdgeAssistError: The daemon can't serve it, and says why; it serves the model before.
    """
    return asyncio.run(_switch(settings, name, on_progress))


async def _switch(
    settings: Settings, name: str, on_progress: Callable[[dict[str, Any]], None]
) -> dict[str, Any] | None:
    client = connect(settings, connect_s=_CONNECT_S)
    try:
        await client.connect()
    except BrokerError:
        return None
    try:
        if await client.availability() is not Availability.ONLINE:
            return None
        response = await client.command("model", MODEL_S, on_progress, action="use", model=name)
    finally:
        await client.close()
    if response.error is not None:
        raise error_for(response.error.code, response.error.message)
    return dict(response.data or {})
