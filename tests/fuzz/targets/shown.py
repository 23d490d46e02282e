"""What `top` and `status` show of a device, whatever stands on its topics."""

from __future__ import annotations

import io
from collections.abc import Sequence

from edgeassist import harmless
from edgeassist.cli.consoles import Console
from edgeassist.cli.status import table_of
from edgeassist.protocol.state import Availability
from edgeassist.sight.box import Box
from edgeassist.sight.reading import EndSeen, RequestsSeen
from edgeassist.top.page import View, page, snapshot
from tests.fuzz.target import FaultError, Parser
from tests.fuzz.targets.mqtt import events
from tests.unit.seen import INFO, WATCH, health, telemetry

_SIZES = ((80, 24), (40, 12), (7, 3))
_LISTED = b'{"requests": [{"id": "a", "client": "k", "state": "running", "completion_tokens": 4}]}'


def _shown(data: bytes) -> object:
    seen = Box("pi", "edgeassist/pi")
    seen.hear_status(b"online", 0.0)
    seen.hear_health(data, 1.0, retained=False)
    seen.hear_telemetry(data, 1.0, retained=False)
    seen.hear_info(data)
    seen.hear_watch("x", data)
    if (end := EndSeen.read(data)) is not None:
        seen.hear_end(end, 1.0)
    for at in (1.0, 2.0):
        seen.hear_requests(RequestsSeen.read(data), at)
    for width, height in _SIZES:
        lines = page(View(), [seen], width=width, height=height, now=3.0)
        if len(lines) != height or any(line.cell_len > width for line in lines):
            raise FaultError(f"it does not fit {width} x {height}")
        for line in (*lines, *snapshot([seen], width=width, now=3.0)):
            if harmless.line(line.plain) != line.plain:
                raise FaultError(f"{line.plain!r} is a command to the terminal")
    payloads = dict.fromkeys(("health", "telemetry", "info", "watch x"), data)
    printed = io.StringIO()
    Console(file=printed, width=80).print(
        table_of("edgeassist/pi", Availability.ONLINE, Availability.ONLINE, payloads)
    )
    if harmless.lines(printed.getvalue()) != printed.getvalue():
        raise FaultError(f"{printed.getvalue()!r} is a command to the terminal")
    return seen.able, seen.info is None, len(seen.watches), bool(seen.requests)


def targets() -> Sequence[Parser]:
    """Return it."""
    return [Parser("shown", _shown, lambda: [health(), telemetry(), INFO, WATCH, _LISTED, *events()], ())]
