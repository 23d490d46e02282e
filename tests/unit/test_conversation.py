from dataclasses import replace

import pytest

from edgeassist.engine.messages import ChatMessage
from edgeassist.errors import InvalidRequestError
from edgeassist.serving.conversation import Bounds, Conversations, Turn
from edgeassist.serving.request import Key


def turn(number: int) -> Turn:
    return (ChatMessage("user", f"question {number}"), ChatMessage("assistant", f"answer {number}"))


def turns(*numbers: int) -> list[ChatMessage]:
    return [message for number in numbers for message in turn(number)]


def conversations(*, count: int = 3, turns: int = 3, expire_s: float = 60) -> Conversations:
    return Conversations(Bounds(count, turns, expire_s))


def test_a_new_conversation_remembers_nothing() -> None:
    assert conversations().recall(Key("", "a"), 0) == []


def test_a_conversation_remembers_its_turns_oldest_first() -> None:
    room = conversations()
    for number in (1, 2):
        room.remember(Key("", "a"), turn(number), number)
    assert room.recall(Key("", "a"), 3) == turns(1, 2)
    assert room.recall(Key("", "b"), 3) == []


def test_what_was_recalled_does_not_change_with_the_conversation() -> None:
    room = conversations()
    room.remember(Key("", "a"), turn(1), 0)
    recalled = room.recall(Key("", "a"), 1)
    room.remember(Key("", "a"), turn(2), 2)
    recalled.clear()
    assert room.recall(Key("", "a"), 3) == turns(1, 2)


def test_the_oldest_turn_makes_room() -> None:
    room = conversations(turns=2)
    for number in (1, 2, 3):
        room.remember(Key("", "a"), turn(number), 0)
    assert room.recall(Key("", "a"), 0) == turns(2, 3)


def test_the_conversation_that_was_not_used_for_longest_makes_room() -> None:
    room = conversations(count=2)
    room.remember(Key("", "a"), turn(1), 0)
    room.remember(Key("", "b"), turn(2), 1)
    room.remember(Key("", "a"), turn(3), 2)
    room.remember(Key("", "c"), turn(4), 3)
    assert room.recall(Key("", "b"), 3) == []
    assert room.recall(Key("", "a"), 3) == turns(1, 3)
    assert room.recall(Key("", "c"), 3) == turns(4)


def test_a_conversation_expires_when_it_was_not_used() -> None:
    room = conversations(expire_s=60)
    room.remember(Key("", "a"), turn(1), 0)
    room.remember(Key("", "b"), turn(2), 30)
    assert room.recall(Key("", "a"), 59.9) == turns(1)
    assert room.recall(Key("", "a"), 60) == []
    assert room.recall(Key("", "b"), 60) == turns(2)


def test_a_new_turn_keeps_a_conversation_from_expiring() -> None:
    room = conversations(expire_s=60)
    room.remember(Key("", "a"), turn(1), 0)
    room.remember(Key("", "b"), turn(9), 10)
    room.remember(Key("", "a"), turn(2), 50)
    assert room.recall(Key("", "b"), 100) == []
    assert room.recall(Key("", "a"), 100) == turns(1, 2)


def test_an_expired_conversation_begins_anew() -> None:
    room = conversations(expire_s=60)
    room.remember(Key("", "a"), turn(1), 0)
    room.remember(Key("", "a"), turn(2), 100)
    assert room.recall(Key("", "a"), 100) == turns(2)


def test_a_conversation_that_is_known_can_be_resumed() -> None:
    room = conversations()
    room.remember(Key("kitchen", "a"), turn(1), 0)
    room.require(Key("kitchen", "a"), 1)
    with pytest.raises(InvalidRequestError, match=r"the session 'a' is not known.*60 s.*without resume"):
        room.require(Key("hall", "a"), 1)
    with pytest.raises(InvalidRequestError, match="not known"):
        room.require(Key("kitchen", "a"), 60)


def test_narrower_bounds_hold_from_the_next_turn_on() -> None:
    room = conversations(count=3, turns=3)
    for key in "abc":
        for number in (1, 2, 3):
            room.remember(Key("", key), turn(number), 0)
    room.bounds = replace(room.bounds, count=1, turns=1)
    room.remember(Key("", "c"), turn(4), 1)
    assert [room.recall(Key("", key), 1) for key in "abc"] == [[], [], turns(4)]


def test_a_turn_is_remembered_whole_whatever_messages_it_has() -> None:
    room = conversations(turns=1)
    whole = (
        ChatMessage("user", "is it cold?"),
        ChatMessage("assistant", "I look"),
        ChatMessage("tool", "4 C"),
        ChatMessage("assistant", "yes"),
    )
    room.remember(Key("", "a"), turn(1), 0)
    room.remember(Key("", "a"), whole, 1)
    assert room.recall(Key("", "a"), 2) == list(whole)
