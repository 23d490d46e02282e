from typing import Any

import pytest

from edgeassist.engine.messages import ChatMessage, Sampling, Start
from edgeassist.protocol.requests import PromptRequest
from edgeassist.protocol.turns import Turn
from edgeassist.serving.job import compose, sampling_of
from tests.unit.conftest import MakeHouse


def contents(start: Start) -> list[str]:
    return [message.content for message in start.messages]


def test_a_session_remembers_what_was_said(make_house: MakeHouse) -> None:
    house = make_house(system="Be brief.")
    house.ready()
    house.ask("one", session="s")
    house.finish(house.engine.starts[0].id, "first")
    request = house.ask("two", session="s", resume=True)
    house.finish(house.engine.starts[1].id, "second")
    assert contents(house.engine.starts[1]) == ["Be brief.", "one", "first", "two"]
    assert [start.droppable for start in house.engine.starts] == [0, 2]
    assert house.heard(request)[-1]["session"] == "s"


def test_sessions_of_different_clients_and_other_names_are_apart(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    house.ask("one", client="kitchen", session="s")
    house.finish(house.engine.starts[0].id, "first")
    for client, session in (("hall", "s"), (None, "s"), ("kitchen", "t")):
        house.ask("two", client=client, session=session)
        assert contents(house.engine.starts[-1]) == ["two"]
        house.finish(house.engine.starts[-1].id)
    house.ask("two", client="kitchen", session="s")
    assert contents(house.engine.starts[-1]) == ["one", "first", "two"]


def test_prompts_of_one_session_wait_for_each_other_and_build_on_each_other(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready(slots=2)
    house.ask("one", session="s")
    house.ask("two", session="s")
    house.ask("other")
    assert [contents(start) for start in house.engine.starts] == [["one"], ["other"]]
    house.finish(house.engine.starts[0].id, "first")
    assert contents(house.engine.starts[2]) == ["one", "first", "two"]


def test_an_answer_that_failed_or_was_cancelled_is_not_remembered(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    request = house.ask("one", session="s")
    house.requests.cancel(request)
    house.requests.engines.lost("it died", planned=False)
    house.ready()
    house.ask("two", session="s")
    assert contents(house.engine.starts[-1]) == ["two"]


def test_a_session_that_is_not_known_can_not_be_resumed(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    assert house.error(house.ask(session="s", resume=True)) == "invalid_request"
    assert house.engine.starts == []
    house.ask("one", session="s")
    house.finish(house.engine.starts[0].id, "first")
    house.clock.now += 600
    assert house.error(house.ask(session="s", resume=True)) == "invalid_request"


HISTORY = [
    ChatMessage("user", "q1"),
    ChatMessage("assistant", "a1"),
    ChatMessage("user", "q2"),
    ChatMessage("assistant", "a2"),
]
TURNS = (Turn(role="system", content="own"), Turn(role="user", content="q"))


@pytest.mark.parametrize(
    ("request_", "system", "expected"),
    [
        (PromptRequest(prompt="q"), "ours", ["system ours", "user q"]),
        (PromptRequest(prompt="q", system="theirs"), "ours", ["system theirs", "user q"]),
        (PromptRequest(prompt="q", system=""), "ours", ["system ", "user q"]),
        (PromptRequest(messages=TURNS), "ours", ["system own", "user q"]),
        (PromptRequest(messages=TURNS[1:]), "ours", ["system ours", "user q"]),
        (PromptRequest(messages=TURNS[1:], system="theirs"), "ours", ["system theirs", "user q"]),
    ],
)
def test_the_system_prompt_is_the_requests_own_or_else_the_daemons(
    request_: PromptRequest, system: str, expected: list[str]
) -> None:
    assert [f"{message.role} {message.content}" for message in compose(request_, [], system)] == expected


def test_history_stands_between_the_system_prompt_and_the_question() -> None:
    assert compose(PromptRequest(prompt="q3"), HISTORY, "ours") == [
        ChatMessage("system", "ours"),
        ChatMessage("user", "q1"),
        ChatMessage("assistant", "a1"),
        ChatMessage("user", "q2"),
        ChatMessage("assistant", "a2"),
        ChatMessage("user", "q3"),
    ]


def test_what_a_request_says_of_sampling_counts_and_the_rest_is_as_set() -> None:
    defaults = Sampling(temperature=0.5, top_k=7, top_p=0.8, min_p=0.1, repeat_penalty=1.2)
    assert sampling_of(PromptRequest(prompt="q"), defaults) == defaults
    assert sampling_of(PromptRequest(prompt="q", temperature=0, top_k=0, seed=0), defaults) == Sampling(
        temperature=0, top_k=0, top_p=0.8, min_p=0.1, repeat_penalty=1.2, seed=0
    )
    everything: dict[str, Any] = {
        "temperature": 1.0,
        "top_k": 2,
        "top_p": 0.3,
        "min_p": 0.4,
        "repeat_penalty": 5.0,
        "seed": 6,
    }
    assert sampling_of(PromptRequest(prompt="q", **everything), defaults) == Sampling(**everything)
