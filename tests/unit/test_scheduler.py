from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edgeassist.engine.scheduler import Ending, Plan, Running, Scheduler, Token, Work
from edgeassist.errors import ContextOverflowError, InternalError

END = Token(0, b"", ends=True)


def word(number: int) -> Token:
    return Token(number, b"w", ends=False)


def tokens(count: int, *, first: int = 1) -> list[int]:
    return list(range(first, first + count))


def step(scheduler: Scheduler, token: Token) -> Plan:
    """Compute one step in which every sequence that samples gets that token."""
    plan = scheduler.plan()
    scheduler.commit(plan, {work.slot: token for work in plan.work if work.samples})
    return plan


def test_without_sequences_the_plan_is_empty() -> None:
    plan = Scheduler(slots=2, context=16, step_tokens=8).plan()
    assert plan.work == ()
    assert plan.tokens == 0


def test_a_long_prompt_is_prefilled_in_steps_of_the_budget_and_samples_with_the_last() -> None:
    scheduler = Scheduler(slots=1, context=64, step_tokens=4)
    sequence = scheduler.admit("a", tokens(10), 5)
    assert step(scheduler, word(99)).work == (Work(0, 0, [1, 2, 3, 4], samples=False),)
    assert step(scheduler, word(99)).work == (Work(0, 4, [5, 6, 7, 8], samples=False),)
    assert sequence.prefilled == 8
    assert step(scheduler, word(99)).work == (Work(0, 8, [9, 10], samples=True),)
    assert scheduler.plan().work == (Work(0, 10, (99,), samples=True),)


def test_a_running_stream_gets_its_token_before_a_long_prompt_gets_the_rest() -> None:
    scheduler = Scheduler(slots=2, context=64, step_tokens=4)
    scheduler.admit("stream", tokens(2), 50)
    step(scheduler, word(7))
    scheduler.admit("long", tokens(40), 5)
    for _ in range(5):
        decode, prefill = step(scheduler, word(7)).work
        assert (decode.slot, decode.tokens) == (0, (7,))
        assert (prefill.slot, len(prefill.tokens)) == (1, 3)


def test_prefill_goes_to_the_oldest_prompt_first_and_what_is_left_to_the_next() -> None:
    scheduler = Scheduler(slots=3, context=64, step_tokens=8)
    for name in ("first", "second", "third"):
        scheduler.admit(name, tokens(5), 5)
    assert [(work.slot, len(work.tokens)) for work in scheduler.plan().work] == [(0, 5), (1, 3)]


def test_a_budget_below_the_number_of_slots_is_raised_so_that_every_stream_moves() -> None:
    scheduler = Scheduler(slots=3, context=64, step_tokens=1)
    for name in "abc":
        scheduler.admit(name, [1], 50)
    step(scheduler, word(5))
    assert [work.slot for work in step(scheduler, word(6)).work] == [0, 1, 2]


def test_a_step_tells_the_progress_of_a_prompt_without_a_token() -> None:
    scheduler = Scheduler(slots=1, context=64, step_tokens=4)
    sequence = scheduler.admit("a", tokens(6), 5)
    (outcome,) = scheduler.commit(scheduler.plan(), {})
    assert outcome.sequence is sequence
    assert outcome.token is None
    assert outcome.ending is None


def test_the_token_that_ends_the_turn_is_not_counted() -> None:
    scheduler = Scheduler(slots=1, context=64, step_tokens=8)
    sequence = scheduler.admit("a", tokens(2), 5)
    step(scheduler, word(3))
    plan = scheduler.plan()
    (outcome,) = scheduler.commit(plan, {0: END})
    assert outcome.ending is Ending.END_OF_TURN
    assert sequence.generated == 1


def test_a_sequence_ends_with_its_last_allowed_token() -> None:
    scheduler = Scheduler(slots=1, context=64, step_tokens=8)
    scheduler.admit("a", tokens(2), 2)
    endings = [
        outcome.ending for _ in range(2) for outcome in scheduler.commit(scheduler.plan(), {0: word(9)})
    ]
    assert endings == [None, Ending.LIMIT]


def test_an_answer_is_limited_by_what_the_prompt_leaves_of_the_context() -> None:
    scheduler = Scheduler(slots=1, context=16, step_tokens=8)
    assert scheduler.admit("a", tokens(13), 100).limit == 3


def test_a_prompt_that_leaves_one_token_fits_and_one_more_token_does_not() -> None:
    scheduler = Scheduler(slots=2, context=16, step_tokens=8)
    assert scheduler.admit("fits", tokens(15), 100).limit == 1
    with pytest.raises(ContextOverflowError, match=r"16 tokens and the context holds 16.*model\.context"):
        scheduler.admit("too long", tokens(16), 100)
    assert scheduler.running == 1


def test_a_removed_sequence_frees_its_slot_even_in_the_middle_of_its_prompt() -> None:
    scheduler = Scheduler(slots=1, context=64, step_tokens=4)
    first = scheduler.admit("first", tokens(10), 5)
    step(scheduler, word(1))
    scheduler.remove(first)
    assert scheduler.find("first") is None
    assert scheduler.plan().work == ()
    second = scheduler.admit("second", tokens(3), 5)
    assert second.slot == first.slot
    assert scheduler.plan().work == (Work(0, 0, [1, 2, 3], samples=True),)


@pytest.mark.parametrize(
    ("request_id", "prompt"),
    [pytest.param("b", [], id="no tokens"), pytest.param("a", [1], id="an id that runs")],
)
def test_what_the_caller_must_not_admit_is_refused_and_takes_no_slot(
    request_id: str, prompt: list[int]
) -> None:
    scheduler = Scheduler(slots=2, context=64, step_tokens=4)
    scheduler.admit("a", [1], 5)
    with pytest.raises(InternalError, match="can't be admitted"):
        scheduler.admit(request_id, prompt, 5)
    scheduler.admit("c", [1], 5)


def test_more_sequences_than_slots_are_refused() -> None:
    scheduler = Scheduler(slots=1, context=64, step_tokens=4)
    scheduler.admit("a", [1], 5)
    with pytest.raises(InternalError, match="no free slot"):
        scheduler.admit("b", [1], 5)


@dataclass
class Expected:
    """What a sequence's KV memory must hold, and what it may still do."""

    sequence: Running
    prompt: list[int]
    limit: int
    kv: list[int] = field(default_factory=list)
    sampled: list[int] = field(default_factory=list)


class AnySequenceOfSteps(RuleBasedStateMachine):
    """Drives a scheduler at random and keeps, beside it, what KV memory would hold."""

    @initialize(slots=st.integers(1, 4), context=st.integers(2, 24), step_tokens=st.integers(1, 12))
    def make(self, slots: int, context: int, step_tokens: int) -> None:
        self.slots, self.context = slots, context
        self.budget = max(slots, step_tokens)
        self.scheduler = Scheduler(slots=slots, context=context, step_tokens=step_tokens)
        self.expected: dict[int, Expected] = {}
        self.numbers = 0

    def fresh(self, count: int) -> list[int]:
        """Return token ids that were never used: a token in the wrong place shows."""
        self.numbers += count
        return tokens(count, first=self.numbers)

    @precondition(lambda self: len(self.expected) < self.slots)
    @rule(length=st.integers(1, 30), max_tokens=st.integers(1, 12))
    def admit(self, length: int, max_tokens: int) -> None:
        prompt = self.fresh(length)
        if length >= self.context:
            with pytest.raises(ContextOverflowError):
                self.scheduler.admit(str(prompt[0]), prompt, max_tokens)
            return
        sequence = self.scheduler.admit(str(prompt[0]), prompt, max_tokens)
        assert sequence.slot not in self.expected
        limit = min(max_tokens, self.context - length)
        self.expected[sequence.slot] = Expected(sequence, prompt, limit)

    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        plan = self.scheduler.plan()
        slots = [work.slot for work in plan.work]
        assert len(slots) == len(set(slots))
        assert plan.tokens <= self.budget
        streams = {slot for slot, each in self.expected.items() if each.sampled}
        assert set(slots[: len(streams)]) == streams
        unread = sum(len(each.prompt) - len(each.kv) for each in self.expected.values() if not each.sampled)
        assert plan.tokens == min(self.budget, len(streams) + unread)
        for work in plan.work:
            self.compute(work)
        sampled = {
            work.slot: END if data.draw(st.integers(0, 5)) == 0 else word(self.fresh(1)[0])
            for work in plan.work
            if work.samples
        }
        for outcome in self.scheduler.commit(plan, sampled):
            self.note(outcome.sequence, outcome.token, outcome.ending)

    def compute(self, work: Work) -> None:
        each = self.expected[work.slot]
        assert work.position == len(each.kv)
        each.kv += work.tokens
        assert each.kv == [*each.prompt, *each.sampled][: len(each.kv)]
        assert len(each.kv) <= self.context
        assert work.samples == (len(each.kv) == len(each.prompt) + len(each.sampled))

    def note(self, sequence: Running, token: Token | None, ending: Ending | None) -> None:
        each = self.expected[sequence.slot]
        if token is not None and not token.ends:
            each.sampled.append(token.id)
        assert sequence.prefilled == min(len(each.kv), len(each.prompt))
        assert sequence.generated == len(each.sampled) <= each.limit
        if token is None:
            assert ending is None
        elif token.ends:
            assert ending is Ending.END_OF_TURN
        else:
            assert (ending is Ending.LIMIT) == (len(each.sampled) == each.limit)
        if ending is not None:
            self.scheduler.remove(sequence)
            del self.expected[sequence.slot]

    @precondition(lambda self: self.expected)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from(sorted(self.expected)))
        self.scheduler.remove(self.expected.pop(slot).sequence)

    @invariant()
    def the_scheduler_knows_exactly_the_running_sequences(self) -> None:
        if hasattr(self, "scheduler"):
            known = self.scheduler.all()
            assert {sequence.slot for sequence in known} == set(self.expected)
            assert len(known) == self.scheduler.running == len(self.expected)
            assert all(self.scheduler.find(sequence.id) is sequence for sequence in known)


TestAnySequenceOfSteps = AnySequenceOfSteps.TestCase
TestAnySequenceOfSteps.settings = settings(max_examples=80, stateful_step_count=40)
