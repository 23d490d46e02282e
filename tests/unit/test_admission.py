import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.errors import BusyError, QuotaExceededError
from edgeassist.protocol.requests import Priority
from edgeassist.serving.admission import Admission, Limits, Ticket

LOW, NORMAL, HIGH = Priority.LOW, Priority.NORMAL, Priority.HIGH


def admission(*, queue: int = 10, per_client: int = 10, ageing_s: float = 30) -> Admission:
    return Admission(Limits(queue, per_client, ageing_s))


def ticket(
    request: str,
    *,
    arrived: float = 0,
    priority: Priority = NORMAL,
    client: str = "",
    deadline: float = 1000,
    session: str | None = None,
) -> Ticket:
    return Ticket(request, client, priority, arrived, deadline, session)


def offer(room: Admission, *tickets: Ticket) -> list[int]:
    return [room.offer(each, retry_after_ms=7) for each in tickets]


def order(room: Admission) -> str:
    """Take all that may start, and say in which order."""
    return "".join(each.id for each in iter(room.take, None))


def test_requests_start_in_the_order_of_their_arrival() -> None:
    room = admission()
    assert offer(room, *(ticket(name, arrived=at) for at, name in enumerate("abc"))) == [0, 1, 2]
    assert (room.queued, room.running) == (3, 0)
    assert order(room) == "abc"
    assert (room.queued, room.running) == (0, 3)


def test_requests_of_the_same_moment_start_in_the_order_in_which_they_were_offered() -> None:
    room = admission()
    offer(room, *(ticket(name) for name in "cab"))
    assert order(room) == "cab"


def test_a_higher_priority_goes_first_and_learns_its_position() -> None:
    room = admission()
    positions = offer(
        room,
        ticket("l", priority=LOW),
        ticket("n", arrived=1),
        ticket("h", arrived=2, priority=HIGH),
        ticket("m", arrived=3),
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
    offer(room, ticket("old"), ticket("fresh", arrived=waited, priority=HIGH))
    taken = room.take()
    assert taken is not None
    assert taken.id == first


def test_two_priorities_are_worth_twice_the_waiting() -> None:
    room = admission(ageing_s=30)
    offer(room, ticket("l", priority=LOW), ticket("h", arrived=59, priority=HIGH))
    assert order(room) == "hl"


def test_a_full_queue_refuses_the_next_one_and_says_when_to_come_back() -> None:
    room = admission(queue=2)
    offer(room, ticket("a"), ticket("b"))
    with pytest.raises(BusyError, match=r"2 requests wait.*admission\.queue") as refusal:
        offer(room, ticket("c", priority=HIGH))
    assert refusal.value.retry_after_ms == 7
    assert room.queued == 2


def test_what_runs_takes_no_place_in_the_queue() -> None:
    room = admission(queue=1)
    offer(room, ticket("a"))
    room.take()
    assert offer(room, ticket("b")) == [0]


def test_a_client_may_have_so_many_waiting_and_running_together() -> None:
    room = admission(per_client=2)
    offer(room, ticket("a", client="k"))
    room.take()
    offer(room, ticket("b", client="k"))
    with pytest.raises(QuotaExceededError, match=r"client 'k' has 2 requests.*admission\.per_client") as full:
        offer(room, ticket("c", client="k"))
    assert full.value.retry_after_ms == 7
    offer(room, ticket("d", client="other"))
    room.end("a")
    offer(room, ticket("e", client="k"))


def test_the_shared_topic_counts_as_one_client() -> None:
    room = admission(per_client=1)
    offer(room, ticket("a"))
    with pytest.raises(QuotaExceededError, match="the shared prompt topic has 1 request"):
        offer(room, ticket("b"))


def test_a_refused_request_counts_against_nobody() -> None:
    room = admission(queue=1, per_client=2)
    offer(room, ticket("a", client="k"))
    for name in "bcd":
        with pytest.raises(BusyError):
            offer(room, ticket(name, client="k"))
    room.end("a")
    offer(room, ticket("e", client="k"))


def test_clients_whose_requests_ended_take_no_memory() -> None:
    room = admission()
    for number in range(5):
        offer(room, ticket(str(number), client=f"client-{number}"))
        room.end(str(number))
    assert not room._per_client


def test_requests_of_one_conversation_run_one_after_the_other() -> None:
    room = admission()
    offer(
        room,
        ticket("a", session="s"),
        ticket("b", arrived=1, session="s"),
        ticket("c", arrived=2, session="t"),
        ticket("d", arrived=3),
    )
    assert order(room) == "acd"
    room.end("c")
    assert room.take() is None
    room.end("a")
    assert order(room) == "b"


def test_a_request_that_could_not_begin_waits_again_where_it_was() -> None:
    room = admission(per_client=3)
    offer(room, *(ticket(name, arrived=at, client="k") for at, name in enumerate("abc")))
    room.take()
    room.put_back("a")
    assert (room.queued, room.running) == (3, 0)
    with pytest.raises(QuotaExceededError):
        offer(room, ticket("d", client="k"))
    assert order(room) == "abc"


def test_a_request_that_waits_can_end_too() -> None:
    room = admission()
    offer(room, ticket("a"), ticket("b"))
    room.end("a")
    assert order(room) == "b"


def test_waiting_and_running_requests_run_out_of_time() -> None:
    room = admission()
    assert room.next_deadline() is None
    offer(room, ticket("a", deadline=5), ticket("b", deadline=3), ticket("c", deadline=9))
    room.take()
    assert room.next_deadline() == 3
    assert room.overdue(2.9) == []
    assert {each.id for each in room.overdue(5)} == {"a", "b"}
    for each in room.overdue(5):
        room.end(each.id)
    assert room.next_deadline() == 9


@given(
    tickets=st.lists(
        st.tuples(st.integers(0, 200), st.sampled_from(Priority), st.sampled_from(["", "k"])), max_size=12
    ),
    takes=st.integers(0, 12),
)
def test_no_request_is_lost_or_started_twice_and_nobody_waits_for_one_that_came_much_later(
    tickets: list[tuple[int, Priority, str]], takes: int
) -> None:
    room = admission(queue=20, per_client=20, ageing_s=30)
    for number, (arrived, priority, client) in enumerate(tickets):
        offer(room, ticket(str(number), arrived=arrived, priority=priority, client=client))
    early = [each for each in (room.take() for _ in range(takes)) if each is not None]
    for each in early:
        room.put_back(each.id)
    taken = list(iter(room.take, None))
    assert sorted(each.id for each in taken) == sorted(str(number) for number in range(len(tickets)))
    for before, after in itertools.combinations(taken, 2):
        assert before.arrived <= after.arrived + 60
        if before.priority is after.priority:
            assert before.arrived <= after.arrived
    for each in taken:
        room.end(each.id)
    assert (room.queued, room.running, room.next_deadline()) == (0, 0, None)
