"""The table of `edgeassist fleet` at the widths of terminals."""

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from edgeassist.cli.fleet_table import fleet_table, remark_lines
from edgeassist.fleet.survey import Remark, Survey
from edgeassist.protocol.fleet import BoxCondition, BoxState

NOW = 10_000.0
LONG = "living-room-raspberry-pi-5-16gb"
MODEL = "Qwen2.5-Coder-0.5B-Instruct-Q4_K_M (32k context)"
TELEMETRY = {"decode_tokens_per_s": {"p50": 11.25}, "ttft_ms": {"p50": 312.0}}
HEALTH = {"cpu_temperature_c": 71.6, "throttled": True}


def box(device: str, **fields: Any) -> BoxState:
    values: dict[str, Any] = {
        "device": device,
        "root": f"edgeassist/{device}",
        "session": f"{device}-fleet",
        "model": MODEL,
        "protocol": 1,
        "state": BoxCondition.ONLINE,
        "slots": 4,
        "since": NOW - 7200,
        "boot_id": "b",
        "version": "1.0",
        **fields,
    }
    return BoxState.model_validate(values)


FOUR = Survey(
    "home",
    (
        box(LONG, running=4, waiting=12, held_back="it is hot"),
        box("pi-2", state=BoxCondition.DRAINING, reason="it was told to"),
        box("pi-3", state=BoxCondition.OFFLINE, since=None, model=None),
        box("pi-4", model="SmolLM2 135M", room=3, running=1),
    ),
)


def shown(
    seen: Survey, width: int, *, color: bool = False, telemetry: Any = TELEMETRY, health: Any = HEALTH
) -> str:
    out = StringIO()
    console = Console(file=out, width=width, force_terminal=color, highlight=False)

    def document(_box: BoxState, name: str) -> dict[str, Any]:
        return dict(telemetry if name == "telemetry" else health)

    console.print(fleet_table(seen, document, NOW, width))
    return out.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_it_fits_the_terminal_and_says_how_each_box_is(width: int) -> None:
    printed = shown(FOUR, width)
    assert max(map(len, printed.splitlines())) <= width
    lines = {line.split()[0]: line for line in printed.splitlines() if line.strip()}
    assert "draining" in lines["pi-2"]
    assert "offline" in lines["pi-3"]
    assert "online" in lines["pi-4"]
    # A long name is broken, never cut.
    assert LONG in "".join(line[:24].split(" ")[0] for line in printed.splitlines())


def test_what_is_left_out_for_want_of_room_is_said() -> None:
    assert "left out for want of room: since" in shown(FOUR, 80)
    wide = shown(FOUR, 200)
    assert "left out" not in wide
    for figure in ("11.2", "312 ms", "72 °C, throttled", "2 h", "4/4"):
        assert figure in wide


def test_what_all_boxes_have_in_common_is_said_once_and_what_differs_has_a_column() -> None:
    alike = shown(Survey("home", FOUR.boxes[:3]), 200)
    assert f"model {MODEL}, version 1.0" in alike
    assert alike.count(MODEL) == 1
    differ = shown(FOUR, 80)
    assert "SmolLM2 135M" in differ
    assert "version 1.0" in differ


def test_what_somebody_else_has_published_in_their_place_is_no_figure() -> None:
    odd = {"decode_tokens_per_s": "fast", "ttft_ms": {"p50": "soon"}}
    printed = shown(FOUR, 120, telemetry=odd, health={"cpu_temperature_c": [1]})
    assert "tokens/s" not in printed
    assert "CPU" not in printed


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan"), 10**400], ids=str)
def test_a_number_that_is_no_figure_is_none_either(number: float) -> None:
    since = None if isinstance(number, int) else number
    seen = Survey("home", (box("pi-1", since=since), box("pi-2", since=NOW - 60)))
    telemetry = {"decode_tokens_per_s": {"p50": number}, "ttft_ms": {"p50": number}}
    printed = shown(seen, 120, telemetry=telemetry, health={"cpu_temperature_c": number})
    assert "tokens/s" not in printed
    assert "CPU" not in printed
    assert "?" in printed


def test_colours_only_repeat_what_words_say() -> None:
    coloured = shown(FOUR, 120, color=True)
    assert "\x1b[32monline" in coloured
    assert "\x1b[33mdraining" in coloured
    assert "\x1b[31moffline" in coloured
    assert "\x1b[33mSmolLM2 135M" in coloured


def test_what_is_serious_is_marked_and_has_its_remedy_below() -> None:
    out = StringIO()
    console = Console(file=out, width=40)
    console.print(remark_lines([Remark("nobody [is] there", "start a box", serious=True), Remark("b", "c")]))
    assert [line.rstrip() for line in out.getvalue().splitlines()] == [
        "! nobody [is] there",
        "  → start a box",
        "• b",
        "  → c",
    ]
