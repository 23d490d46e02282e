from dataclasses import replace

import pytest

from edgeassist.engine.messages import Cancelled, Delta, DeltaKind, Encoding, Prefilled
from edgeassist.serving.admission import Limits
from edgeassist.serving.engines import MAX_ATTEMPTS, MAX_RERUNS
from tests.unit.conftest import MakeHouse


def test_an_answer_that_had_begun_ends_with_the_engine_and_what_had_not_waits_for_the_next(
    make_house: MakeHouse,
) -> None:
    house = make_house()
    house.ready(slots=2)
    begun, fresh, waiting = (house.ask(name) for name in ("begun", "fresh", "waiting"))
    house.say(Delta(house.engine.starts[0].id, "so far"))
    house.say(Prefilled(house.engine.starts[1].id, 1, 0, 2))
    house.requests.engines.lost("it died", planned=False)
    assert house.error(begun) == "engine_crashed"
    assert house.heard(begun)[-1]["text"] == "so far"
    assert "it died" in house.heard(begun)[-1]["message"]
    assert (house.requests.queued, house.requests.running) == (2, 0)
    house.ready(slots=2)
    assert [start.messages[0].content for start in house.engine.starts[2:]] == ["fresh", "waiting"]
    for start in house.engine.starts[2:]:
        house.finish(start.id, "after all")
    assert house.heard(fresh)[-1]["text"] == house.heard(waiting)[-1]["text"] == "after all"


@pytest.mark.parametrize("planned", [False, True])
def test_an_answer_that_had_begun_begins_anew_where_it_asks_for_that(
    make_house: MakeHouse, *, planned: bool
) -> None:
    house = make_house()
    house.ready(slots=2)
    reruns = house.ask("x", on_crash="rerun", metadata={"room": 1})
    house.say(Delta(house.engine.starts[0].id, "so far"))
    before = house.ask("y")
    house.requests.engines.lost("it died", planned=planned)
    house.ready()
    # Its place is that of its age.
    assert house.engine.starts[-1].messages[0].content == "x"
    house.finish(house.engine.starts[-1].id, "another answer")
    heard = house.heard(reruns)
    assert [(event["type"], event["seq"]) for event in heard] == [
        ("accepted", 0),
        ("chunk", 1),
        ("accepted", 0),
        ("chunk", 1),
        ("done", 2),
    ]
    assert heard[2] == {**heard[0], "position": 0}
    assert heard[-1]["text"] == "another answer"
    assert house.types(before) == ["accepted"]


def test_an_answer_that_ends_every_engine_does_not_begin_anew_for_ever(make_house: MakeHouse) -> None:
    house = make_house()
    request = house.ask(on_crash="rerun")
    for _ in range(MAX_RERUNS + 1):
        assert house.types(request)[-1] == "accepted"
        house.ready()
        house.say(Delta(house.engine.starts[-1].id, "so far"))
        house.requests.engines.lost("it died", planned=False)
    assert (house.error(request), house.heard(request)[-1]["retryable"]) == ("engine_crashed", False)
    assert house.heard(request)[-1]["text"] == "so far"
    house.ready()
    assert len(house.engine.starts) == MAX_RERUNS + 1


def test_an_answer_whose_model_is_replaced_again_and_again_may_be_asked_for_again(
    make_house: MakeHouse,
) -> None:
    house = make_house()
    request = house.ask(on_crash="rerun")
    for _ in range(MAX_RERUNS + 1):
        house.ready()
        house.say(Delta(house.engine.starts[-1].id, "so far"))
        house.requests.engines.lost("another model was chosen", planned=True)
    assert (house.error(request), house.heard(request)[-1]["retryable"]) == ("model_loading", True)


def test_an_answer_that_begins_anew_counts_its_engines_from_there(make_house: MakeHouse) -> None:
    house = make_house()
    request = house.ask(on_crash="rerun")
    house.ready()
    house.say(Delta(house.engine.starts[-1].id, "so far"))
    house.requests.engines.lost("it died", planned=False)
    for _ in range(MAX_ATTEMPTS):
        assert house.types(request)[-1] == "accepted"
        house.ready()
        house.requests.engines.lost("it died", planned=False)
    assert (house.error(request), house.heard(request)[-1]["retryable"]) == ("engine_crashed", False)


def test_thoughts_and_calls_begin_anew_with_the_answer(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    tool = {"type": "function", "function": {"name": "f"}}
    request = house.ask(on_crash="rerun", tools=[tool])
    for _ in range(2):
        job = house.engine.starts[-1].id
        house.say(Delta(job, "hm", DeltaKind.THOUGHT))
        house.say(Delta(job, '{"name":"f","arguments":"{}"}', DeltaKind.TOOL_CALL))
        house.requests.engines.lost("it died", planned=False)
        house.ready()
    job = house.engine.starts[-1].id
    house.say(Delta(job, "yes", DeltaKind.THOUGHT))
    house.say(Delta(job, '{"name":"f","arguments":"{}"}', DeltaKind.TOOL_CALL))
    house.finish(job)
    assert house.types(request) == [*["accepted", "reasoning", "tool_call"] * 3, "done"]
    done = house.heard(request)[-1]
    assert (done["seq"], done["reasoning"], len(done["tool_calls"])) == (3, "yes", 1)


async def test_the_deadline_of_an_answer_that_begins_anew_is_that_of_its_request(
    make_house: MakeHouse,
) -> None:
    house = make_house()
    house.ready()
    request = house.ask(on_crash="rerun", timeout_s=30)
    house.say(Delta(house.engine.starts[-1].id, "so far"))
    await house.pass_time(20)
    house.requests.engines.lost("it died", planned=False)
    await house.pass_time(11)
    assert house.error(request) == "deadline_exceeded"
    assert house.heard(request)[-1]["seq"] == 1


def test_a_prompt_that_killed_the_engine_again_and_again_is_given_up(make_house: MakeHouse) -> None:
    house = make_house()
    request = house.ask()
    for _ in range(MAX_ATTEMPTS):
        assert house.types(request) == ["accepted"]
        house.ready()
        house.requests.engines.lost("it died", planned=False)
    assert house.error(request) == "engine_crashed"
    house.ready()
    assert len(house.engine.starts) == MAX_ATTEMPTS


def test_a_prompt_that_ended_two_engines_is_not_to_be_sent_again(make_house: MakeHouse) -> None:
    house = make_house()
    request = house.ask()
    for _ in range(MAX_ATTEMPTS):
        house.ready()
        house.requests.engines.lost("it died", planned=False)
    assert not house.heard(request)[-1]["retryable"]
    assert "it died" in house.heard(request)[-1]["message"]


def test_a_prompt_that_ends_the_engine_while_it_is_encoded_gets_no_second_one(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready(slots=3)
    streaming, suspect, waiting = house.ask("a"), house.ask("b"), house.ask("c")
    house.say(Delta(house.engine.starts[0].id, "so far"))
    house.say(Encoding(house.engine.starts[1].id))
    house.requests.engines.lost("it died", planned=False)
    assert (house.error(suspect), house.heard(suspect)[-1]["retryable"]) == ("engine_crashed", False)
    assert (house.error(streaming), house.heard(streaming)[-1]["retryable"]) == ("engine_crashed", True)
    house.ready(slots=3)
    assert [start.messages[0].content for start in house.engine.starts[3:]] == ["c"]
    house.finish(house.engine.starts[3].id, "after all")
    assert house.heard(waiting)[-1]["text"] == "after all"


def test_what_waits_while_others_end_the_engine_is_not_counted_as_a_suspect(make_house: MakeHouse) -> None:
    house = make_house()
    innocent = house.ask("innocent")
    for number in range(MAX_ATTEMPTS + 1):
        suspect = house.ask("deadly")
        house.ready(slots=2)
        house.say(Encoding(house.engine.starts[-1].id))
        house.requests.engines.lost(f"death {number}", planned=False)
        assert house.error(suspect) == "engine_crashed"
    house.ready(slots=2)
    house.finish(house.engine.starts[-1].id, "after all")
    assert house.heard(innocent)[-1]["text"] == "after all"


def test_a_prompt_that_is_encoded_is_no_suspect_any_more(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    request = house.ask()
    for done in (False, True):
        house.say(Encoding(house.engine.starts[0].id, done=done))
    house.requests.engines.lost("it died", planned=False)
    house.ready()
    house.finish(house.engine.starts[1].id, "after all")
    assert house.heard(request)[-1]["text"] == "after all"


def test_a_cancelled_prompt_that_ends_the_engine_is_nobody_elses_fault(make_house: MakeHouse) -> None:
    house = make_house()
    innocent = house.ask("innocent")
    for _ in range(MAX_ATTEMPTS):
        cancelled = house.ask("deadly")
        house.ready(slots=2)
        house.say(Encoding(house.engine.starts[-1].id))
        house.requests.cancel(cancelled)
        house.requests.engines.lost("it died", planned=False)
    assert house.types(innocent) == ["accepted"]


def test_an_engine_that_is_replaced_on_purpose_is_neither_a_crash_nor_a_prompts_fault(
    make_house: MakeHouse,
) -> None:
    house = make_house()
    begun, fresh = house.ask(), house.ask()
    house.ready(slots=2)
    house.say(Delta(house.engine.starts[0].id, "so far"))
    for _ in range(MAX_ATTEMPTS + 1):
        house.requests.engines.lost("another model was chosen", planned=True)
        house.ready(slots=2)
    assert house.error(begun) == "model_loading"
    assert house.heard(begun)[-1]["retryable"]
    house.finish(house.engine.starts[-1].id, "after all")
    assert house.types(fresh) == ["accepted", "chunk", "done"]


def test_what_a_lost_engine_still_says_is_ignored(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    request = house.ask()
    lost = house.engine.starts[0].id
    house.requests.engines.lost("it died", planned=False)
    house.ready()
    house.finish(lost, "from the grave")
    assert house.types(request) == ["accepted"]


def test_a_cancelled_job_dies_in_silence_with_its_engine(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    request = house.ask()
    house.requests.cancel(request)
    house.requests.engines.lost("it died", planned=False)
    house.ready()
    house.ask()
    assert house.types(request) == ["accepted", "error"]
    assert len(house.engine.starts) == 2


def test_without_a_model_all_that_waits_is_refused_until_one_is_there(make_house: MakeHouse) -> None:
    house = make_house()
    waited = house.ask()
    house.requests.engines.unusable("no such file")
    late = house.ask()
    for request in (waited, late):
        assert house.error(request) == "model_unavailable"
        assert "no such file" in house.heard(request)[-1]["message"]
    house.ready()
    assert house.types(house.ask()) == ["accepted"]
    assert len(house.engine.starts) == 1


async def test_a_prompt_that_waited_too_long_ends_and_one_with_time_left_does_not(
    make_house: MakeHouse,
) -> None:
    house = make_house(timeout_s=60)
    short, long = house.ask(timeout_s=10), house.ask()
    await house.pass_time(9.9)
    assert house.types(short) == ["accepted"]
    await house.pass_time(0.1)
    assert house.error(short) == "deadline_exceeded"
    assert house.types(long) == ["accepted"]
    await house.pass_time(51)
    assert house.error(long) == "deadline_exceeded"


async def test_an_answer_that_takes_too_long_ends_and_its_job_is_cancelled(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    request = house.ask(timeout_s=10)
    job = house.engine.starts[0].id
    house.say(Delta(job, "so far"))
    await house.pass_time(11)
    assert house.error(request) == "deadline_exceeded"
    assert house.heard(request)[-1]["text"] == "so far"
    assert house.engine.cancels == [job]
    house.say(Cancelled(job))
    assert house.requests.running == 0


@pytest.mark.parametrize(("expiry_s", "timeout_s"), [(5, 50), (50, 5)])
async def test_the_expiry_of_a_message_is_a_deadline_too(
    make_house: MakeHouse, expiry_s: int, timeout_s: int
) -> None:
    house = make_house()
    request = house.ask(timeout_s=timeout_s, properties={"expiry_s": expiry_s})
    await house.pass_time(4.9)
    assert house.types(request) == ["accepted"]
    await house.pass_time(0.2)
    assert house.error(request) == "deadline_exceeded"


async def test_text_that_has_waited_long_enough_goes_out_without_more_text(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    request = house.ask()
    job = house.engine.starts[0].id
    house.say(Delta(job, "a"))
    house.say(Delta(job, "b"))
    await house.pass_time(0.04)
    assert house.types(request) == ["accepted", "chunk"]
    await house.pass_time(0.02)
    assert [event["text"] for event in house.heard(request)[1:]] == ["a", "b"]


async def test_while_the_broker_is_congested_text_waits_and_then_comes_in_one(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    request = house.ask()
    job = house.engine.starts[0].id
    house.link.congested = True
    for text in "abc":
        house.say(Delta(job, text))
        await house.pass_time(1)
    assert house.types(request) == ["accepted"]
    house.link.congested = False
    await house.pass_time(1)
    assert [event["text"] for event in house.heard(request)[1:]] == ["abc"]


def test_a_closed_house_ends_what_waits_and_refuses_what_comes_and_lets_running_answers_end(
    make_house: MakeHouse,
) -> None:
    house = make_house()
    house.ready()
    running, waiting = house.ask(), house.ask()
    house.requests.close()
    assert house.error(waiting) == "shutting_down"
    assert house.error(house.ask()) == "shutting_down"
    house.finish(house.engine.starts[0].id, "just in time")
    assert house.heard(running)[-1]["text"] == "just in time"
    assert len(house.engine.starts) == 1


def test_what_still_runs_at_the_very_end_is_ended(make_house: MakeHouse) -> None:
    house = make_house()
    house.ready()
    request = house.ask()
    house.requests.close()
    house.requests.abandon()
    assert house.error(request) == "shutting_down"
    assert house.engine.cancels == [house.engine.starts[0].id]
    assert (house.requests.queued, house.requests.running) == (0, 0)


def test_other_settings_hold_for_what_comes_and_not_for_what_is_under_way(make_house: MakeHouse) -> None:
    house = make_house(max_tokens=64)
    house.ready()
    running, waiting = house.ask(), house.ask()
    house.requests.apply(
        replace(house.policy, limits=Limits(queue=1, per_client=9, ageing_s=30), max_tokens=3)
    )
    assert house.error(house.ask()) == "busy"
    house.finish(house.engine.starts[0].id, "a")
    assert house.types(running) == ["accepted", "chunk", "done"]
    assert house.types(waiting) == ["accepted"]
    house.finish(house.engine.starts[1].id, "b")
    house.ask()
    assert [start.max_tokens for start in house.engine.starts][::2] == [64, 3]
