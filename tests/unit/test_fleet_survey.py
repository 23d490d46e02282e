from typing import Any

import pytest

from edgeassist.fleet.survey import Survey, remarks, survey
from edgeassist.protocol.fleet import BoxState
from edgeassist.protocol.state import PROTOCOL_VERSION

NOW = 1_800_000_000.0


def box(device: str, **fields: Any) -> BoxState:
    values = {
        "device": device,
        "root": f"edgeassist/{device}",
        "session": f"edgeassist-{device}-fleet",
        "model": "Tiny",
        "protocol": PROTOCOL_VERSION,
        "state": "online",
        "since": NOW - 100,
        "boot_id": device,
        "version": "1",
        "mqtt": "5",
        **fields,
    }
    return BoxState.model_validate(values)


def seen(*boxes: BoxState) -> Survey:
    return survey("home", {each.device: each.model_dump_json().encode() for each in boxes})


def said(what: Survey) -> list[tuple[bool, str]]:
    return [(each.serious, each.text) for each in remarks(what, NOW)]


def test_of_a_fleet_that_is_as_it_should_be_nothing_is_said() -> None:
    assert said(seen(box("a"), box("b"), box("c", state="offline", since=None, empty=True))) == []


def test_boxes_come_in_the_order_of_their_names_and_a_state_that_was_taken_away_is_none() -> None:
    states = {each.device: each.model_dump_json().encode() for each in (box("b"), box("a"))}
    found = survey("home", {**states, "c": b""})
    assert [each.device for each in found.boxes] == ["a", "b"]
    assert found.unreadable == ()


@pytest.mark.parametrize(
    ("boxes", "text", "serious"),
    [
        ([], "nobody is in the fleet 'home'", True),
        ([box("a", state="offline", empty=True)], "none of its 1 boxes takes requests", True),
        (
            [box("a"), box("b", model="Large"), box("c")],
            "its boxes have different models, so answers depend on who gives them: a and c: Tiny; b: Large",
            False,
        ),
        (
            [box("a"), box("b", mqtt="3.1.1"), box("c", state="offline", mqtt=None, empty=True)],
            "its boxes speak different versions of MQTT, and only with 5 Response Topic and Correlation Data "
            "come to them: a: 5; b: 3.1.1",
            False,
        ),
        (
            [box("a"), box("b", protocol=PROTOCOL_VERSION + 1)],
            f"its boxes speak different versions of the wire contract: a: {PROTOCOL_VERSION}; "
            f"b: {PROTOCOL_VERSION + 1}",
            False,
        ),
        (
            [box("a", protocol=9), box("b", protocol=9)],
            f"its boxes speak version 9 of the wire contract, and this program {PROTOCOL_VERSION}",
            False,
        ),
        ([box("a"), box("b", state="draining", reason="no model")], "b takes nothing new: no model", False),
        (
            [box("a"), box("b", state="offline")],
            "b is offline, and the broker may keep requests for it that nobody takes over",
            False,
        ),
        (
            [box("a"), box("b", state="offline", adopter="a")],
            "b is offline, and the broker may keep requests for it: a takes them over",
            False,
        ),
        (
            [box("a", session="pi-fleet"), box("b", session="pi-fleet")],
            "a and b connect with the same client id, 'pi-fleet', and so end each other's connection",
            True,
        ),
        ([box("a", since=NOW + 3600)], "the clock of a is 3600 s ahead of this machine's, or more", False),
    ],
)
def test_what_is_not_as_it_should_be_is_said(boxes: list[BoxState], text: str, *, serious: bool) -> None:
    found = [each for each in said(seen(*boxes)) if each[1].startswith(text)]
    assert [each[0] for each in found] == [serious]


def test_a_model_or_version_of_a_box_that_is_gone_is_no_difference() -> None:
    gone = box("b", state="offline", model="Large", protocol=7, empty=True)
    assert said(seen(box("a"), gone)) == []


@pytest.mark.parametrize("payload", [b"\xff", b"{}", b"[" * 100_000, b'{"device": "a"}'])
def test_what_is_no_state_document_is_said_and_counts_for_nobody(payload: bytes) -> None:
    found = survey("home", {"a": box("a").model_dump_json().encode(), "b": payload})
    assert found.unreadable == ("b",)
    assert said(found) == [(False, "what b says of itself can't be read")]


def test_a_box_that_speaks_on_the_topic_of_another_is_not_taken_for_that() -> None:
    found = survey("home", {"a": box("b").model_dump_json().encode()})
    assert found.boxes == ()
    assert found.unreadable == ("a",)


def test_the_serious_comes_first_and_there_is_something_to_do_for_each() -> None:
    bad = seen(
        box("a", model="x", session="s", since=NOW + 99),
        box("b", protocol=7, session="s", state="draining"),
        box("c", state="offline"),
    )
    found = remarks(bad, NOW)
    assert [each.serious for each in found] == [True, False, False, False, False, False]
    assert all(each.remedy for each in found)
