"""Several boxes in one list, a line each. Sans-I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.text import Text

from edgeassist import harmless
from edgeassist.protocol.fleet import BoxCondition
from edgeassist.protocol.state import Availability
from edgeassist.sight import words
from edgeassist.sight.box import Box
from edgeassist.sight.reading import HealthSeen, TelemetrySeen
from edgeassist.top.rows import LOAD_STEP_S
from edgeassist.top.sparks import spark

_STYLES = {"ready": "green", "busy": "green", "degraded": "red"}
_MOST_NAME = 24
_STATE = len("never seen")
_BARS = 8
_GAP = "  "


def state_of(box: Box) -> tuple[str, str]:
    """Return how a box is in a word or two, and in which style."""
    if not box.online:
        if box.said is Availability.OFFLINE or box.health is not None:
            return "offline", "red"
        return words.NEVER_SEEN, "red"
    if box.member is not None and box.member.state is BoxCondition.DRAINING:
        return "draining", "yellow"
    state = (box.health.state if box.health else None) or "online"
    return state, _STYLES.get(state, "yellow")


def overview(
    boxes: Sequence[Box], chosen: int | None, *, width: int, most: int, now: float, left_out: int = 0
) -> list[Text]:
    """Return a line about all boxes, and one about each.

    Args:
        boxes: What is known of each.
        chosen: The number of the one that is marked; None: none is.
        width: In cells; columns are left out from the right where it is too small.
        most: The most lines of boxes, around the one that is marked.
        now: The time, by the clock that `Box` hears.
        left_out: How many boxes more there are.
    """
    able = sum(box.able for box in boxes)
    present = [box.health for box in boxes if box.online and box.health]
    running, queued = (sum(getattr(each, name) or 0 for each in present) for name in ("running", "queued"))
    head = Text(f"{able} of {len(boxes)} boxes can answer, {running} run, {queued} wait", style="bold")
    begin = max(0, min((chosen or 0) - most // 2, len(boxes) - most))
    shown = range(begin, min(len(boxes), begin + most))
    if len(shown) < len(boxes):
        head.append(f"  ({shown[0] + 1} to {shown[-1] + 1} of {len(boxes)})", style="dim")
    if left_out:
        head.append(f"  {left_out} more are not shown", style="yellow")
    names = min(_MOST_NAME, max(Text(harmless.line(box.device)).cell_len for box in boxes))
    return [head, *(_line(boxes[number], names, width, now, marked=number == chosen) for number in shown)]


def _line(box: Box, names: int, width: int, now: float, *, marked: bool) -> Text:
    name = Text(harmless.line(box.device), style="bold" if marked else "")
    name.truncate(names, overflow="ellipsis", pad=True)
    line = Text("▶ " if marked else "  ").append_text(name)
    state, style = state_of(box)
    line.append(f"{_GAP}{harmless.line(state)[:_STATE]:{_STATE}}", style=style)
    health, telemetry = box.health or HealthSeen(), box.telemetry or TelemetrySeen()
    if not box.online or box.health is None:
        line.rstrip()
        return line
    bars = spark(box.history.load.over_time(now, cells=_BARS, step_s=LOAD_STEP_S), least=2.0)
    for columns, told in _COLUMNS:
        text = bars if told is None else told(box, health, telemetry)
        if line.cell_len + len(_GAP) + columns > width:
            break
        line.append(f"{_GAP}{text:>{columns}}", style="green" if told is None else "")
    return line


def _load(_box: Box, health: HealthSeen, _telemetry: TelemetrySeen) -> str:
    return f"{health.running or 0} run {health.queued or 0} wait"


def _rate(box: Box, _health: HealthSeen, telemetry: TelemetrySeen) -> str:
    median = telemetry.decode_tokens_per_s.p50 if telemetry.decode_tokens_per_s else None
    known = [box.rate, box.history.rate.last if box.hears_ends else None, median]
    value = next((each for each in known if each is not None), None)
    return "" if value is None else f"{words.rate(value)} tok/s"


def _first(box: Box, _health: HealthSeen, telemetry: TelemetrySeen) -> str:
    median = telemetry.ttft_ms.p50 if telemetry.ttft_ms else None
    value = box.history.first.last if box.hears_ends else median
    return "" if value is None else words.latency(value)


def _heat(_box: Box, health: HealthSeen, _telemetry: TelemetrySeen) -> str:
    return "" if health.cpu_temperature_c is None else words.heat(health.cpu_temperature_c)


# Each with its width, the important first; None: the bars of what ran and waited.
_COLUMNS: tuple[tuple[int, Callable[[Box, HealthSeen, TelemetrySeen], str] | None], ...] = (
    (len("10 run 10 wait"), _load),
    (len("1,000 tok/s"), _rate),
    (_BARS, None),
    (len("10,000 ms"), _first),
    (len("100 °C"), _heat),
)
