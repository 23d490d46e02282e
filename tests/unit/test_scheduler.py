from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edgeassist.engine.kv.reach import Reach, least
from edgeassist.engine.kv.world import PLAIN, World
from edgeassist.engine.pacing import BLOCK, Pacer
from edgeassist.engine.scheduler import LEAST_SHARED, Scheduler
from edgeassist.engine.sequence import Ending, Outcome, Sequence, State
from edgeassist.engine.speculation import Speculation
from edgeassist.engine.step import Plan, Share, Token, Trim, Work, Yield
from edgeassist.errors import ContextOverflowError, InternalError

END = Token(0, b"", ends=True)


def word(number: int) -> Token:
    return Token(number, b"w", ends=False)


def tokens(count: int, *, first: int = 1) -> list[int]:
    return list(range(first, first + count))


def make(
    *,
    slots: int,
    context: int = 64,
    step_tokens: int = 8,
    speculation: Speculation | None = None,
    reach: Reach = None,
) -> Scheduler:
    """Return a scheduler whose steps are bounded by tokens only."""
    return Scheduler(
        slots=slots,
        context=context,
        pacer=Pacer(target_s=3600, most=step_tokens),
        speculation=speculation,
        reach=reach,
    )


def admit(
    scheduler: Scheduler,
    request: str,
    prompt: list[int],
    max_tokens: int,
    *,
    world: World = PLAIN,
    reproducible: bool = False,
) -> Sequence:
    """Admit a prompt of text alone, unless the test names a world."""
    return scheduler.admit(request, prompt, max_tokens, world=world, reproducible=reproducible)


def commit(scheduler: Scheduler, plan: Plan, token: Token) -> list[Outcome]:
    return scheduler.commit(plan, Yield({work.slot: [token] for work in plan.work if work.samples}), 0.001)


def step(scheduler: Scheduler, token: Token) -> Plan:
    """Compute one step in which every sequence that samples gets that token."""
    plan = scheduler.plan()
    commit(scheduler, plan, token)
    return plan


def test_without_sequences_the_plan_is_empty() -> None:
    plan = make(slots=2, context=16, step_tokens=8).plan()
    assert plan.work == ()
    assert plan.tokens == 0


def test_a_long_prompt_is_prefilled_in_steps_of_the_budget_and_samples_with_the_last() -> None:
    scheduler = make(slots=1, context=64, step_tokens=4)
    sequence = admit(scheduler, "a", tokens(10), 5)
    assert step(scheduler, word(99)).work == (Work(0, 0, [1, 2, 3, 4], samples=False),)
    assert step(scheduler, word(99)).work == (Work(0, 4, [5, 6, 7, 8], samples=False),)
    assert sequence.prefilled == 8
    assert step(scheduler, word(99)).work == (Work(0, 8, [9, 10], samples=True),)
    assert scheduler.plan().work == (Work(0, 10, (99,), samples=True),)


def test_a_running_stream_gets_its_token_before_a_long_prompt_gets_the_rest() -> None:
    scheduler = make(slots=2, context=64, step_tokens=4)
    admit(scheduler, "stream", tokens(2), 50)
    step(scheduler, word(7))
    admit(scheduler, "long", tokens(40), 5)
    for _ in range(5):
        decode, prefill = step(scheduler, word(7)).work
        assert (decode.slot, decode.tokens) == (0, (7,))
        assert (prefill.slot, len(prefill.tokens)) == (1, 3)


def test_prefill_goes_to_the_oldest_prompt_first_and_what_is_left_to_the_next() -> None:
    scheduler = make(slots=3)
    for name in ("first", "second", "third"):
        admit(scheduler, name, tokens(5, first=ord(name[0])), 5)
    assert [(work.slot, len(work.tokens)) for work in scheduler.plan().work] == [(0, 5), (1, 3)]


def test_a_short_prompt_passes_a_long_one_that_keeps_half_of_the_budget() -> None:
    scheduler = make(slots=2)
    admit(scheduler, "long", tokens(60, first=1), 3)
    admit(scheduler, "short", tokens(7, first=100), 3)
    assert [(work.slot, len(work.tokens)) for work in step(scheduler, word(7)).work] == [(0, 4), (1, 4)]
    assert [(work.slot, len(work.tokens)) for work in step(scheduler, word(7)).work] == [(0, 5), (1, 3)]


def test_every_stream_moves_in_every_step_however_small_its_budget() -> None:
    scheduler = make(slots=3, step_tokens=1)
    for name in "abc":
        admit(scheduler, name, [ord(name)], 50)
    for _ in range(4):
        assert [work.slot for work in step(scheduler, word(5)).work] == [0, 1, 2]


def test_before_anything_was_measured_a_step_is_small() -> None:
    scheduler = make(slots=1, context=2000, step_tokens=1000)
    admit(scheduler, "a", tokens(900), 5)
    assert step(scheduler, word(1)).tokens == BLOCK
    assert step(scheduler, word(1)).tokens == 900 - BLOCK


# --- prefixes ----------------------------------------------------------------------------------------------


def test_prompts_that_come_together_prefill_what_they_share_once() -> None:
    scheduler = make(slots=4, context=200, step_tokens=32)
    shared = tokens(100)
    running = [
        admit(scheduler, str(number), [*shared, *tokens(4, first=1000 * (number + 1))], 1)
        for number in range(4)
    ]
    computed = 0
    while any(seq.generated == 0 for seq in running):
        computed += step(scheduler, word(7)).tokens
    first, *others = [seq.cached for seq in running]
    assert first == 0
    assert all(100 - LEAST_SHARED <= cached <= 100 for cached in others)
    assert computed == 4 * 104 - sum(others)


def test_the_last_token_of_a_prompt_is_computed_even_if_all_of_it_is_there() -> None:
    scheduler = make(slots=2, step_tokens=64)
    first = admit(scheduler, "first", tokens(30), 9)
    step(scheduler, word(1))
    again = admit(scheduler, "again", tokens(30), 9)
    plan = step(scheduler, word(1))
    assert plan.memory == (Share(first.slot, again.slot, 29),)
    assert plan.work[1] == Work(again.slot, 29, (30,), samples=True)
    assert again.cached == 29


def test_one_that_waits_for_a_shared_prefix_goes_on_alone_when_the_other_is_cancelled() -> None:
    scheduler = make(slots=2, context=200, step_tokens=32)
    first = admit(scheduler, "first", tokens(100), 1)
    second = admit(scheduler, "second", [*tokens(99), 5], 1)
    step(scheduler, word(1))
    assert second.computed == 0
    scheduler.remove(first)
    assert step(scheduler, word(1)).work[0].slot == second.slot


def test_a_few_shared_tokens_are_not_waited_for() -> None:
    scheduler = make(slots=2, step_tokens=32)
    admit(scheduler, "first", tokens(30), 1)
    admit(scheduler, "second", [*tokens(LEAST_SHARED), 99], 1)
    assert len(scheduler.plan().work) == 2


def test_a_reproducible_one_computes_all_of_its_prompt() -> None:
    scheduler = make(slots=2, step_tokens=64)
    admit(scheduler, "first", tokens(30), 9)
    step(scheduler, word(1))
    again = admit(scheduler, "again", tokens(30), 9, reproducible=True)
    assert step(scheduler, word(1)).tokens == 31
    assert again.cached == 0


def test_a_reproducible_one_shares_nothing_after_preemption_either() -> None:
    scheduler = make(slots=3)
    other = admit(scheduler, "other", tokens(30), 20)
    while other.rest > 1:
        step(scheduler, word(40))
    seeded = admit(scheduler, "seeded", tokens(30), 9, reproducible=True)
    while seeded.rest > 1:
        step(scheduler, word(41))
    assert scheduler.preempt(Plan(tuple(Work(each.slot, 30, [1], samples=True) for each in (other, seeded))))
    states = [seeded.state]
    third = admit(scheduler, "third", tokens(5, first=60), 1)
    scheduler.remove(third)
    assert [*states, seeded.state] == [State.PREEMPTED, State.RUNNING]
    assert not [change for change in scheduler.plan().memory if isinstance(change, Share)]


@pytest.mark.parametrize("length", [1, 63, 64, 65, 130, 300])
@pytest.mark.parametrize("step_tokens", [8, 64, 100, 512])
def test_a_reproducible_prompt_is_cut_between_blocks_and_its_last_block_stands_alone(
    length: int, step_tokens: int
) -> None:
    scheduler = make(slots=1, context=400, step_tokens=step_tokens)
    sequence = admit(scheduler, "seeded", tokens(length), 9, reproducible=True)
    block = min(BLOCK, step_tokens)
    ends = []
    while not sequence.generated:
        step(scheduler, word(7))
        ends.append(min(sequence.computed, length))
    *before, last = [0, *ends]
    assert last == length
    assert all(end % block == 0 for end in before)
    assert before[-1] == (length - 1) // block * block


def test_a_reproducible_prompt_beside_a_stream_takes_what_the_step_can_give() -> None:
    scheduler = make(slots=2, context=400, step_tokens=20)
    admit(scheduler, "stream", tokens(5), 300)
    step(scheduler, word(1))
    seeded = admit(scheduler, "seeded", tokens(90, first=100), 9, reproducible=True)
    step(scheduler, word(1))
    assert seeded.computed == 19
    step(scheduler, word(1))
    assert seeded.computed == 20
    while not seeded.generated:
        step(scheduler, word(1))


def test_a_reproducible_answer_is_not_drafted() -> None:
    scheduler = make(slots=1, speculation=Speculation())
    admit(scheduler, "seeded", tokens(4), 40, reproducible=True)
    assert {sum(work.drafted for work in step(scheduler, word(1)).work) for _ in range(40)} == {0}


def test_equal_prompts_of_different_worlds_share_nothing_and_wait_for_nothing() -> None:
    scheduler = make(slots=3, context=200, step_tokens=100)
    first = admit(scheduler, "first", tokens(30), 9, world=("adapter a",))
    other = admit(scheduler, "other", tokens(30), 9, world=("adapter b",))
    assert scheduler.shareable(other) == 0
    plan = step(scheduler, word(1))
    assert [(work.slot, len(work.tokens)) for work in plan.work] == [(first.slot, 30), (other.slot, 30)]
    again = admit(scheduler, "again", tokens(30), 9, world=("adapter b",))
    assert scheduler.shareable(again) == 29
    assert step(scheduler, word(1)).memory == (Share(other.slot, again.slot, 29),)


def test_one_whose_slot_holds_a_part_already_goes_on_from_there() -> None:
    scheduler = make(slots=1, step_tokens=64)
    sequence = admit(scheduler, "a", tokens(30), 9)
    scheduler.begin_at(sequence, 20)
    assert scheduler.plan() == Plan((Work(0, 20, tokens(10, first=21), samples=True),))
    assert sequence.cached == 20


def test_what_a_prompt_will_share_is_known_before_it_is_computed() -> None:
    scheduler = make(slots=2, step_tokens=8)
    first = admit(scheduler, "first", tokens(30), 1)
    second = admit(scheduler, "second", [*tokens(25), 99], 1)
    assert scheduler.shareable(second) == 25
    # Of an older one only: the two would wait for each other.
    assert scheduler.shareable(first) == 0
    scheduler.remove(first)
    assert scheduler.shareable(second) == 0


def test_what_was_to_be_dropped_of_a_slot_is_not_dropped_of_the_next_that_has_it() -> None:
    scheduler = make(slots=2, step_tokens=64)
    admit(scheduler, "first", tokens(30), 9)
    youngest = admit(scheduler, "youngest", tokens(20, first=100), 9)
    step(scheduler, word(1))
    assert scheduler.preempt(scheduler.plan())
    scheduler.remove(youngest)
    next_one = admit(scheduler, "next", tokens(20, first=200), 9)
    assert next_one.slot == youngest.slot
    scheduler.begin_at(next_one, 10)
    plan = scheduler.plan()
    assert plan.memory == ()
    assert plan.work[1] == Work(next_one.slot, 10, tokens(10, first=210), samples=True)


# --- a memory that can't be cut ----------------------------------------------------------------------------


def uncut(*, slots: int = 2, reach: int = 0) -> Scheduler:
    return make(slots=slots, context=400, step_tokens=64, reach=reach)


def test_a_prompt_stops_where_another_that_waits_for_it_parts_and_is_shared_there() -> None:
    scheduler = uncut()
    first = admit(scheduler, "first", tokens(50), 9)
    second = admit(scheduler, "second", [*tokens(40), 99, 98], 9)
    assert [len(work.tokens) for work in step(scheduler, word(1)).work] == [40]
    plan = step(scheduler, word(1))
    assert plan.memory == (Share(first.slot, second.slot, 40),)
    assert [len(work.tokens) for work in plan.work] == [10, 2]
    assert second.cached == 40


@pytest.mark.parametrize(("reach", "shared"), [(0, 0), (60, 40)])
def test_one_that_has_passed_where_they_part_shares_only_what_can_be_cut(reach: int, shared: int) -> None:
    scheduler = uncut(reach=reach)
    admit(scheduler, "first", tokens(50), 9)
    step(scheduler, word(1))
    second = admit(scheduler, "second", [*tokens(40), 99, 98], 9)
    assert scheduler.shareable(second) == shared
    step(scheduler, word(1))
    assert second.cached == shared


def test_nobody_waits_for_a_reproducible_prompt_which_stops_nowhere() -> None:
    scheduler = uncut()
    seeded = admit(scheduler, "seeded", tokens(60), 9, reproducible=True)
    second = admit(scheduler, "second", [*tokens(50), 99], 9)
    assert scheduler.shareable(second) == 0
    step(scheduler, word(1))
    assert (seeded.stops, second.state) == ({}, State.RUNNING)


def test_a_sequence_whose_memory_is_lost_starts_over_and_loses_no_token() -> None:
    scheduler = uncut(slots=1)
    sequence = admit(scheduler, "a", tokens(30), 9)
    step(scheduler, word(7))
    scheduler.lose([sequence.slot])
    assert scheduler.beginning == [sequence]
    plan = step(scheduler, word(8))
    assert plan.work == (Work(sequence.slot, 0, [*tokens(30), 7], samples=True),)
    assert sequence.tokens[30:] == [7, 8]


# --- a full KV cache ---------------------------------------------------------------------------------------


def test_a_step_that_finds_no_room_gets_smaller_until_it_fits() -> None:
    scheduler = make(slots=1, step_tokens=64)
    admit(scheduler, "a", tokens(60), 1)
    sizes = []
    while scheduler.preempt(plan := scheduler.plan()):
        sizes.append(plan.tokens)
    assert sizes == [60, 32, 16, 8, 4, 2]
    commit(scheduler, plan, word(1))
    assert scheduler.plan().tokens == 59


def test_then_the_youngest_is_preempted_and_starts_over_when_another_has_ended() -> None:
    scheduler = make(slots=2, step_tokens=8)
    old = admit(scheduler, "old", [1], 50)
    young = admit(scheduler, "young", [2], 50)
    step(scheduler, word(7))
    step(scheduler, word(8))
    assert scheduler.preempt(scheduler.plan())
    assert young.state is State.PREEMPTED
    plan = step(scheduler, word(9))
    assert plan == Plan((Work(old.slot, 2, (8,), samples=True),), (Trim(young.slot),))
    scheduler.remove(old)
    assert step(scheduler, word(9)) == Plan((Work(young.slot, 0, [2, 7, 8], samples=True),))
    assert young.tokens == [2, 7, 8, 9]


def test_a_sequence_that_runs_alone_is_not_preempted() -> None:
    scheduler = make(slots=2)
    admit(scheduler, "a", [1], 50)
    assert not scheduler.preempt(scheduler.plan())


# --- drafts ------------------------------------------------------------------------------------------------


class Sure(Speculation):
    """Always drafts four tokens."""

    def length(self) -> int:
        return 4


def test_a_sequence_that_runs_alone_drafts_what_it_said_before_and_keeps_what_held() -> None:
    scheduler = make(slots=1, context=200, step_tokens=64, speculation=Sure())
    sequence = admit(scheduler, "a", [1, 2, 3, 4, 5, 6, 7, 8, 1, 2], 50)
    step(scheduler, word(3))
    plan = scheduler.plan()
    assert plan.work == (Work(0, 10, (3, 4, 5, 6, 7), samples=True, drafted=4),)
    (outcome,) = scheduler.commit(plan, Yield({0: [word(4), word(5), word(66)]}), 0.001)
    assert [token.id for token in outcome.tokens] == [4, 5, 66]
    assert sequence.tokens[10:] == [3, 4, 5, 66]
    assert sequence.computed == 13
    assert scheduler.plan().work[0].tokens == (66,)


def test_nothing_is_drafted_beyond_the_limit() -> None:
    scheduler = make(slots=1, context=200, step_tokens=64, speculation=Sure())
    admit(scheduler, "a", [1, 2, 3, 4, 5, 6, 7, 8, 1, 2], 3)
    step(scheduler, word(3))
    assert scheduler.plan().work[0].tokens == (3, 4)


def test_nothing_is_drafted_beyond_where_other_tokens_follow_than_sampled_ones() -> None:
    scheduler = make(slots=1, context=200, step_tokens=64, speculation=Sure())
    sequence = admit(scheduler, "a", [1, 2, 3, 4, 5, 6, 7, 8, 1, 2], 50)
    step(scheduler, word(3))
    for draft_end, expected in ((3, (3, 4)), (2, (3,)), (0, (3,)), (None, (3, 4, 5, 6, 7))):
        sequence.draft_end = draft_end
        assert scheduler.plan().work[0].tokens == expected


@pytest.mark.parametrize("ends", [True, False])
def test_forced_tokens_follow_what_held_of_a_draft_and_are_computed_together(*, ends: bool) -> None:
    scheduler = make(slots=1, context=200, step_tokens=64, speculation=Sure())
    sequence = admit(scheduler, "a", [1, 2, 3, 4, 5, 6, 7, 8, 1, 2], 50)
    step(scheduler, word(3))
    last = END if ends else word(66)
    (outcome,) = scheduler.commit(
        scheduler.plan(), Yield({0: [word(4), word(5), last]}), 0.001, {0: [word(70), word(71)]}
    )
    said = [4, 5, 70, 71] if ends else [4, 5, 66, 70, 71]
    assert ([token.id for token in outcome.tokens], outcome.ending) == (said, None)
    assert sequence.tokens[10:] == [3, *said]
    (work,) = scheduler.plan().work
    assert (work.position, list(work.tokens), work.samples) == (13, said[2:], True)


def test_forced_tokens_take_no_more_than_is_left_of_the_limit() -> None:
    scheduler = make(slots=1)
    sequence = admit(scheduler, "a", tokens(2), 3)
    (outcome,) = scheduler.commit(
        scheduler.plan(), Yield({0: [word(7)]}), 0.001, {0: [word(n) for n in (8, 9, 10)]}
    )
    assert ([token.id for token in outcome.tokens], outcome.ending) == ([7, 8, 9], Ending.LIMIT)
    assert sequence.generated == 3


def test_two_that_run_together_draft_nothing() -> None:
    scheduler = make(slots=2, context=200, step_tokens=64, speculation=Sure())
    admit(scheduler, "a", [1, 2, 3, 4, 5, 6, 7, 8, 1, 2], 50)
    admit(scheduler, "b", [9], 50)
    step(scheduler, word(3))
    assert [work.drafted for work in scheduler.plan().work] == [0, 0]


def test_a_step_tells_the_progress_of_a_prompt_without_a_token() -> None:
    scheduler = make(slots=1, context=64, step_tokens=4)
    sequence = admit(scheduler, "a", tokens(6), 5)
    (outcome,) = scheduler.commit(scheduler.plan(), Yield({}), 0.001)
    assert outcome.sequence is sequence
    assert outcome.tokens == ()
    assert outcome.ending is None


def test_the_token_that_ends_the_turn_is_not_counted() -> None:
    scheduler = make(slots=1, context=64, step_tokens=8)
    sequence = admit(scheduler, "a", tokens(2), 5)
    step(scheduler, word(3))
    plan = scheduler.plan()
    (outcome,) = commit(scheduler, plan, END)
    assert outcome.ending is Ending.END_OF_TURN
    assert sequence.generated == 1


def test_a_sequence_ends_with_its_last_allowed_token() -> None:
    scheduler = make(slots=1, context=64, step_tokens=8)
    admit(scheduler, "a", tokens(2), 2)
    endings = [outcome.ending for _ in range(2) for outcome in commit(scheduler, scheduler.plan(), word(9))]
    assert endings == [None, Ending.LIMIT]


def test_what_follows_a_token_is_told_with_it_and_computed_with_it_in_the_next_step() -> None:
    scheduler = make(slots=2, step_tokens=16)
    sequence = admit(scheduler, "a", tokens(3), 20)
    plan = scheduler.plan()
    (outcome,) = scheduler.commit(plan, Yield({0: [word(7)]}), 0.001, {0: [word(8), word(9)]})
    assert [token.id for token in outcome.tokens] == [7, 8, 9]
    assert (sequence.generated, sequence.computed) == (3, 3)
    assert scheduler.plan().work == (Work(0, 3, (7, 8, 9), samples=True),)


def test_what_follows_beyond_the_limit_is_cut_and_so_is_the_answer() -> None:
    scheduler = make(slots=1, step_tokens=16)
    admit(scheduler, "a", tokens(3), 2)
    (outcome,) = scheduler.commit(
        scheduler.plan(), Yield({0: [word(7)]}), 0.001, {0: [word(8), word(9), END]}
    )
    assert [token.id for token in outcome.tokens] == [7, 8]
    assert outcome.ending is Ending.LIMIT


def test_an_answer_that_is_complete_ends_without_another_step() -> None:
    scheduler = make(slots=1, step_tokens=16)
    sequence = admit(scheduler, "a", tokens(3), 2)
    (outcome,) = scheduler.commit(scheduler.plan(), Yield({0: [word(7)]}), 0.001, {0: [word(8), END]})
    assert outcome.ending is Ending.END_OF_TURN
    assert outcome.tokens[-1] == END
    assert sequence.tokens == [1, 2, 3, 7, 8]
    assert sequence.computed == 3


def test_more_than_a_step_has_room_for_is_read_as_a_prompt_is_beside_the_streams() -> None:
    scheduler = make(slots=2, step_tokens=4)
    admit(scheduler, "a", tokens(1), 50)
    admit(scheduler, "b", tokens(1, first=9), 50)
    following = {0: [word(number) for number in range(20, 26)]}
    scheduler.commit(scheduler.plan(), Yield({0: [word(7)], 1: [word(8)]}), 0.001, following)
    (stream, prompt) = scheduler.plan().work
    assert (stream.slot, stream.tokens, stream.samples) == (1, (8,), True)
    assert (prompt.slot, prompt.tokens, prompt.samples) == (0, [7, 20, 21], False)


def test_what_an_answer_begins_with_is_read_with_the_prompt_and_told_with_the_first_token() -> None:
    scheduler = make(slots=1, step_tokens=16)
    sequence = admit(scheduler, "a", tokens(3), 9)
    scheduler.begin_with(sequence, [word(7), word(8)])
    plan = scheduler.plan()
    assert plan.work == (Work(0, 0, [1, 2, 3, 7, 8], samples=True),)
    (outcome,) = scheduler.commit(plan, Yield({0: [word(9)]}), 0.001)
    assert [token.id for token in outcome.tokens] == [7, 8, 9]


def test_an_answer_is_limited_by_what_the_prompt_leaves_of_the_context() -> None:
    scheduler = make(slots=1, context=16, step_tokens=8)
    assert admit(scheduler, "a", tokens(13), 100).limit == 3


def test_a_prompt_that_leaves_one_token_fits_and_one_more_token_does_not() -> None:
    scheduler = make(slots=2, context=16, step_tokens=8)
    assert admit(scheduler, "fits", tokens(15), 100).limit == 1
    with pytest.raises(ContextOverflowError, match=r"16 tokens and the context holds 16.*model\.context"):
        admit(scheduler, "too long", tokens(16), 100)
    assert scheduler.running == 1


def test_a_removed_sequence_frees_its_slot_even_in_the_middle_of_its_prompt() -> None:
    scheduler = make(slots=1, context=64, step_tokens=4)
    first = admit(scheduler, "first", tokens(10), 5)
    step(scheduler, word(1))
    scheduler.remove(first)
    assert scheduler.running == 0
    assert scheduler.plan() == Plan(())
    second = admit(scheduler, "second", tokens(3), 5)
    assert second.slot == first.slot
    assert scheduler.plan().work == (Work(0, 0, [1, 2, 3], samples=True),)


@pytest.mark.parametrize(
    ("request_id", "prompt"),
    [pytest.param("b", [], id="no tokens"), pytest.param("a", [1], id="an id that runs")],
)
def test_what_the_caller_must_not_admit_is_refused_and_takes_no_slot(
    request_id: str, prompt: list[int]
) -> None:
    scheduler = make(slots=2, context=64, step_tokens=4)
    admit(scheduler, "a", [1], 5)
    with pytest.raises(InternalError, match="can't be admitted"):
        admit(scheduler, request_id, prompt, 5)
    admit(scheduler, "c", [1], 5)


def test_more_sequences_than_slots_are_refused() -> None:
    scheduler = make(slots=1, context=64, step_tokens=4)
    admit(scheduler, "a", [1], 5)
    with pytest.raises(InternalError, match="no free slot"):
        admit(scheduler, "b", [1], 5)


@dataclass
class Expected:
    """What a sequence must have computed, and what it may still do."""

    sequence: Sequence
    prompt: list[int]
    limit: int
    sampled: list[int] = field(default_factory=list)
    untold: list[int] = field(default_factory=list)
    begins: bool = False

    @property
    def tokens(self) -> list[int]:
        return [*self.prompt, *self.sampled, *self.untold]


class AnySequenceOfSteps(RuleBasedStateMachine):
    """Drives a scheduler at random, and keeps beside it what is in the KV cache: cells that slots share."""

    @initialize(
        slots=st.integers(1, 4),
        context=st.integers(2, 60),
        step_tokens=st.integers(1, 24),
        room=st.integers(0, 60),
        speculates=st.booleans(),
        reach=st.sampled_from([None, 0, 8, 30]),
    )
    def make(
        self, *, slots: int, context: int, step_tokens: int, room: int, speculates: bool, reach: int | None
    ) -> None:
        self.slots, self.context = slots, context
        # The last step of a sequence that fills the context still needs its cell.
        self.room = context + room
        self.budget = max(1, step_tokens - slots) + slots + 4
        self.scheduler = make(
            slots=slots,
            context=context,
            step_tokens=step_tokens,
            speculation=Sure() if speculates and reach != 0 else None,
            reach=reach,
        )
        self.reach = reach
        self.expected: dict[int, Expected] = {}
        # Slot to cells; a cell is its token and an identity of its own.
        self.kv: dict[int, list[tuple[int, object]]] = {}
        self.worlds: dict[int, World] = {}
        self.numbers = 0

    @precondition(lambda self: len(self.expected) < self.slots)
    @rule(data=st.data(), length=st.integers(1, 60), max_tokens=st.integers(1, 40))
    def admit(self, data: st.DataObject, length: int, max_tokens: int) -> None:
        # Few different tokens, and beginnings that were there before: prompts share a lot.
        known = [[token for token, _ in cells] for cells in self.kv.values()]
        begins = data.draw(st.sampled_from([[], *known]))
        cut = data.draw(st.integers(0, len(begins)))
        rest = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=length))
        prompt = [*begins[:cut], *rest]
        world = data.draw(st.sampled_from([PLAIN, ("adapter",)]))
        self.numbers += 1
        if len(prompt) >= self.context:
            with pytest.raises(ContextOverflowError):
                admit(self.scheduler, str(self.numbers), prompt, max_tokens)
            return
        sequence = admit(self.scheduler, str(self.numbers), prompt, max_tokens, world=world)
        assert sequence.slot not in self.expected
        self.worlds[sequence.slot] = world
        limit = min(max_tokens, self.context - len(prompt))
        begins_with = data.draw(st.lists(st.integers(1, 3), max_size=min(3, limit - 1)))
        self.scheduler.begin_with(sequence, [word(number) for number in begins_with])
        self.expected[sequence.slot] = Expected(
            sequence, prompt, limit, untold=begins_with, begins=bool(begins_with)
        )

    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        plan = self.scheduler.plan()
        for change in plan.memory:
            self.change(change)
        slots = [work.slot for work in plan.work]
        assert len(slots) == len(set(slots)) <= self.slots
        assert plan.tokens <= self.budget
        if self.expected:
            assert plan.work
        used = len({cell for cells in self.kv.values() for _, cell in cells})
        if used + plan.tokens > self.room:
            assert self.scheduler.preempt(plan)
            return
        streams = {slot for slot, each in self.expected.items() if self.streams(each)}
        assert streams <= set(slots)
        sampled = {work.slot: self.compute(work, data) for work in plan.work}
        following = {slot: self.follow(data) for slot, said in sampled.items() if said and not said[-1].ends}
        said = {slot: each for slot, each in sampled.items() if each}
        more = {slot: each for slot, each in following.items() if each}
        for outcome in self.scheduler.commit(plan, Yield(said), 1.0, more):
            self.note(outcome)

    def follow(self, data: st.DataObject) -> list[Token]:
        """What comes behind a sampled token of its own accord."""
        tokens = [word(number) for number in data.draw(st.lists(st.integers(1, 3), max_size=5))]
        return [*tokens, END] if data.draw(st.integers(0, 9)) == 0 else tokens

    def streams(self, each: Expected) -> bool:
        return bool(each.sampled) and each.sequence.state is State.RUNNING and each.sequence.rest == 1

    def change(self, change: Share | Trim) -> None:
        if isinstance(change, Trim):
            self.kv[change.slot] = []
        else:
            assert not self.kv.get(change.target)
            assert len(self.kv[change.source]) >= change.length
            assert change.length >= least(len(self.kv[change.source]), self.reach)
            assert self.worlds[change.source] == self.worlds[change.target]
            self.kv[change.target] = self.kv[change.source][: change.length]

    def compute(self, work: Work, data: st.DataObject) -> list[Token]:
        each = self.expected[work.slot]
        cells = self.kv.setdefault(work.slot, [])
        assert work.position == len(cells)
        computed = list(work.tokens[: len(work.tokens) - work.drafted])
        cells += [(token, object()) for token in work.tokens]
        assert [token for token, _ in cells[: len(cells) - work.drafted]] == each.tokens[
            : work.position + len(computed)
        ]
        assert work.samples == (work.position + len(computed) == len(each.tokens))
        if not work.samples:
            return []
        tokens: list[Token] = []
        for drafted in [*work.tokens[len(computed) :], None]:
            ends = data.draw(st.integers(0, 9)) == 0
            tokens.append(END if ends else word(data.draw(st.integers(1, 3))))
            if tokens[-1].id != drafted or ends:
                break
        del cells[work.position + len(computed) + len(tokens) - 1 :]
        return tokens

    def note(self, outcome: Outcome) -> None:
        sequence = outcome.sequence
        each = self.expected[sequence.slot]
        if outcome.tokens:
            assert [token.id for token in outcome.tokens[: len(each.untold)]] == each.untold
            each.untold = []
        each.sampled += [token.id for token in outcome.tokens if not token.ends]
        assert sequence.tokens == each.tokens
        assert sequence.generated == len(each.sampled) + len(each.untold) <= each.limit
        assert sequence.computed == len(self.kv[sequence.slot])
        # Something is computed in any case: the last token of the prompt, or of what the answer begins with.
        assert sequence.cached < len(each.prompt) + each.begins
        if not outcome.tokens:
            assert outcome.ending is None
        elif outcome.tokens[-1].ends:
            assert outcome.ending is Ending.END_OF_TURN
        else:
            assert (outcome.ending is Ending.LIMIT) == (len(each.sampled) == each.limit)
        if outcome.ending is not None:
            self.end(sequence)

    def end(self, sequence: Sequence) -> None:
        self.kv[sequence.slot] = []
        self.scheduler.remove(sequence)
        del self.expected[sequence.slot]

    @precondition(lambda self: self.expected)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from(sorted(self.expected)))
        self.end(self.expected[slot].sequence)

    @precondition(lambda self: self.expected)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from(sorted(self.expected)))
        if self.expected[slot].sequence.state is State.RUNNING:
            self.kv[slot] = []
            self.scheduler.lose([slot])

    @invariant()
    def the_scheduler_counts_the_running_sequences(self) -> None:
        if hasattr(self, "scheduler"):
            assert self.scheduler.running == len(self.expected)


TestAnySequenceOfSteps = AnySequenceOfSteps.TestCase
TestAnySequenceOfSteps.settings = settings(max_examples=150, stateful_step_count=40)
