import json
from collections.abc import Callable
from typing import Any

import pytest

from edgeassist.engine.messages import Cancelled, Delta, Failed, Finish, Finished, Prefilled
from edgeassist.errors import InvalidRequestError
from edgeassist.protocol.events import AnyEvent
from edgeassist.protocol.requests import PromptRequest
from edgeassist.serving.admission import Limits
from edgeassist.serving.caller import Caller
from edgeassist.serving.sink import OnSettled
from tests.unit.conftest import ListSink, MakeHouse


def test_a_prompt_is_accepted_and_starts_at_once_where_a_slot_is_free(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    request = house.ask("hello", max_tokens=5, stop=["END"])
    (start,) = house.engine.starts
    assert [message.content for message in start.messages] == ["hello"]
    assert (start.max_tokens, start.stop) == (5, ("END",))
    (accepted,) = house.heard(request)
    assert (accepted["type"], accepted["position"], accepted["model"]) == ("accepted", 0, "m")
    assert accepted["cancel"] == "edgeassist/box/command/cancel"
    assert house.published[0].topic == f"edgeassist/box/reply/{request}"


def test_text_that_nobody_is_sent_before_the_end_is_told_by_the_engine_more_seldom(
    make_house: MakeHouse,
) -> None:
    house = make_house()
    house.ready(slots=2)
    for streams in (True, False):
        house.ask(stream=streams)
    assert [start.gather_ms for start in house.engine.starts] == [50, 1000]


def test_an_answer_comes_back_as_progress_chunks_and_its_end(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    request = house.ask()
    job = house.engine.starts[0].id
    house.say(Prefilled(job, 2, 0, 4))
    house.finish(job, "你好")
    assert house.types(request) == ["accepted", "progress", "chunk", "done"]
    assert house.heard(request)[-1]["text"] == "你好"
    assert (house.requests.queued, house.requests.running) == (0, 0)


def test_the_engine_knows_a_job_by_a_number_that_never_comes_twice(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    for _ in range(3):
        house.ask(id="same")
        house.finish(house.engine.starts[-1].id, "a")
        house.clock.now += 1000
    assert len({start.id for start in house.engine.starts}) == 3


def test_prompts_wait_until_a_model_is_loaded_and_for_a_free_slot(make_house: MakeHouse) -> None:
    house = make_house()
    requests = [house.ask(f"p{number}") for number in range(3)]
    assert house.engine.starts == []
    assert [house.heard(request)[0]["position"] for request in requests] == [0, 1, 2]
    house.ready(slots=2)
    assert len(house.engine.starts) == 2
    house.finish(house.engine.starts[0].id)
    assert [start.messages[0].content for start in house.engine.starts] == ["p0", "p1", "p2"]


def test_a_more_urgent_prompt_starts_first(make_house: MakeHouse) -> None:
    house = make_house()
    for priority in ("low", "normal", "high"):
        house.ask(priority, priority=priority)
    house.ready(slots=3)
    assert [start.messages[0].content for start in house.engine.starts] == ["high", "normal", "low"]


def test_a_full_queue_is_refused_with_the_reason_that_holds(make_house: MakeHouse) -> None:
    house = make_house(limits=Limits(queue=1, per_client=9, ageing_s=30))
    house.ask()
    loading = house.ask()
    assert house.error(loading) == "model_loading"
    assert house.heard(loading)[-1]["retryable"]
    house.ready()
    house.ask()
    busy = house.ask()
    assert house.error(busy) == "busy"
    assert house.heard(busy)[-1]["retry_after_ms"] >= 100


def test_a_client_with_too_many_is_refused_and_others_are_not(make_house: MakeHouse) -> None:
    house = make_house(limits=Limits(queue=9, per_client=1, ageing_s=30))
    house.ask(client="k")
    assert house.error(house.ask(client="k")) == "quota_exceeded"
    assert house.types(house.ask(client="h")) == ["accepted"]


def test_a_retained_prompt_is_ignored(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    house.receive(b"hello", retained=True)
    assert (house.published, house.engine.commands) == ([], [])
    assert house.requests.tally.requests == 0


def test_a_prompt_that_the_broker_delivers_again_runs_once(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready(slots=4)
    house.receive(b"hello", packet_id=7)
    house.receive(b"hello", packet_id=7, redelivered=True)
    assert len(house.engine.starts) == 1
    house.receive(b"hello", packet_id=8)
    house.receive(b"other", packet_id=7, redelivered=True)
    assert len(house.engine.starts) == 3


def test_a_request_sent_twice_runs_once_and_is_answered_once(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    for _ in range(2):
        house.ask(id="a")
    house.finish(house.engine.starts[0].id, "yes")
    assert len(house.engine.starts) == 1
    assert house.types("a") == ["accepted", "chunk", "done"]


def test_a_request_sent_again_after_its_end_gets_the_same_end_without_work(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    house.ask(id="a")
    house.finish(house.engine.starts[0].id, "yes")
    house.ask(id="a")
    *_, end, again = house.heard("a")
    assert again == {**end, "repeat": True}
    assert house.types("a") == ["accepted", "chunk", "done", "done"]
    assert len(house.engine.starts) == 1
    house.clock.now += 600
    house.ask(id="a")
    assert len(house.engine.starts) == 2


def test_a_request_that_failed_and_is_sent_again_gets_another_try(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    house.ask(id="a")
    house.say(Failed(house.engine.starts[0].id, "internal", "no"))
    house.ask(id="a")
    house.finish(house.engine.starts[1].id, "yes")
    assert house.types("a") == ["accepted", "error", "accepted", "chunk", "done"]


def test_another_request_under_an_id_that_runs_is_refused(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    house.ask("one", id="a")
    house.ask("two", id="a", reply_to="reply/two")
    refusal = house.published[-1]
    assert refusal.topic == "reply/two"
    assert json.loads(refusal.payload)["code"] == "invalid_request"
    assert len(house.engine.starts) == 1


def test_a_refusal_goes_where_the_answer_would_have_gone(make_house: MakeHouse) -> None:
    house = make_house()
    house.receive(b'{"id": "a", "promt": "x"}', response_topic="reply/here", correlation=b"c")
    (refusal,) = house.published
    assert (refusal.topic, refusal.correlation) == ("reply/here", b"c")
    assert house.error("a") == "invalid_request"
    assert house.requests.tally.report().errors == {"invalid_request": 1}


def test_what_the_model_can_not_do_is_refused_by_name_in_the_wished_form(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready(constrains=False)
    house.ask(id="7", format="text", metadata={"n": 1}, choice=["a"])
    empty, refusal = house.published
    assert (empty.payload, refusal.topic) == (b"", "edgeassist/box/reply/7/end")
    event = json.loads(refusal.payload)
    assert (event["code"], event["metadata"]) == ("unsupported", {"n": 1})
    assert "choice" in event["message"]
    assert house.engine.starts == []


def test_a_sink_that_raises_ends_no_other_request_and_stalls_no_slot(
    make_house: MakeHouse, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(ListSink):
        def send(
            self, event: AnyEvent, on_settled: OnSettled | None = None, on_heard: OnSettled | None = None
        ) -> None:
            del on_settled, on_heard
            raise RuntimeError(f"the socket is gone before {event.type}")

    house = make_house()
    house.ready()
    house.requests.submit(PromptRequest(prompt="a"), Caller("toy/1"), Broken())
    after = house.ask("b")
    house.finish(house.engine.starts[0].id, "unheard")
    house.finish(house.engine.starts[1].id, "heard")
    assert house.types(after) == ["accepted", "chunk", "done"]
    assert "could not be sent" in caplog.text


def test_a_request_of_the_shared_topic_can_be_cancelled_though_another_client_uses_its_id(
    make_house: MakeHouse,
) -> None:
    house = make_house()
    house.ask(id="same")
    house.ask(id="same", client="kitchen")
    with pytest.raises(InvalidRequestError, match="say whose"):
        house.requests.cancel("same")
    assert house.requests.cancel("same", "")
    assert [caller.name for caller, _, _ in house.ended] == [None]


def test_a_cancelled_prompt_that_waited_ends_and_never_starts(make_house: MakeHouse) -> None:
    house = make_house()
    request = house.ask()
    assert house.requests.cancel(request)
    assert not house.requests.cancel(request)
    house.ready()
    assert house.engine.commands == []
    assert house.types(request) == ["accepted", "error"]
    assert house.error(request) == "cancelled"


def test_a_cancelled_answer_ends_at_once_and_its_slot_is_free_when_the_engine_says_so(
    make_house: MakeHouse,
) -> None:
    house = make_house()
    house.ready()
    first, second = house.ask(), house.ask()
    job = house.engine.starts[0].id
    house.say(Delta(job, "so far"))
    house.requests.cancel(first)
    assert house.engine.cancels == [job]
    assert house.heard(first)[-1]["text"] == "so far"
    house.clock.now += 1
    house.say(Delta(job, "too late"))
    assert house.types(first) == ["accepted", "chunk", "error"]
    assert len(house.engine.starts) == 1
    house.say(Cancelled(job))
    assert len(house.engine.starts) == 2
    assert house.types(second) == ["accepted"]


@pytest.mark.parametrize(
    "crossing",
    [
        lambda job: Finished(job, Finish.STOP, 1, 0, 1, 1, 1),
        lambda job: Failed(job, "internal", "no"),
    ],
    ids=["finished", "failed"],
)
def test_an_end_that_crosses_a_cancel_frees_the_slot_and_is_not_told(
    make_house: MakeHouse, crossing: Callable[[str], Any]
) -> None:
    house = make_house()
    house.ready()
    first = house.ask()
    house.ask()
    house.requests.cancel(first)
    house.say(crossing(house.engine.starts[0].id))
    assert len(house.engine.starts) == 2
    assert house.types(first) == ["accepted", "error"]


def test_all_requests_can_be_cancelled_at_once(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    requests = [house.ask() for _ in range(3)]
    assert house.requests.cancel_all() == 3
    assert [house.error(request) for request in requests] == ["cancelled"] * 3
    assert house.requests.cancel_all() == 0


def test_all_requests_of_one_client_can_be_cancelled_and_no_other_ends(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    kitchen = [house.ask(client="kitchen"), house.ask(client="kitchen")]
    others = [house.ask(client="hall"), house.ask()]
    assert house.requests.cancel_all("kitchen") == 2
    assert [house.error(request) for request in kitchen] == ["cancelled"] * 2
    assert [house.types(request)[-1] for request in others] == ["accepted"] * 2
    assert house.requests.cancel_all("") == 1
    assert house.error(others[1]) == "cancelled"
    assert house.requests.cancel_all("nobody") == 0


def test_an_error_of_the_engine_keeps_its_code(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    request = house.ask()
    house.say(Failed(house.engine.starts[0].id, "context_overflow", "too long"))
    assert house.error(request) == "context_overflow"
    assert house.heard(request)[-1]["message"] == "too long"


def test_what_the_engine_says_of_a_job_that_is_not_there_is_ignored(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    for event in (Prefilled("9", 1, 0, 2), Delta("9", "x"), Cancelled("9"), Failed("9", "internal", "x")):
        house.say(event)
    house.finish("9")
    assert house.published == []


def test_every_change_of_what_waits_and_runs_is_told(make_house: MakeHouse) -> None:
    house = make_house()
    house.ask()
    assert house.changes == 1
    house.ready()
    assert house.changes == 2
    house.finish(house.engine.starts[0].id)
    assert house.changes == 3


def test_every_end_is_told_once_with_whose_and_what_it_was(make_house: MakeHouse) -> None:
    house = make_house(limits=Limits(queue=9, per_client=2, ageing_s=30))
    house.ready()
    answered = house.ask("a", client="ha")
    house.finish(house.engine.starts[-1].id, "b")
    cancelled, waiting, refused = (house.ask(prompt, client="ha") for prompt in ("c", "d", "e"))
    house.requests.cancel(cancelled)
    house.requests.cancel(waiting)
    house.receive(b'{"id": "broken"', client="ha")
    house.receive(b'{"id": "other", "prompt": 5}')
    told = [
        (caller.name, getattr(request, "prompt", None), end.id, end.type)
        for caller, request, end in house.ended
    ]
    assert told[:4] == [
        ("ha", "a", answered, "done"),
        ("ha", "e", refused, "error"),
        ("ha", "c", cancelled, "error"),
        ("ha", "d", waiting, "error"),
    ]
    assert [(client, prompt, kind) for client, prompt, _, kind in told[4:]] == [
        ("ha", None, "error"),
        (None, None, "error"),
    ]


def test_an_end_that_is_said_again_is_not_told_again(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    for _ in range(2):
        house.ask("a", id="same")
        house.finish(house.engine.starts[-1].id, "b")
    assert len(house.engine.starts) == len(house.ended) == 1
