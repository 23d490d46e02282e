from dataclasses import replace

import pytest

from edgeassist.errors import InvalidRequestError
from edgeassist.serving.conversation import Bounds, Conversations, Exchange


def exchange(number: int) -> Exchange:
    return Exchange(f"question {number}", f"answer {number}")


def conversations(*, count: int = 3, turns: int = 3, expire_s: float = 60) -> Conversations:
    return Conversations(Bounds(count, turns, expire_s))


def test_a_new_conversation_remembers_nothing() -> None:
    assert conversations().recall("a", 0) == []


def test_a_conversation_remembers_its_turns_oldest_first() -> None:
    room = conversations()
    for number in (1, 2):
        room.remember("a", exchange(number), number)
    assert room.recall("a", 3) == [exchange(1), exchange(2)]
    assert room.recall("b", 3) == []


def test_what_was_recalled_does_not_change_with_the_conversation() -> None:
    room = conversations()
    room.remember("a", exchange(1), 0)
    recalled = room.recall("a", 1)
    room.remember("a", exchange(2), 2)
    recalled.clear()
    assert room.recall("a", 3) == [exchange(1), exchange(2)]


def test_the_oldest_turn_makes_room() -> None:
    room = conversations(turns=2)
    for number in (1, 2, 3):
        room.remember("a", exchange(number), 0)
    assert room.recall("a", 0) == [exchange(2), exchange(3)]


def test_the_conversation_that_was_not_used_for_longest_makes_room() -> None:
    room = conversations(count=2)
    room.remember("a", exchange(1), 0)
    room.remember("b", exchange(2), 1)
    room.remember("a", exchange(3), 2)
    room.remember("c", exchange(4), 3)
    assert room.recall("b", 3) == []
    assert room.recall("a", 3) == [exchange(1), exchange(3)]
    assert room.recall("c", 3) == [exchange(4)]


def test_a_conversation_expires_when_it_was_not_used() -> None:
    room = conversations(expire_s=60)
    room.remember("a", exchange(1), 0)
    room.remember("b", exchange(2), 30)
    assert room.recall("a", 59.9) == [exchange(1)]
    assert room.recall("a", 60) == []
    assert room.recall("b", 60) == [exchange(2)]


def test_a_new_turn_keeps_a_conversation_from_expiring() -> None:
    room = conversations(expire_s=60)
    room.remember("a", exchange(1), 0)
    room.remember("b", exchange(9), 10)
    room.remember("a", exchange(2), 50)
    assert room.recall("b", 100) == []
    assert room.recall("a", 100) == [exchange(1), exchange(2)]


def test_an_expired_conversation_begins_anew() -> None:
    room = conversations(expire_s=60)
    room.remember("a", exchange(1), 0)
    room.remember("a", exchange(2), 100)
    assert room.recall("a", 100) == [exchange(2)]


def test_a_conversation_that_is_known_can_be_resumed() -> None:
    room = conversations()
    room.remember("kitchen/a", exchange(1), 0)
    room.require("kitchen/a", "a", 1)
    with pytest.raises(InvalidRequestError, match=r"the session 'a' is not known.*60 s.*without resume"):
        room.require("hall/a", "a", 1)
    with pytest.raises(InvalidRequestError, match="not known"):
        room.require("kitchen/a", "a", 60)


def test_narrower_bounds_hold_from_the_next_turn_on() -> None:
    room = conversations(count=3, turns=3)
    for key in "abc":
        for number in (1, 2, 3):
            room.remember(key, exchange(number), 0)
    room.bounds = replace(room.bounds, count=1, turns=1)
    room.remember("c", exchange(4), 1)
    assert [room.recall(key, 1) for key in "abc"] == [[], [], [exchange(4)]]
