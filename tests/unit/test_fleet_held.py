from typing import Any

import pytest

from edgeassist.fleet.load import Load
from edgeassist.fleet.routing import Search
from edgeassist.gateways.fleet.held import SETTLED, Held, HeldRequests
from edgeassist.gateways.fleet.offers import Offer, parse_offer
from edgeassist.gateways.mqtt.destination import ReplyTo
from edgeassist.protocol.fleet import MAX_WORDS, words
from edgeassist.protocol.packets import Inbound
from edgeassist.protocol.requests import PromptRequest
from edgeassist.serving.caller import Caller, Key


def held(name: str, packet: int = 1, **fields: Any) -> Held:
    message = Inbound("t", name.encode(), packet_id=packet, qos=1)
    asked = PromptRequest(id=name, prompt="x", **fields)
    return Held(message, Caller("c", name.encode()), asked, ReplyTo("r"), "c", 0, Search.NONE, None, [])


def test_the_more_urgent_ones_come_first_and_then_the_older_ones() -> None:
    requests = HeldRequests()
    for name, priority in (("a", "low"), ("b", "normal"), ("c", "high"), ("d", "normal")):
        requests.add(held(name, priority=priority))
    assert [each.asked.id for each in requests if each.asked] == ["c", "b", "d", "a"]


def test_what_is_delivered_again_is_known_while_it_is_held_and_after_it_is_settled() -> None:
    requests = HeldRequests()
    one = held("a", packet=7)
    acknowledged: list[str] = []
    one.receipts += [lambda: acknowledged.append("first"), lambda: acknowledged.append("again")]
    requests.add(one)
    assert requests.delivered_again((7, b"a")) is one
    assert requests.delivered_again((7, b"b")) is None
    requests.settle(one)
    assert (acknowledged, one.settled, len(requests)) == (["first", "again"], True, 0)
    assert requests.was_settled((7, b"a"))
    for number in range(SETTLED):
        requests.settle(held("x", packet=number))
    assert not requests.was_settled((7, b"a"))


def test_packet_ids_mean_nothing_once_the_broker_has_lost_the_session() -> None:
    requests = HeldRequests()
    answered, runs = held("a", packet=1), held("b", packet=2)
    for each in (answered, runs):
        requests.add(each)
    requests.settle(answered)
    requests.session_lost()
    assert requests.delivered_again((2, b"b")) is None
    assert not requests.was_settled((1, b"a"))
    assert list(requests) == [runs]


def test_what_is_forgotten_is_not_acknowledged() -> None:
    requests = HeldRequests()
    one = held("a")
    one.receipts.append(pytest.fail)
    requests.add(one)
    assert requests.find(Key("c", "a")) is one
    requests.forget(one)
    assert requests.find(Key("c", "a")) is None
    assert not one.settled
    assert not requests.was_settled(one.delivery)


def test_a_repeat_of_what_has_been_ended_is_not_taken_for_one_of_what_is_being_answered() -> None:
    """Its client may have missed the end, which the broker may not even have acknowledged."""
    requests = HeldRequests()
    one = held("a")
    requests.add(one)
    one.ended = True
    assert requests.find(Key("c", "a")) is None
    assert requests.delivered_again(one.delivery) is one


@pytest.mark.parametrize(
    ("load", "room"),
    [
        (Load(slots=4, running=1, waiting=1), 2),
        (Load(slots=4, running=4, waiting=3), 0),
        (Load(slots=4, held_back="it is hot"), 1),
        (Load(slots=4, running=1, held_back="it is hot"), 0),
        (Load(slots=4, problem="no model"), 0),
        (Load(), 0),
    ],
)
def test_a_box_has_room_for_what_it_would_start_at_once(load: Load, room: int) -> None:
    assert load.room == room


def test_an_offer_is_read_as_it_was_written_and_nothing_else_is_one() -> None:
    assert parse_offer(Offer("a", 3).encode()) == Offer("a", 3)
    for payload in (b"", b"{}", b'{"device":"a","room":0}', b'{"device":"a","room":9999}', b"[" * 99_999):
        assert parse_offer(payload) is None


def test_words_of_a_state_are_short_and_without_control_characters() -> None:
    assert words(None) is None
    assert words("a\nb\x1b[31mc") == "a b [31mc"
    assert words("x" * 1000) == "x" * MAX_WORDS
