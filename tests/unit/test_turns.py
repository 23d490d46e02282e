import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.engine.messages import ChatMessage, ToolCall
from edgeassist.engine.prompting.turns import NOTHING, Abilities, check_roles, shape
from edgeassist.errors import InvalidRequestError

ROLES = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}
ALL = Abilities()


def turns(written: str) -> list[ChatMessage]:
    """Return a conversation that is written as "s:text u:text"; `+` is a blank line between two texts."""
    pairs = (word.split(":") for word in written.split())
    return [ChatMessage(ROLES[role], content.replace("+", "\n\n")) for role, content in pairs]


@pytest.mark.parametrize(
    ("abilities", "given_", "put"),
    [
        (ALL, "s:1 s:2 u:3 u:4 a: s:5 t:6 u:7", "s:1 s:2 u:3 u:4 a: s:5 t:6 u:7"),
        (ALL, "s: u:1", "s: u:1"),
        (Abilities(empty_system=False), "s: u:1", "u:1"),
        (Abilities(systems=False), "s:1 s:2 u:3", "s:1+2 u:3"),
        (Abilities(systems=False), "s: s:2 u:3", "s:2 u:3"),
        (Abilities(system=False), "s:1 s:2 u:3 a:4 u:5", "u:1+2+3 a:4 u:5"),
        (Abilities(system=False), "s:1", "u:1"),
        (Abilities(system=False), "s:1 a:2 u:3", "u:1 a:2 u:3"),
        (Abilities(system=False), "s: u:3", "u:3"),
        (Abilities(late_system=False), "s:1 u:2 a:3 s:4 u:5", "s:1 u:2 a:3 u:4+5"),
        (Abilities(late_system=False), "u:2 s:4", "u:2 u:4"),
        (Abilities(late_system=False), "u:2 s:4 a:5", "u:2 u:4 a:5"),
        (Abilities(late_system=False), "u:2 a:3 s: u:5", "u:2 a:3 u:5"),
        (Abilities(empty_answer=False), "u:1 a: u:2", "u:1 u:2"),
        (Abilities(repeats=frozenset({"assistant"})), "u:1 u:2 a:3 a:4 u:5", "u:1+2 a:3 a:4 u:5"),
        (Abilities(repeats=frozenset({"user"})), "u:1 u:2 a:3 a:4 u:5", "u:1 u:2 a:3+4 u:5"),
        (NOTHING, "s:1 s:2 u:3 u:4 a: s:5 u:6 a:7 a:8 u:9", "u:1+2+3+4+5+6 a:7+8 u:9"),
    ],
)
def test_what_a_template_can_not_do_is_put_as_it_can(abilities: Abilities, given_: str, put: str) -> None:
    assert shape(turns(given_), abilities) == turns(put)


SOME = st.builds(
    Abilities,
    system=st.booleans(),
    systems=st.booleans(),
    late_system=st.booleans(),
    empty_system=st.booleans(),
    empty_answer=st.booleans(),
    repeats=st.frozensets(st.sampled_from(["user", "assistant"])),
)


@given(abilities=SOME, roles=st.text("sua", min_size=1, max_size=8))
def test_no_word_is_lost_and_the_order_stays(abilities: Abilities, roles: str) -> None:
    messages = turns(" ".join(f"{role}:w{at}." for at, role in enumerate(roles)))
    put = shape(messages, abilities)
    assert re.findall(r"w\d", " ".join(message.content for message in put)) == [
        f"w{at}" for at in range(len(roles))
    ]
    assert abilities.system or not any(message.role == "system" for message in put[:1])


@given(abilities=SOME, roles=st.text("ua", max_size=8), system=st.sampled_from(["", "s:told "]))
def test_what_was_said_before_stands_as_it_stood(abilities: Abilities, roles: str, system: str) -> None:
    """A session's prompt begins like the last one, so its prefix need not be read again."""
    before = turns(system + "u:first " + " ".join(f"{role}:w{at}" for at, role in enumerate(roles + "u")))
    after = [*before, *turns("a:answer u:next")]
    put = shape(before, abilities)
    assert shape(after, abilities)[: len(put)] == put


def test_a_role_that_the_template_has_no_place_for_is_named_with_its_number() -> None:
    messages = turns("s:0 u:1 t:2 u:3")
    check_roles(messages, ())
    with pytest.raises(InvalidRequestError, match=r"^messages\.2\.role: .*'tool'"):
        check_roles(messages, {"tool"})
    with pytest.raises(InvalidRequestError, match=r"^messages\.1\.role: "):
        check_roles(messages, {"tool"}, first=1)


def test_the_result_of_a_call_has_a_place_in_any_case() -> None:
    check_roles([ChatMessage("user", "0"), ChatMessage("tool", "1", call_id="c")], {"tool"})


def test_a_message_with_calls_is_no_empty_answer_and_stays_by_itself() -> None:
    call = ChatMessage("assistant", "", (ToolCall("weather", "{}", "c"),))
    said = ChatMessage("assistant", "well")
    messages = [ChatMessage("user", "0"), said, call, ChatMessage("tool", "snow", call_id="c"), said, said]
    put = shape(messages, NOTHING)
    assert put == [*messages[:-2], ChatMessage("assistant", "well\n\nwell")]


def test_nothing_that_is_told_comes_between_a_call_and_its_result() -> None:
    call = ChatMessage("assistant", "", (ToolCall("weather", "{}", "c"),))
    result = ChatMessage("tool", "snow", call_id="c")
    late = ChatMessage("system", "told")
    put = shape([ChatMessage("user", "0"), call, late, result, ChatMessage("user", "1")], NOTHING)
    assert put == [ChatMessage("user", "0"), call, result, ChatMessage("user", "told\n\n1")]
