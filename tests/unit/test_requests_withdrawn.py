"""Requests that their transport takes back, because somebody else answers them."""

from edgeassist.engine.messages import Cancel
from edgeassist.protocol.requests import PromptRequest
from edgeassist.serving.admission import Limits
from edgeassist.serving.caller import Caller, Key
from tests.unit.conftest import ListSink, MakeHouse

OURS = Caller("fleet/k", metered=False)


def test_what_waits_is_taken_back_without_an_end_and_with_its_time(make_house: MakeHouse) -> None:
    house = make_house()
    sink = ListSink()
    house.requests.submit(PromptRequest(id="a", prompt="x", timeout_s=30), OURS, sink)
    house.clock.now += 10
    assert house.requests.waits("a", "fleet/k")
    left = house.requests.withdraw("a", "fleet/k")
    assert left is not None
    assert 19 < left <= 20
    assert (sink.types, house.requests.queued, house.ended) == (["accepted"], 0, [])
    assert house.requests.withdraw("a", "fleet/k") is None
    house.ready()
    assert house.engine.starts == []


def test_what_runs_is_taken_back_only_where_that_is_said(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    sink = ListSink()
    house.requests.submit(PromptRequest(id="a", prompt="x"), OURS, sink)
    assert not house.requests.waits("a", "fleet/k")
    assert house.requests.withdraw("a", "fleet/k") is None
    assert house.requests.withdraw("a", "fleet/k", running=True) is not None
    job = house.engine.starts[0].id
    assert house.engine.commands[-1] == Cancel(job)
    house.finish(job, "too late")
    assert sink.types == ["accepted"]
    house.ask("next")
    assert len(house.engine.starts) == 2


def test_it_is_known_by_id_and_caller(make_house: MakeHouse) -> None:
    house = make_house()
    name = house.ask(client="k")
    assert house.requests.withdraw(name, "fleet/k") is None
    assert house.requests.withdraw(name, "k") is not None


def test_unmetered_requests_neither_fill_the_queue_nor_are_refused_for_it(make_house: MakeHouse) -> None:
    house = make_house(limits=Limits(queue=1, per_client=1, ageing_s=30))
    for number in range(3):
        sink = ListSink()
        house.requests.submit(PromptRequest(id=f"f{number}", prompt="x"), OURS, sink)
        assert sink.types == ["accepted"]
    assert house.types(house.ask(client="k")) == ["accepted"]
    assert house.error(house.ask(client="h")) == "model_loading"
    sink = ListSink()
    house.requests.submit(PromptRequest(id="more", prompt="x"), OURS, sink)
    assert sink.types == ["accepted"]


def test_a_conversation_is_known_from_its_first_request_on(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    assert not house.requests.knows(Key("k", "s"))
    first = house.ask(client="k", session="s")
    assert house.requests.knows(Key("k", "s"))
    house.finish(house.engine.starts[0].id, "a")
    assert house.requests.knows(Key("k", "s"))
    assert not house.requests.knows(Key("h", "s"))
    second = house.ask(client="k", session="s")
    house.finish(house.engine.starts[1].id, "b")
    assert house.heard(first)[-1]["session_began"] is True
    assert "session_began" not in house.heard(second)[-1]
    house.clock.now += house.policy.bounds.expire_s
    assert not house.requests.knows(Key("k", "s"))
