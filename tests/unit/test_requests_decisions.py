"""A decision's life is a prompt's, and its answers come in one event."""

import json
import math

import pytest

from edgeassist.engine.messages import Cancelled, Encoding, Failed, Question, QuestionKind
from edgeassist.protocol.calibration import Calibration
from edgeassist.protocol.decisions import Kind
from edgeassist.protocol.events import Done
from edgeassist.protocol.packets import Inbound
from edgeassist.serving.admission import Limits
from tests.unit.conftest import ROOM, TOPICS, House, MakeHouse

LIKELY_BATH = (math.log(1), math.log(7), math.log(2))


def payloads(house: House) -> list[bytes]:
    return [message.payload for message in house.published]


def test_a_decision_is_asked_of_the_engine_and_answered_in_one_event(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    request = house.decide(metadata={"a": 1})
    assert house.published == []
    (decide,) = house.engine.decisions
    assert decide.state == "The lamp over the stove is broken."
    rooms = ("kitchen", "bath", "hall")
    assert decide.questions == (Question(QuestionKind.CHOICE, "Which room is meant?", rooms),)
    house.clock.now += 0.5
    house.decided(decide.id, LIKELY_BATH)
    (done,) = house.heard(request)
    assert house.published[0].topic == f"edgeassist/box/reply/{request}"
    assert done["answers"] == {
        "room": {
            "type": "choice",
            "choice": "bath",
            "probabilities": {"kitchen": 0.1, "bath": 0.7, "hall": 0.2},
            "margin": 0.5,
            "abstain": False,
        }
    }
    assert (done["type"], done["seq"], done["text"], done["finish_reason"]) == ("done", 0, "", "stop")
    assert done["usage"] == {"prompt_tokens": 40, "cached_tokens": 30, "completion_tokens": 0}
    assert (done["timings"]["prefill_ms"], done["timings"]["decode_ms"]) == (5, 0)
    assert done["timings"]["total_ms"] == pytest.approx(500, abs=1)
    assert "ttft_ms" not in done["timings"]
    assert (done["model"], done["device"], done["metadata"]) == ("m", "box", {"a": 1})
    assert (house.requests.queued, house.requests.running) == (0, 0)


def test_the_answer_of_a_client_goes_to_its_own_topic_or_to_where_it_says(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready(slots=2)
    own = house.decide(client="esp32")
    house.decided(house.engine.decisions[-1].id, LIKELY_BATH)
    properties = {"response_topic": "reply/here", "correlation": b"\x01"}
    house.decide(client="esp32", properties=properties)
    house.decided(house.engine.decisions[-1].id, LIKELY_BATH)
    assert [(each.topic, each.correlation) for each in house.published] == [
        (f"edgeassist/box/reply/esp32/{own}", None),
        ("reply/here", b"\x01"),
    ]


def test_decisions_and_prompts_wait_in_one_queue_and_share_quota_and_slots(make_house: MakeHouse) -> None:
    house = make_house(limits=Limits(queue=3, per_client=3, ageing_s=30))
    house.ask("p")
    house.decide(priority="high")
    house.decide(priority="low")
    assert house.error(house.decide()) == "quota_exceeded"
    other = house.decide(client="other")
    assert house.error(other) == "model_loading"
    house.ready(slots=2)
    assert [type(each).__name__ for each in house.engine.commands] == ["Decide", "Start"]
    house.decided(house.engine.decisions[0].id, LIKELY_BATH)
    assert len(house.engine.decisions) == 2


def test_a_decision_can_be_cancelled_while_it_waits_and_while_it_runs(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    running, waiting = house.decide(), house.decide()
    assert house.requests.cancel(waiting)
    assert house.requests.cancel(running)
    assert [house.error(each) for each in (running, waiting)] == ["cancelled", "cancelled"]
    job = house.engine.decisions[0].id
    assert house.engine.cancels == [job]
    third = house.decide()
    assert len(house.engine.decisions) == 1
    house.say(Cancelled(job))
    house.decided(house.engine.decisions[1].id, LIKELY_BATH)
    assert house.types(third) == ["done"]


def test_an_answer_that_crosses_a_cancel_frees_the_slot_and_is_not_told(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    request = house.decide()
    house.requests.cancel(request)
    house.decided(house.engine.decisions[0].id, LIKELY_BATH)
    assert house.types(request) == ["error"]
    house.decide()
    assert len(house.engine.decisions) == 2


async def test_a_decision_that_is_late_ends(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    request = house.decide(timeout_s=2)
    await house.pass_time(2.1)
    assert house.error(request) == "deadline_exceeded"


def test_a_decision_sent_twice_is_made_once(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    first = house.decide(id="same")
    house.decide(id="same")
    house.decided(house.engine.decisions[0].id, LIKELY_BATH)
    house.decide(id="same")
    assert len(house.engine.decisions) == 1
    once, again = house.heard(first)
    assert again == {**once, "repeat": True}


def test_another_request_under_the_id_of_a_decision_that_runs_is_refused(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    request = house.decide(id="same")
    house.ask("hello", id="same")
    assert house.error(request) == "invalid_request"
    house.decided(house.engine.decisions[0].id, LIKELY_BATH)
    assert house.types(request) == ["error", "done"]


def test_a_retained_request_for_a_decision_is_ignored(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    house.decide(properties={"retained": True})
    assert (house.engine.commands, house.published) == ([], [])


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"Which room is meant?", "a decision is a JSON object"),
        (b'{"id": "d1", "prompt": "Which room?"}', "unknown field 'prompt': send a prompt to"),
        (b'{"id": "d1", "state": "x", "questions": {"q"}}', "Invalid JSON"),
    ],
)
def test_what_is_no_decision_is_refused_where_the_answer_would_have_gone(
    make_house: MakeHouse, payload: bytes, said: str
) -> None:
    house = make_house()
    house.ready()
    house.receive(payload, client="esp32", decide=True)
    (message,) = house.published
    refusal = json.loads(message.payload)
    assert message.topic == f"edgeassist/box/reply/esp32/{refusal['id']}"
    assert (refusal["type"], refusal["code"]) == ("error", "invalid_request")
    assert said in refusal["message"]
    assert (refusal["id"] == "d1") is (b"d1" in payload)


def test_a_client_without_a_name_is_told_the_topics_for_decisions(make_house: MakeHouse) -> None:
    house = make_house()
    house.receive(b"{}", client="", decide=True)
    (refusal,) = map(json.loads, payloads(house))
    assert "missing after edgeassist/box/decide/: publish to edgeassist/box/decide or" in refusal["message"]


def test_a_model_that_makes_no_decisions_says_so_also_to_those_that_wait(make_house: MakeHouse) -> None:
    house = make_house()
    waiting = house.decide()
    prompt = house.ask()
    house.ready(decides=False)
    later = house.decide()
    assert [house.error(each) for each in (waiting, later)] == ["unsupported", "unsupported"]
    assert "makes no decisions" in house.heard(later)[0]["message"]
    house.finish(house.engine.starts[0].id)
    assert house.types(prompt)[-1] == "done"
    house.requests.engines.lost("gone", planned=True)
    unknown = house.decide()
    assert house.types(unknown) == []


def test_what_the_engine_can_not_do_comes_with_its_code(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    request = house.decide()
    house.say(Failed(house.engine.decisions[0].id, "context_overflow", "too long"))
    assert house.error(request) == "context_overflow"


def test_a_decision_waits_for_the_next_engine_and_the_second_that_it_ends_is_its_fault(
    make_house: MakeHouse,
) -> None:
    house = make_house()
    house.ready()
    request = house.decide()
    house.requests.engines.lost("it died", planned=False)
    assert house.types(request) == []
    house.ready()
    assert len(house.engine.decisions) == 2
    house.requests.engines.lost("it died", planned=False)
    last = house.heard(request)[-1]
    assert (last["code"], last["retryable"]) == ("engine_crashed", False)
    assert "ended 2 engines" in last["message"]


def test_a_decision_that_was_being_read_when_the_engine_died_is_to_blame(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready(slots=2)
    guilty, innocent = house.decide(), house.decide()
    house.say(Encoding(house.engine.decisions[0].id))
    house.requests.engines.lost("it died", planned=False)
    assert (house.error(guilty), house.types(innocent)) == ("engine_crashed", [])


def test_configured_temperature_and_threshold_count_more_than_the_models(make_house: MakeHouse) -> None:
    house = make_house(temperatures=dict.fromkeys(Kind, 2.0))
    house.ready(calibration=Calibration(choice=4, score=5, yes_no=6, threshold=0.9))
    assert house.requests.calibration == Calibration(2, 2, 2, threshold=0.9)
    request = house.decide()
    house.decided(house.engine.decisions[0].id, (0.0, 2 * math.log(8), 0.0))
    answer = house.heard(request)[0]["answers"]["room"]
    assert (answer["probabilities"]["bath"], answer["abstain"]) == (0.8, True)
    own = make_house()
    own.ready(calibration=Calibration(choice=4))
    assert own.requests.calibration.choice == 4


def test_decisions_are_counted_and_spoil_no_figure_of_answers(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    house.ask()
    house.clock.now += 1
    house.finish(house.engine.starts[0].id, "answer")
    before = house.requests.tally.report()
    for _ in range(3):
        house.decide()
        house.clock.now += 5
        house.decided(house.engine.decisions[-1].id, LIKELY_BATH)
    after = house.requests.tally.report()
    assert (after.done, after.decisions, after.prompt_tokens) == (4, 3, before.prompt_tokens + 120)
    figures = {"queue_ms", "ttft_ms", "tpot_ms", "total_ms", "prefill_tokens_per_s", "decode_tokens_per_s"}
    assert after.model_dump(include=figures) == before.model_dump(include=figures)
    assert (before.decision_ms.p50, after.decision_ms.p50) == (None, 5000)
    # How long a place is taken, however, is told by both.
    assert house.requests.tally.retry_after_ms(waiting=1, slots=1) == pytest.approx(4000, rel=0.01)


def test_the_pick_of_one_question_comes_as_bare_text(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    request = house.decide(format="text")
    house.decided(house.engine.decisions[0].id, LIKELY_BATH)
    topic = f"edgeassist/box/reply/{request}"
    assert [(each.topic, each.payload) for each in house.published[:2]] == [(topic, b"bath"), (topic, b"")]
    end = json.loads(house.published[2].payload)
    assert house.published[2].topic == f"{topic}/end"
    assert (end["seq"], end["type"], end["answers"]["room"]["margin"]) == (2, "done", 0.5)
    assert len(house.published) == 3
    # The same again, for one that is sent twice.
    house.decide(format="text", id=request)
    assert [each.payload for each in house.published[3:5]] == [b"bath", b""]


def test_what_ended_is_told_with_what_was_asked(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    house.decide(client="homeassistant")
    house.decided(house.engine.decisions[0].id, LIKELY_BATH)
    ((caller, asked, end),) = house.ended
    assert caller.name == "homeassistant"
    assert asked is not None
    assert isinstance(end, Done)
    assert end.answers is not None


def test_the_daemon_listens_for_decisions_of_all_and_of_each_client(make_house: MakeHouse) -> None:
    filters = make_house().link.filters
    assert {"edgeassist/box/decide", "edgeassist/box/decide/+"} <= set(filters)


def test_a_decision_that_the_broker_delivers_again_is_made_once(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    payload = json.dumps({"state": "x", "questions": ROOM}).encode()
    message = Inbound(TOPICS.decide(), payload, packet_id=7)
    house.link.bring(message)
    house.link.bring(Inbound(TOPICS.decide(), payload, packet_id=7, redelivered=True))
    assert len(house.engine.decisions) == 1


def test_an_end_that_was_not_asked_for_is_a_defect_of_ours(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    request = house.decide()
    house.finish(house.engine.decisions[0].id)
    assert house.error(request) == "internal"
    other = house.decide()
    house.decided(house.engine.decisions[1].id, LIKELY_BATH)
    assert house.types(other) == ["done"]
