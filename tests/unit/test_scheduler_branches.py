"""Prompts without an answer: what is compared in them, beside streams."""

from __future__ import annotations

import pytest

from edgeassist.engine.kv.world import PLAIN
from edgeassist.engine.pacing import Pacer
from edgeassist.engine.prefill import READS
from edgeassist.engine.scheduler import Scheduler
from edgeassist.engine.sequence import Ending, Outcome, Sequence, State
from edgeassist.engine.step import Plan, Read, Share, Token, Trim, Yield
from edgeassist.errors import ContextOverflowError, InternalError

STATE = list(range(100, 140))


def make(*, slots: int = 1, branches: int = 8, context: int = 256, most: int = 64) -> Scheduler:
    return Scheduler(slots=slots, context=context, pacer=Pacer(target_s=3600, most=most), branches=branches)


def admit(scheduler: Scheduler, name: str, tail: list[int], *more: int) -> Sequence:
    """Admit the state and a question, which is compared after its end, and after so many tokens of it."""
    tokens = [*STATE, *tail]
    positions = sorted({*(len(STATE) + at for at in more), len(tokens) - 1})
    reads = tuple(Read(position, (1, 2)) for position in positions)
    return scheduler.admit_branch(name, tokens, reads, world=PLAIN)


def commit(scheduler: Scheduler, plan: Plan) -> list[Outcome]:
    sampled = {work.slot: [Token(9, b"x", ends=False)] for work in plan.work if work.samples}
    compared = {work.slot: [[float(read.position), 0.0] for read in work.reads] for work in plan.work}
    return scheduler.commit(plan, Yield(sampled, compared), 0.001)


def test_all_questions_take_two_steps_because_the_first_reads_the_state_for_all() -> None:
    scheduler = make()
    first, *others = (admit(scheduler, str(number), [number, 3]) for number in range(8))
    plan = scheduler.plan()
    assert [(work.slot, len(work.tokens)) for work in plan.work] == [(first.slot, len(STATE) + 2)]
    (outcome,) = commit(scheduler, plan)
    assert outcome.ending is Ending.LIMIT
    plan = scheduler.plan()
    assert plan.memory == tuple(Share(first.slot, each.slot, len(STATE)) for each in others)
    assert [len(work.tokens) for work in plan.work] == [2] * 7
    assert all(outcome.ending for outcome in commit(scheduler, plan))
    assert scheduler.plan().work == ()


def test_no_token_is_sampled_and_what_is_compared_is_told_with_its_step() -> None:
    scheduler = make(most=30)
    branch = admit(scheduler, "a", [1, 2, 3, 4], 0, 1)
    plan = scheduler.plan()
    assert [(work.samples, work.reads) for work in plan.work] == [(False, ())]
    (outcome,) = commit(scheduler, plan)
    assert (outcome.compared, outcome.ending) == ((), None)
    (outcome,) = commit(scheduler, scheduler.plan())
    assert [position for position, _ in outcome.compared] == [40, 41, 43]
    assert branch.state is State.READ


def test_streams_go_first_and_share_their_step() -> None:
    scheduler = make(slots=1)
    stream = scheduler.admit("stream", [1, 2], 10, world=PLAIN)
    commit(scheduler, scheduler.plan())
    admit(scheduler, "a", [7])
    plan = scheduler.plan()
    assert next((work.slot, work.samples) for work in plan.work) == (stream.slot, True)
    assert len(plan.work) == 2


def test_a_step_compares_no_more_than_there_is_room_for() -> None:
    scheduler = make(branches=30, most=200, context=256)
    for number in range(30):
        scheduler.admit_branch(str(number), [number + 1, 2], (Read(0, (1,)), Read(1, (1,))), world=PLAIN)
    seen = 0
    while (plan := scheduler.plan()).work:
        reads = sum(len(work.reads) for work in plan.work)
        assert 0 < reads <= READS
        seen += reads
        commit(scheduler, plan)
    assert seen == 60


def test_what_is_compared_is_computed_although_another_has_it() -> None:
    scheduler = make()
    admit(scheduler, "a", [1, 2, 3])
    commit(scheduler, scheduler.plan())
    again = admit(scheduler, "b", [1, 2, 3], 0)
    plan = scheduler.plan()
    assert plan.memory[0].length == 40  # type: ignore[union-attr]
    (outcome,) = commit(scheduler, plan)
    assert len(outcome.compared) == 2
    assert again.rest == 0


def test_without_room_the_state_that_is_only_kept_goes_once_nothing_else_can() -> None:
    scheduler = make()
    first, last = admit(scheduler, "a", [1, 2]), admit(scheduler, "b", [3] * 5)
    commit(scheduler, scheduler.plan())
    while len((plan := scheduler.plan()).work[0].tokens) > 1:
        assert scheduler.preempt(plan)
    assert scheduler.preempt(plan)
    assert scheduler.plan().memory == (Trim(first.slot),)
    # That was all: the next time it is an error, and not the same again.
    assert not scheduler.preempt(plan)
    assert last.state is State.RUNNING


def test_a_preempted_one_is_compared_once_for_each_read() -> None:
    scheduler = make(most=42)
    older = scheduler.admit("stream", [1], 50, world=PLAIN)
    admit(scheduler, "a", [1, 2, 3, 4, 5, 6], 0)
    (_, outcome) = commit(scheduler, scheduler.plan())
    assert len(outcome.compared) == 1
    plan = scheduler.plan()
    while scheduler.preempt(plan) and len(scheduler.plan().work) > 1:
        plan = scheduler.plan()
    scheduler.remove(older)
    found = 0
    while (plan := scheduler.plan()).work:
        found += sum(len(each.compared) for each in commit(scheduler, plan))
    assert found == 1


def test_those_that_were_preempted_go_on_although_the_one_that_ended_keeps_its_slot() -> None:
    scheduler = make(most=42)
    stream = scheduler.admit("stream", [1], 50, world=PLAIN)
    first, *others = (admit(scheduler, str(number), [number, 3]) for number in range(3))
    commit(scheduler, scheduler.plan())
    while len(scheduler.plan().work) > 1 or scheduler.plan().tokens > 1:
        assert scheduler.preempt(scheduler.plan())
    scheduler.remove(stream)
    # The first is kept for the others: nothing is removed when it ends.
    while (plan := scheduler.plan()).work:
        for outcome in commit(scheduler, plan):
            if outcome.ending is not None and outcome.sequence is not first:
                scheduler.remove(outcome.sequence)
    assert [each.compared for each in (first, *others)] == [1, 1, 1]


def test_where_no_slots_are_set_apart_it_takes_one_of_an_answer() -> None:
    scheduler = make(slots=1, branches=0)
    branch = admit(scheduler, "a", [1])
    assert scheduler.free_branches == 0
    scheduler.remove(branch)
    assert scheduler.free_branches == 1


def test_one_that_is_too_long_or_comes_without_a_slot_is_refused() -> None:
    scheduler = make(branches=1, context=41)
    with pytest.raises(ContextOverflowError):
        admit(scheduler, "a", [1, 2])
    admit(scheduler, "b", [1])
    with pytest.raises(InternalError):
        admit(scheduler, "c", [1])


def test_beside_streams_a_decision_keeps_to_the_time_of_a_step_where_a_prompt_may_stretch_it() -> None:
    pacer = Pacer(target_s=0.25, most=512)
    pacer.learn(prefilled=512, streams=0, seconds=5.12)
    scheduler = Scheduler(slots=2, context=512, pacer=pacer, branches=2)
    scheduler.admit("stream", [1, 2], 10, world=PLAIN)
    commit(scheduler, scheduler.plan())
    scheduler.admit_branch("a", [5] * 200, (Read(199, (1, 2)),), world=PLAIN)
    assert sum(len(work.tokens) for work in scheduler.plan().work) * 0.01 <= 0.25
    scheduler.admit("prompt", [6] * 200, 10, world=PLAIN)
    assert sum(len(work.tokens) for work in scheduler.plan().work) == 64
