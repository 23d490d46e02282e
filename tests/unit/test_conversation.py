from dataclasses import replace

import pytest

from edgeassist.engine.messages import ChatMessage, ToolCall
from edgeassist.errors import InvalidRequestError
from edgeassist.serving.caller import Key
from edgeassist.serving.conversation import Bounds, Conversations, Turn, settle


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


def results(*texts: str) -> Turn:
    return tuple(ChatMessage("tool", text, call_id=text) for text in texts)


def test_results_and_what_is_answered_to_them_go_on_with_the_turn_before() -> None:
    room = conversations(turns=2)
    called = (ChatMessage("user", "on"), ChatMessage("assistant", "", (ToolCall("f", "{}", "a"),)))
    said = (*results("a"), ChatMessage("assistant", "it is on"))
    room.remember(Key("", "a"), turn(1), 0)
    room.remember(Key("", "a"), called, 0)
    room.remember(Key("", "a"), said, 0)
    assert room.recall(Key("", "a"), 0) == [*turn(1), *called, *said]
    room.remember(Key("", "a"), turn(2), 0)
    assert room.recall(Key("", "a"), 0) == [*called, *said, *turn(2)]
    room.remember(Key("", "a"), turn(3), 0)
    assert room.recall(Key("", "a"), 0) == turns(2, 3)


def test_what_the_user_says_behind_results_begins_a_turn() -> None:
    room = conversations(turns=2)
    called = (ChatMessage("user", "on"), ChatMessage("assistant", "", (ToolCall("f", "{}", "a"),)))
    room.remember(Key("", "a"), called, 0)
    for number in range(20):
        calls = (ToolCall("f", "{}", "a"),)
        again = (ChatMessage("user", f"and {number}"), ChatMessage("assistant", "", calls))
        room.remember(Key("", "a"), (*results("a"), *again), 0)
    kept = room.recall(Key("", "a"), 0)
    assert [message.content for message in kept] == ["and 18", "", "a", "and 19", ""]


def test_results_of_what_was_forgotten_begin_nothing() -> None:
    room = conversations()
    room.remember(Key("", "a"), (*results("a"), ChatMessage("assistant", "x")), 0)
    assert room.recall(Key("", "a"), 0) == []


def test_calls_stay_in_a_conversation_where_all_their_results_follow() -> None:
    calls = (ToolCall("f", "{}", "a"), ToolCall("g", "{}", "b"))
    said = ChatMessage("assistant", "I do", calls)
    user = ChatMessage("user", "q")
    whole = [user, said, *results("b", "a"), user]
    assert settle(whole) == whole
    without = ChatMessage("assistant", "I do")
    assert settle([user, said, user]) == [user, without, user]
    assert settle([user, said, *results("a"), user, *results("b")])[1] == without
    assert settle([user, said]) == [user, without]


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
