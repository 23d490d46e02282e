import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.errors import BusyError, ModelLoadingError, QuotaExceededError
from edgeassist.protocol.asking import Priority
from edgeassist.protocol.requests import PromptRequest
from edgeassist.serving.admission import Admission, Limits
from edgeassist.serving.caller import Caller
from edgeassist.serving.journal import NoJournal
from edgeassist.serving.record import Record
from edgeassist.serving.request import Request
from edgeassist.serving.stream import Stream
from tests.unit.conftest import PACE, ListSink

LOW, NORMAL, HIGH = Priority.LOW, Priority.NORMAL, Priority.HIGH


def admission(*, queue: int = 10, per_client: int = 10, ageing_s: float = 30) -> Admission:
    return Admission(Limits(queue, per_client, ageing_s))


def request(
    name: str,
    *,
    arrived: float = 0,
    priority: Priority = NORMAL,
    client: str | None = None,
    deadline: float = 1000,
    session: str | None = None,
) -> Request:
    asked = PromptRequest(id=name, prompt="x", priority=priority, session=session)
    record = Record(ListSink(), NoJournal(), None)
    stream = Stream(name, record, pace=PACE, device="box", arrived=arrived)
    return Request(asked, Caller(client), b"", stream, record, arrived, deadline)


def offer(room: Admission, *requests: Request) -> list[int]:
    """Let them in, one after the other, and return their positions."""
    positions = []
    for each in requests:
        room.check(each.caller, loading=False, retry_after_ms=7)
        positions.append(room.add(each))
    return positions


def end(room: Admission, name: str, client: str | None = None) -> None:
    found = room.find(Caller(client).key(name))
    assert found is not None
    room.end(found)


def order(room: Admission) -> str:
    """Take all that may start, and say in which order."""
    return "".join(each.asked.id for each in iter(room.start_next, None))


def test_requests_start_in_the_order_of_their_arrival() -> None:
    room = admission()
    assert offer(room, *(request(name, arrived=at) for at, name in enumerate("abc"))) == [0, 1, 2]
    assert (room.queued, room.running) == (3, 0)
    assert order(room) == "abc"
    assert (room.queued, room.running) == (0, 3)


def test_requests_of_the_same_moment_start_in_the_order_in_which_they_were_offered() -> None:
    room = admission()
    offer(room, *(request(name) for name in "cab"))
    assert order(room) == "cab"


def test_a_higher_priority_goes_first_and_learns_its_position() -> None:
    room = admission()
    positions = offer(
        room,
        request("l", priority=LOW),
        request("n", arrived=1),
        request("h", arrived=2, priority=HIGH),
        request("m", arrived=3),
    )
    assert positions == [0, 0, 0, 2]
    assert order(room) == "hnml"


@pytest.mark.parametrize(
    ("waited", "first"),
    [(29.9, "fresh"), (30.0, "old"), (31.0, "old")],
)
def test_a_request_that_waited_long_enough_goes_before_a_fresh_one_of_the_next_priority(
    waited: float, first: str
) -> None:
    room = admission(ageing_s=30)
    offer(room, request("old"), request("fresh", arrived=waited, priority=HIGH))
    taken = room.start_next()
    assert taken is not None
    assert taken.asked.id == first


def test_two_priorities_are_worth_twice_the_waiting() -> None:
    room = admission(ageing_s=30)
    offer(room, request("l", priority=LOW), request("h", arrived=59, priority=HIGH))
    assert order(room) == "hl"


def test_a_full_queue_refuses_the_next_one_and_says_when_to_come_back() -> None:
    room = admission(queue=2)
    offer(room, request("a"), request("b"))
    with pytest.raises(BusyError, match=r"2 requests wait.*admission\.queue") as refusal:
        offer(room, request("c", priority=HIGH))
    assert refusal.value.retry_after_ms == 7
    assert room.queued == 2


def test_a_queue_that_is_full_because_the_model_loads_says_so() -> None:
    room = admission(queue=1)
    offer(room, request("a"))
    with pytest.raises(ModelLoadingError, match="still loading, and 1 requests wait"):
        room.check(Caller(), loading=True, retry_after_ms=7)


def test_what_runs_takes_no_place_in_the_queue() -> None:
    room = admission(queue=1)
    offer(room, request("a"))
    room.start_next()
    assert offer(room, request("b")) == [0]


def test_a_client_may_have_so_many_waiting_and_running_together() -> None:
    room = admission(per_client=2)
    offer(room, request("a", client="k"))
    room.start_next()
    offer(room, request("b", client="k"))
    with pytest.raises(QuotaExceededError, match=r"client 'k' has 2 requests.*admission\.per_client") as full:
        offer(room, request("c", client="k"))
    assert full.value.retry_after_ms == 7
    offer(room, request("d", client="other"))
    end(room, "a", "k")
    offer(room, request("e", client="k"))


def test_the_shared_topic_counts_as_one_client() -> None:
    room = admission(per_client=1)
    offer(room, request("a"))
    with pytest.raises(QuotaExceededError, match="the shared prompt topic has 1 request"):
        offer(room, request("b"))


def test_a_refused_request_counts_against_nobody() -> None:
    room = admission(queue=1, per_client=2)
    offer(room, request("a", client="k"))
    for name in "bcd":
        with pytest.raises(BusyError):
            offer(room, request(name, client="k"))
    end(room, "a", "k")
    offer(room, request("e", client="k"))


def test_clients_whose_requests_ended_take_no_memory() -> None:
    room = admission()
    for number in range(5):
        offer(room, request(str(number), client=f"client-{number}"))
        end(room, str(number), f"client-{number}")
    assert not room._requests


def test_requests_of_one_conversation_run_one_after_the_other() -> None:
    room = admission()
    offer(
        room,
        request("a", session="s"),
        request("b", arrived=1, session="s"),
        request("c", arrived=2, session="t"),
        request("d", arrived=3),
    )
    assert order(room) == "acd"
    end(room, "c")
    assert room.start_next() is None
    end(room, "a")
    assert order(room) == "b"


def test_a_request_that_could_not_begin_waits_again_where_it_was() -> None:
    room = admission(per_client=3)
    offer(room, *(request(name, arrived=at, client="k") for at, name in enumerate("abc")))
    first = room.start_next()
    assert first is not None
    room.put_back(first)
    assert (room.queued, room.running) == (3, 0)
    with pytest.raises(QuotaExceededError):
        offer(room, request("d", client="k"))
    assert order(room) == "abc"


def test_a_request_that_waits_can_end_too() -> None:
    room = admission()
    offer(room, request("a"), request("b"))
    end(room, "a")
    assert order(room) == "b"


def test_waiting_and_running_requests_run_out_of_time() -> None:
    room = admission()
    assert room.next_deadline() is None
    offer(room, request("a", deadline=5), request("b", deadline=3), request("c", deadline=9))
    room.start_next()
    assert room.next_deadline() == 3
    assert room.overdue(2.9) == []
    assert {each.asked.id for each in room.overdue(5)} == {"a", "b"}
    for each in room.overdue(5):
        room.end(each)
    assert room.next_deadline() == 9


@given(
    drawn=st.lists(
        st.tuples(st.integers(0, 200), st.sampled_from(Priority), st.sampled_from([None, "k"])), max_size=12
    ),
    takes=st.integers(0, 12),
)
def test_no_request_is_lost_or_started_twice_and_nobody_waits_for_one_that_came_much_later(
    drawn: list[tuple[int, Priority, str | None]], takes: int
) -> None:
    room = admission(queue=20, per_client=20, ageing_s=30)
    for number, (arrived, priority, client) in enumerate(drawn):
        offer(room, request(str(number), arrived=arrived, priority=priority, client=client))
    early = [each for each in (room.start_next() for _ in range(takes)) if each is not None]
    for each in early:
        room.put_back(each)
    taken = list(iter(room.start_next, None))
    assert sorted(each.asked.id for each in taken) == sorted(str(number) for number in range(len(drawn)))
    for before, after in itertools.combinations(taken, 2):
        assert before.arrived <= after.arrived + 60
        if before.asked.priority is after.asked.priority:
            assert before.arrived <= after.arrived
    for each in taken:
        room.end(each)
    assert (room.queued, room.running, room.next_deadline()) == (0, 0, None)
