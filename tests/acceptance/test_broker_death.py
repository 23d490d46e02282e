"""A broker that is killed under prompts of clients with clean sessions that never ask again."""

from __future__ import annotations

from pathlib import Path

from tests.broker_death import PAHO, SKETCH, count


def test_every_end_is_heard_once_by_clients_that_connect_again_and_do_not_ask_again(tmp_path: Path) -> None:
    tally = count(tmp_path, kills=2, clients=12, delays=(PAHO, PAHO, SKETCH))
    assert (tally.accepted, tally.unheard, tally.doubled, tally.wrong) == (24, 0, 0, 0), tally
    assert tally.codes == {"done": 24}, tally
    assert tally.waits_s, "no end came after the broker's death: nothing was tried"
