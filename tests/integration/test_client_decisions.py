"""Decisions through the client, blocking and not, against a real broker and daemon."""

from __future__ import annotations

import asyncio
import math
from typing import Literal

import pytest

from edgeassist.client import (
    AnswerFormatError,
    AsyncClient,
    BrokerError,
    Client,
    DeadlineExceededError,
    EngineCrashedError,
    InvalidRequestError,
    choice,
    requester,
    score,
    yes_no,
)
from edgeassist.client.decision import Decision
from edgeassist.protocol.events import Done, Timings, Usage
from edgeassist.sandbox import HOST, PrivateBroker
from tests.conftest import StartDaemon, StartReady, TakeBox
from tests.patience import PATIENCE_S

STATE = "The kitchen is dark: the kitchen lamp is broken. No light in the hall."
QUESTIONS = {
    "room": choice("Where is it?", {"bath": None, "kitchen": "also the pantry", "hall": None}),
    "lit": yes_no("Is it bright?", no="dark"),
    "need": score("How much light is needed?", ["none", "some", "much"]),
    "risk": score("How risky is it?", minimum=0, maximum=1, step=0.25),
}
# A token takes a second to read.
SLOW = "!script prefill_ms=1000\n" + STATE


def test_every_question_has_its_answer_under_its_name(client: Client) -> None:
    decision = client.decide(STATE, QUESTIONS, metadata={"lamp": 3}, threshold=0.1)
    assert list(decision.answers) == list(QUESTIONS)
    assert [each.type for each in decision.answers.values()] == ["choice", "yes_no", "score", "score"]
    assert all(math.isclose(sum(each.probabilities.values()), 1) for each in decision.answers.values())
    room = decision["room"]
    assert list(room.probabilities) == ["bath", "kitchen", "hall"]
    assert (room.choice, room.abstain, room.score, room.noul) == ("kitchen", False, None, None)
    assert decision["lit"].noul == decision["lit"].probabilities["yes"]
    assert list(decision["risk"].probabilities) == ["0", "0.25", "0.5", "0.75", "1"]
    assert 0 <= (decision["risk"].score or -1) <= 1
    assert (decision.model, decision.device, decision.metadata) == ("scripted", "box", {"lamp": 3})
    assert (decision.usage.completion_tokens, decision.usage.prompt_tokens > 0) == (0, True)


def test_a_state_may_be_any_json(client: Client) -> None:
    decision = client.decide({"lamps": [{"kitchen": True}, "kitchen"]}, {"room": QUESTIONS["room"]})
    assert decision["room"].choice == "kitchen"


def test_what_can_not_be_decided_is_raised_as_for_asks(client: Client) -> None:
    with pytest.raises(InvalidRequestError, match="two options are equal but for case"):
        client.decide(STATE, {"room": choice("Where?", ["bath", "Bath"])})
    with pytest.raises(InvalidRequestError, match="can't be written as JSON"):
        client.decide({1, 2}, QUESTIONS)
    with pytest.raises(InvalidRequestError, match=r"questions\.room: must be an object, not text"):
        client.decide(STATE, {"room": "Where?"})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="a list of texts, not one"):
        choice("Where?", "kitchen,bath")
    with pytest.raises(DeadlineExceededError):
        client.decide(SLOW, QUESTIONS, timeout_s=0.2)


def test_a_decision_that_takes_long_is_cancelled_by_its_id(client: Client, port: int) -> None:
    async def decide() -> None:
        async with AsyncClient(HOST, port, device="box", name="other") as other:
            waiting = asyncio.create_task(other.decide(SLOW, QUESTIONS, id="slow"))
            while (await other.health()).get("running") != 1:
                await asyncio.sleep(0.05)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert (await other.decide(STATE, QUESTIONS, timeout_s=PATIENCE_S))["room"].choice == "kitchen"

    asyncio.run(decide())
    assert client.decide(STATE, QUESTIONS)["room"].choice == "kitchen"


async def test_a_decision_that_ends_two_engines_is_not_worth_trying_again(
    broker: PrivateBroker, ready: StartReady
) -> None:
    await ready(engine__restart_max_s=1)
    async with AsyncClient(HOST, broker.port, device="box") as client:
        with pytest.raises(EngineCrashedError, match="ended 2 engines") as raised:
            await client.decide("!script encode_crash=1\nkitchen", QUESTIONS, timeout_s=PATIENCE_S)
        assert not raised.value.retryable


async def test_several_decisions_and_prompts_are_asked_at_once(take_box: TakeBox) -> None:
    async with AsyncClient(HOST, (await take_box()).port, device="box") as client:
        decisions, answers = await asyncio.gather(
            asyncio.gather(*(client.decide(STATE, QUESTIONS) for _ in range(5))),
            asyncio.gather(*(client.ask(f"question {number}") for number in range(5))),
        )
    assert {each["room"].choice for each in decisions} == {"kitchen"}
    assert [each.text for each in answers] == [f"question {number}" for number in range(5)]


async def test_more_than_the_device_has_room_for_are_asked_again(
    broker: PrivateBroker, ready: StartReady
) -> None:
    await ready(admission__per_client=1, engine__slots=1)
    async with AsyncClient(HOST, broker.port, device="box") as client:
        decisions = await asyncio.gather(*(client.decide(STATE, QUESTIONS) for _ in range(3)))
    assert [each["room"].choice for each in decisions] == ["kitchen"] * 3


async def test_a_broker_that_restarts_costs_no_decision(broker: PrivateBroker, daemon: StartDaemon) -> None:
    daemon()
    async with AsyncClient(HOST, broker.port, device="box") as client:
        await client.wait_ready(PATIENCE_S)
        slow = STATE.replace("The kitchen", "!script prefill_ms=30\nThe kitchen")
        waiting = asyncio.create_task(client.decide(slow, QUESTIONS))
        while (await client.health()).get("running") != 1:
            await asyncio.sleep(0.05)
        broker.stop()
        broker.start()
        assert (await waiting)["room"].choice == "kitchen"


@pytest.mark.parametrize(
    ("protocol", "said"),
    [
        ("5", "can't be published on edgeassist/box/decide/me: the broker says: not authorized"),
        ("3.1.1", "may this client publish to edgeassist/box/decide/me"),  # it has no word for a refusal
    ],
)
def test_one_who_may_not_ask_is_told_what_to_look_at(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    protocol: Literal["5", "3.1.1"],
    said: str,
) -> None:
    monkeypatch.setattr(requester, "SILENCE_S", 0.5 if protocol == "3.1.1" else 60)
    folder = tmp_path_factory.mktemp("broker")
    (folder / "rights").write_text("topic read edgeassist/#\n")
    lines = ("allow_anonymous true", f"acl_file {folder / 'rights'}")
    with PrivateBroker(folder, lines) as broker:
        client = Client(HOST, broker.port, device="box", name="me", return_s=60, protocol=protocol)
        with client, pytest.raises(BrokerError, match=said):
            client.decide(STATE, QUESTIONS)


def test_an_answer_without_a_decision_is_one_of_a_device_that_is_older() -> None:
    done = Done(
        id="a",
        seq=0,
        text="kitchen",
        finish_reason="stop",
        usage=Usage(prompt_tokens=1, cached_tokens=0, completion_tokens=1),
        timings=Timings(queue_ms=1, prefill_ms=1, decode_ms=1, total_ms=3),
        model="m",
        device="box",
    )
    with pytest.raises(AnswerFormatError, match="no decision"):
        Decision.of(done)
