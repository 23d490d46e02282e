"""What `edgeassist top` shows, at several sizes."""

import re
from collections.abc import Sequence

import pytest

from edgeassist import harmless
from edgeassist.protocol.fleet import BoxCondition, BoxState
from edgeassist.protocol.state import State
from edgeassist.sight.box import Box
from edgeassist.sight.reading import EndSeen, RequestsSeen
from edgeassist.top.page import View, page, snapshot
from edgeassist.top.painter import Painter
from edgeassist.top.sparks import spark
from tests.unit.seen import box, health
from tests.unit.test_harmless import HOSTILE

SIZES = [(80, 24), (40, 12), (120, 40), (20, 5), (10, 2), (1, 1)]
NOW = 40.5
LISTED = {
    "requests": [
        {"id": "a1", "client": "kitchen", "state": "running", "age_s": 3.2, "completion_tokens": 41},
        {"id": "b2", "client": "", "state": "running", "age_s": 0.4, "prompt_tokens": 900, "processed": 512},
        {"id": "c3", "client": "hall", "state": "waiting", "age_s": 0.1},
    ]
}


def lines_of(boxes: Sequence[Box], width: int, height: int, view: View | None = None) -> list[str]:
    lines = page(view or View(), boxes, width=width, height=height, now=NOW)
    assert len(lines) == height
    assert all(line.cell_len <= width for line in lines)
    return [line.plain.rstrip() for line in lines]


def house() -> list[Box]:
    attic, cellar = box("attic"), box("cellar", state=State.DEGRADED, reason="the model is gone")
    attic.member = BoxState(
        device="attic",
        root="edgeassist/attic",
        session="s",
        protocol=1,
        state=BoxCondition.DRAINING,
        boot_id="b",
        version="0.1.0",
    )
    return [attic, cellar, Box("shed", "edgeassist/shed")]


def test_a_device_on_a_usual_terminal() -> None:
    seen = box()
    seen.hear_requests(RequestsSeen.model_validate(LISTED), 40.0)
    assert lines_of([seen], 80, 24) == [
        "edgeassist/pi  ● busy  up 2 d 4 h  0.1.0",
        "model        Qwen2.5 0.5B Instruct  Q4_K_M  llama  context 4,096  491 MB",
        "requests     2 of 4 run, 1 wait, 1,234 answered, 12 decisions  ▁▃▃▃▃▃▆▆▆▆▆▆▆▆▆▆█",
        "tokens/s     30.5 median                                                       █",
        "first token  118 ms median, 1,204 ms p95                                       █",
        "threads      4 threads: one for each of 4 cores",
        "CPU          71.5 °C, 2400 MHz                                             ▄▅▆▇▇",
        "memory       engine 612 MiB, daemon 53 MiB                                 █████",
        "free         memory 3100 MiB, disk 53.0 GiB",
        "work waits   cpu 12 %, memory 0 %, io 1 % of the last 10 s",
        "errors       8  cancelled 6, busy 2",
        "durable      yes",
        "watch        window  open yes (93%)",
        "             running  kitchen/a1  3 s  41 tokens",
        "             running  (shared)/b2  0 s  reads 512 of 900 tokens",
        "             waiting  hall/c3  0 s",
        *[""] * 7,
        " q  quit   p  pause   ?  help",
    ]


def test_a_small_terminal_keeps_what_is_important_and_says_that_there_is_more() -> None:
    why = "2 of 4 threads: other programs use 2.1 of 4 cores"
    seen = box(threads_reason=why, reason="another daemon has the same name")
    assert lines_of([seen], 40, 12) == [
        "edgeassist/pi  ● busy  up 2 d 4 h  0.1.0",
        "why          another daemon has the same",
        "             name",
        "requests     2 of 4 run, 1 wait",
        "tokens/s     30.5 median               █",
        "first token  118 ms median             █",
        "threads      2 of 4 threads: other",
        "             programs use 2.1 of 4 cores",
        "CPU          71.5 °C, 2400 MHz     ▄▅▆▇▇",
        "memory       engine 612 MiB        █████",
        "errors       8  cancelled 6, busy 2",
        " q  quit   p  pause   ?  help   5 rows …",
    ]


def test_what_holds_the_processor_back_stays_beside_its_temperature() -> None:
    lines = lines_of([box(throttled=True, under_voltage_since_start=True)], 80, 24)
    assert next(line for line in lines if line.startswith("CPU")) == (
        "CPU          71.5 °C, 2400 MHz  throttled  under voltage before            ▄▅▆▇▇"
    )


def test_a_device_without_sensors_or_answers_is_shown_all_the_same() -> None:
    seen = Box("pi", "edgeassist/pi")
    seen.hear_status(b"online", 0.0)
    seen.hear_health(b'{"state": "loading"}', 0.0, retained=True)
    assert lines_of([seen], 80, 24)[:8] == [
        "edgeassist/pi  ● loading",
        "model        none",
        f"requests     0 run, 0 wait{'▁' * 21:>54}",
        "tokens/s     no answer yet",
        "first token  no answer yet",
        "threads      unknown",
        "memory       no engine",
        "errors       none",
    ]


def test_boxes_are_listed_above_the_one_that_is_chosen() -> None:
    view = View(selected="edgeassist/cellar")
    lines = lines_of(house(), 80, 24, view)
    assert lines[:6] == [
        "1 of 3 boxes can answer, 4 run, 2 wait",
        "  attic   draining      2 run 1 wait   30.5 tok/s  ▆▆▆▆▆▆▆█     118 ms   72 °C",
        "▶ cellar  degraded      2 run 1 wait   30.5 tok/s  ▆▆▆▆▆▆▆█     118 ms   72 °C",
        "  shed    never seen",
        "edgeassist/cellar  ● degraded  up 2 d 4 h  0.1.0",
        "why          the model is gone",
    ]
    assert lines_of(house(), 40, 12, view)[2] == "▶ cellar  degraded      2 run 1 wait"
    view.move(house(), 1)
    assert lines_of(house(), 80, 24, view)[4] == (
        "edgeassist/shed  ● never seen: is its daemon running, and is this its broker?"
    )
    view.move(house(), 1)
    assert lines_of(house(), 80, 24, view)[1].startswith("▶ attic")


def test_of_many_boxes_those_around_the_chosen_one_are_listed() -> None:
    boxes = [box(f"pi-{number:02}") for number in range(20)]
    lines = lines_of(boxes, 80, 24, View(selected="edgeassist/pi-15"))
    assert lines[0].endswith("(12 to 19 of 20)")
    assert [line[2:7] for line in lines[1:9]] == [f"pi-{number}" for number in range(11, 19)]
    assert lines[9].startswith("edgeassist/pi-15")


def test_a_device_that_is_gone_says_so() -> None:
    seen = box()
    seen.hear_status(b"offline", 41.0)
    lines = lines_of([seen], 80, 24)
    assert lines[:2] == ["edgeassist/pi  ● offline  0.1.0", "note         the rest is what it said last"]


def test_a_device_that_is_silent_or_has_a_stale_status_says_so() -> None:
    seen = box()
    seen.hear_status(b"offline", 41.0)
    seen.hear_health(health(), 42.0, retained=False)
    told = [line.plain for line in page(View(), [seen], width=80, height=24, now=200.0)]
    assert told[1].startswith("note         it speaks, though the broker keeps another status of it")
    assert "note         silent for 2 min" in told


def test_a_broker_that_is_gone_stands_above_all() -> None:
    lost = View(problem="the connection to 127.0.0.1:1883 was lost: it hung up")
    lines = lines_of([box()], 40, 12, lost)
    assert " ".join(lines[:3]) == f"no connection to the broker: {lost.problem}"
    assert lines[3].startswith("edgeassist/pi")


def test_a_picture_that_stands_still_says_so_and_the_help_tells_how_it_goes_on() -> None:
    assert lines_of([box()], 80, 24, View(paused=True))[-1] == " q  quit   p  go on   ?  help   paused"
    told = lines_of([box()], 80, 24, View(help=True))
    assert told[0] == "q            quit; Ctrl-C does, too"
    assert told[-1] == " q  quit   p  pause   ?  help"


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("view", [View(), View(help=True), View(problem=HOSTILE), View(paused=True)])
def test_every_size_is_kept_to_and_nothing_in_it_is_a_command(width: int, height: int, view: View) -> None:
    hostile = Box(HOSTILE, f"edgeassist/{HOSTILE}")
    hostile.hear_status(b"online", 0.0)
    said = health(reason=HOSTILE, model=HOSTILE, threads_reason=HOSTILE, version=HOSTILE, fleet=HOSTILE)
    hostile.hear_health(said, 0.0, retained=False)
    hostile.hear_watch(HOSTILE, b'{"answers": {"\\u001b[2J": {"choice": "\\u009b2J"}}, "reason": "\\u0007"}')
    hostile.hear_end(EndSeen.model_validate({"type": "error", "code": HOSTILE}), 0.0)
    listed = {"requests": [{"id": HOSTILE, "client": HOSTILE, "state": HOSTILE}]}
    hostile.hear_requests(RequestsSeen.model_validate(listed), 0.0)
    boxes = [hostile, *house()]
    shown = page(view, boxes, width=width, height=height, now=NOW)
    assert len(shown) == height
    for line in [*shown, *snapshot(boxes, width=width, now=NOW)]:
        assert harmless.line(line.plain) == line.plain
    assert all(line.cell_len <= width for line in shown)


def test_a_snapshot_has_all_of_all_boxes_and_no_history() -> None:
    told = [line.plain for line in snapshot(house(), width=80, now=NOW)]
    assert told[0] == "1 of 3 boxes can answer, 4 run, 2 wait"
    more = snapshot(house(), width=80, now=NOW, left_out=12)
    assert more[0].plain == "1 of 3 boxes can answer, 4 run, 2 wait  12 more are not shown"
    assert sum(line.startswith("edgeassist/") for line in told) == 3
    assert "requests     2 of 4 run, 1 wait, 1,234 answered, 12 decisions" in told
    assert "watch        window  open yes (93%)" in told


def test_bars_begin_at_their_lowest_and_small_changes_stay_small() -> None:
    assert spark([0, 1, 2, None, 8]) == "▁▂▃ █"
    assert spark([30.0, 31.0], low=30.0, least=50.0) == "▁▁"
    assert spark([None, None]) == "  "


# --- painting -----------------------------------------------------------------------------------------------


def test_only_what_is_different_is_painted() -> None:
    painter = Painter({"TERM": "xterm-256color"})
    seen = box()
    first = painter.paint(page(View(), [seen], width=80, height=24, now=NOW))
    assert first.startswith(b"\x1b[H\x1b[2J\x1b[1;1H")
    assert painter.paint(page(View(), [seen], width=80, height=24, now=NOW)) == b""
    seen.hear_health(health(cpu_temperature_c=72.0), 40.2, retained=False)
    changed = painter.paint(page(View(), [seen], width=80, height=24, now=NOW))
    assert changed.startswith(b"\x1b[7;1H")
    assert "72.0 °C".encode() in changed
    assert changed.count(b"\x1b[K") == 1
    painter.forget()
    assert len(painter.paint(page(View(), [seen], width=80, height=24, now=NOW))) > 10 * len(changed)


def test_without_colour_there_is_none() -> None:
    lines = page(View(problem="gone"), house(), width=80, height=24, now=NOW)
    coloured = Painter({"TERM": "xterm-256color"}).paint(lines)
    assert re.search(rb"\x1b\[31m", coloured)
    plain = Painter({"TERM": "xterm-256color", "NO_COLOR": "1"}).paint(lines)
    assert not re.search(rb"\x1b\[[\d;]*\b(3\d|4\d|9\d)[\d;]*m", plain)
    # What is chosen, and the keys, are still told apart.
    assert b"\x1b[1m" in plain
    assert b"\x1b[7m" in plain


def test_a_terminal_that_knows_no_blocks_gets_others() -> None:
    painter = Painter({"TERM": "xterm"}, encoding="latin-1")
    shown = painter.paint(page(View(), house(), width=80, height=24, now=NOW)).decode("latin-1")
    assert "?" not in shown.replace(" ? ", "")
    assert "71.5 °C" in shown
