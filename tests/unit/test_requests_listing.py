"""What a person may see of the requests that have not ended."""

import pytest

from edgeassist.engine.messages import Delta, DeltaKind, Prefilled
from tests.unit.conftest import ROOM, MakeHouse


def listed(house: object, *, client: str | None = None, limit: int = 64) -> list[dict[str, object]]:
    answer = house.requests.listed(client=client, limit=limit)  # type: ignore[attr-defined]
    return [each.model_dump(mode="json", exclude_none=True) for each in answer.requests]


def test_what_runs_comes_first_and_then_what_waits_in_the_order_in_which_it_will_run(
    make_house: MakeHouse,
) -> None:
    house = make_house()
    house.ready(slots=1)
    house.ask(id="runs", timeout_s=60)
    house.ask(id="low", priority="low")
    house.clock.now += 2
    house.ask(id="high", priority="high")
    known = listed(house)
    assert [(each["id"], each["state"], each.get("position")) for each in known] == [
        ("runs", "running", None),
        ("high", "waiting", 0),
        ("low", "waiting", 1),
    ]
    assert known[0] == {
        "id": "runs",
        "client": "",
        "kind": "prompt",
        "priority": "normal",
        "state": "running",
        "age_s": 2.0,
        "deadline_in_s": 58.0,
        "completion_tokens": 0,
    }


def test_how_far_one_is_is_told_in_tokens_and_never_what_was_asked(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    house.ask("where is the key to the safe", id="a", metadata={"who": "me"})
    job = house.engine.starts[0].id
    house.say(Prefilled(job, 4, 0, 9))
    assert [(each["processed"], each["prompt_tokens"]) for each in listed(house)] == [(4, 9)]
    house.say(Prefilled(job, 9, 0, 9))
    house.say(Delta(job, "hm", DeltaKind.THOUGHT, 2))
    house.say(Delta(job, "under the mat", tokens=5))
    (known,) = listed(house)
    assert known["completion_tokens"] == 5
    assert not {"key", "mat", "me"} & set(str(known).replace("'", " ").split())


def test_what_a_lost_engine_had_computed_does_not_count(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    house.ask(id="a")
    house.say(Prefilled(house.engine.starts[0].id, 9, 0, 9))
    house.requests.engines.lost("gone", planned=True)
    assert "processed" not in listed(house)[0]
    house.ready()
    (known,) = listed(house)
    assert known["state"] == "running"
    assert "processed" not in known


def test_a_decision_is_one_and_has_no_tokens_of_an_answer(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    house.decide("the lamp", ROOM, id="d")
    (known,) = listed(house)
    assert known["kind"] == "decision"
    assert "completion_tokens" not in known


def test_one_clients_are_told_apart_and_what_is_too_much_is_counted(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready(slots=1)
    for number in range(3):
        house.ask(id=f"k{number}", client="kitchen")
    house.ask(id="s")
    assert [each["id"] for each in listed(house, client="kitchen")] == ["k0", "k1", "k2"]
    assert [each["id"] for each in listed(house, client="")] == ["s"]
    answer = house.requests.listed(client=None, limit=2)
    assert ([each.id for each in answer.requests], answer.left_out) == (["k0", "k1"], 2)
    assert (answer.running, answer.waiting) == (1, 3)


@pytest.mark.parametrize("client", [None, "", "nobody"])
def test_where_nothing_waits_or_runs_there_is_nothing(make_house: MakeHouse, client: str | None) -> None:
    answer = make_house().requests.listed(client=client, limit=1)
    assert answer.model_dump() == {"requests": [], "running": 0, "waiting": 0, "left_out": 0}
