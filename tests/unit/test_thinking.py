"""A thinking model's answers in the engine: thoughts are apart from text, and within their budget."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeassist.engine.answer import Answer
from edgeassist.engine.backends.scripted import ScriptedCodec
from edgeassist.engine.kv.world import PLAIN
from edgeassist.engine.messages import (
    ChatMessage,
    Delta,
    DeltaKind,
    Event,
    Failed,
    Finish,
    Finished,
    Sampling,
    Start,
    Thinking,
)
from edgeassist.engine.pacing import Pacer
from edgeassist.engine.prompting.codec import Encoded
from edgeassist.engine.scheduler import Scheduler
from edgeassist.engine.sequence import Outcome, Sequence
from edgeassist.engine.step import Token, Yield
from tests.unit.conftest import MakeEngine

THOUGHT = " ".join(str(number * 7919 % 1009) for number in range(1, 40))
TEXT = "The answer is 你好, and no more."
ANSWER = f"<think>\n{THOUGHT}\n</think>\n\n{TEXT}"
CUT = len(ScriptedCodec().cut)


def start(request: str, prompt: str = ANSWER, *, budget: int | None = None, **fields: Any) -> Start:
    values: dict[str, Any] = {
        "messages": (ChatMessage("user", prompt),),
        "max_tokens": 200,
        "thinking": Thinking(budget=budget),
        **fields,
    }
    return Start(request, sampling=Sampling(), **values)


def said(events: list[Event], kind: DeltaKind, request: str = "a") -> str:
    return "".join(
        event.text
        for event in events
        if isinstance(event, Delta) and event.id == request and event.kind is kind
    )


def both(events: list[Event], request: str = "a") -> tuple[str, str]:
    """Return what was thought and what was said."""
    return said(events, DeltaKind.THOUGHT, request), said(events, DeltaKind.TEXT, request)


def end(events: list[Event], request: str = "a") -> Finished:
    (ending,) = [event for event in events if isinstance(event, Finished | Failed) and event.id == request]
    assert isinstance(ending, Finished), ending
    return ending


def test_thoughts_and_text_come_apart(make_engine: MakeEngine) -> None:
    events = make_engine(context=1024).serve(start("a"))
    assert both(events) == (THOUGHT, TEXT)
    ending = end(events)
    assert ending.reason is Finish.STOP
    assert 0 < ending.reasoning_tokens < ending.completion_tokens


def test_an_answer_without_thoughts_counts_none(make_engine: MakeEngine) -> None:
    events = make_engine(context=1024).serve(start("a", TEXT))
    assert (*both(events), end(events).reasoning_tokens) == ("", TEXT, 0)


def test_the_first_text_after_thoughts_is_sent_at_once(make_engine: MakeEngine) -> None:
    events = make_engine(context=1024).serve(start("a", gather_ms=3_600_000.0))
    texts = [event.text for event in events if isinstance(event, Delta) and event.kind is DeltaKind.TEXT]
    assert (texts[0], "".join(texts)) == (TEXT[:4], TEXT)


@pytest.mark.parametrize("budget", [0, 1, 2, 5, 12])
def test_a_thought_is_closed_at_its_budget_and_the_text_follows(make_engine: MakeEngine, budget: int) -> None:
    events = make_engine(context=1024).serve(start("a", budget=budget))
    thought, text = both(events)
    assert text == TEXT
    assert THOUGHT.startswith(thought)
    assert len(thought) <= 4 * budget
    # The opening mark is seen with the second token.
    assert end(events).reasoning_tokens == max(budget, 1) + CUT


def test_without_a_budget_thoughts_may_take_half_of_the_answer(make_engine: MakeEngine) -> None:
    events = make_engine(context=1024).serve(start("a", max_tokens=40))
    assert end(events).reasoning_tokens == 20 + CUT
    assert both(events)[1] == TEXT


def test_half_of_what_the_context_leaves_counts(make_engine: MakeEngine) -> None:
    prompt_tokens = len(ScriptedCodec().encode([ChatMessage("user", ANSWER)]).tokens)
    events = make_engine(context=prompt_tokens + 30).serve(start("a", max_tokens=5000))
    assert end(events).reasoning_tokens == 15 + CUT
    assert both(events)[1] == TEXT


def test_a_thought_that_is_never_closed_is_closed_at_its_budget(make_engine: MakeEngine) -> None:
    events = make_engine(context=1024).serve(start("a", f"<think>{THOUGHT}", budget=6))
    thought, text = both(events)
    assert THOUGHT.startswith(thought)
    assert text == ""
    assert end(events).reasoning_tokens == 6 + CUT


@pytest.mark.parametrize("room", [0, 1, CUT, CUT + 20])
def test_a_turn_that_would_end_in_mid_thought_goes_on_behind_it(room: int) -> None:
    codec = ScriptedCodec()
    scheduler = Scheduler(slots=1, context=99, pacer=Pacer(target_s=1, most=99))
    sequence = scheduler.admit("a", [1, 2], 2 + room, world=PLAIN)
    thought, turn = (Token(5, b"<think>Hm", ends=False), Token(6, b"?", ends=False)), Token(0, b"", ends=True)
    answer = Answer(
        sequence, Encoded("", [1, 2]), 0, codec.parser(()), None, 0.0, 0.0, 0.0, budget=90, cut=codec.cut
    )
    for tokens in ((thought[0],), (thought[1],), (turn,)):
        plan = scheduler.plan()
        (outcome,) = scheduler.commit(plan, Yield({0: tokens}), 0.1, {0: answer.forced(tokens)})
        ended = answer.take(outcome, 1.0)
        if sequence.generated == sequence.limit:
            break
    assert sequence.generated == 2 + min(room, CUT)
    assert sequence.tokens[4:] == [token.id for token in codec.cut[:room]]
    assert ended == (room <= CUT)
    assert answer.parser.thinking == (room < CUT)
    if not ended:
        # The next step computes them all together, and the text follows.
        (work,) = scheduler.plan().work
        assert list(work.tokens) == [token.id for token in codec.cut]
        assert work.samples
        assert answer.forced((turn,)) == ()


def test_an_answer_that_ends_within_its_thoughts_has_no_text(make_engine: MakeEngine) -> None:
    events = make_engine(context=1024).serve(start("a", max_tokens=12, budget=100))
    ending = end(events)
    assert said(events, DeltaKind.TEXT) == ""
    assert ending.reason is Finish.LENGTH
    # The first token only begins the mark.
    assert ending.reasoning_tokens == ending.completion_tokens - 1


def test_the_closing_mark_takes_no_more_tokens_than_the_answer_may_have(make_engine: MakeEngine) -> None:
    events = make_engine(context=1024).serve(start("a", max_tokens=8, budget=6))
    ending = end(events)
    assert (ending.completion_tokens, ending.reason) == (8, Finish.LENGTH)
    assert said(events, DeltaKind.TEXT) == ""


def test_where_none_is_wanted_there_is_no_thought(make_engine: MakeEngine) -> None:
    events = make_engine(context=1024).serve(start("a", thinking=Thinking(wanted=False)))
    assert (*both(events), end(events).reasoning_tokens) == ("", TEXT, 0)


def test_a_stop_text_in_thoughts_ends_nothing(make_engine: MakeEngine) -> None:
    events = make_engine(context=1024).serve(start("a", stop=(THOUGHT[:6], "and no")))
    assert both(events) == (THOUGHT, TEXT[: TEXT.index("and no")])
    assert end(events).reason is Finish.STOP


def test_a_model_that_thinks_although_it_was_told_not_to_is_stopped_at_once() -> None:
    codec = ScriptedCodec()
    sequence = Sequence("a", 0, [1, 2], PLAIN, prompt_tokens=2, limit=50)
    answer = Answer(
        sequence, Encoded("", [1, 2]), 0, codec.parser(()), None, 0.0, 0.0, 0.0, budget=0, cut=codec.cut
    )
    opening, closing, text = (Token(3, piece, ends=False) for piece in (b"<think>", b"</think>", b"Yes"))
    assert answer.forced([opening]) == codec.cut
    assert answer.forced([opening, closing]) == ()
    assert answer.forced([text]) == ()
    answer.take(Outcome(sequence, (opening, *codec.cut)), 1.0)
    assert not answer.parser.thinking
    assert answer.budget is None


def test_the_tokens_of_thoughts_are_not_remembered_as_those_of_the_text(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine(context=1024)
    remembered: list[str] = []
    monkeypatch.setattr(engine.codec, "remember", lambda _prompt, answer, _tokens: remembered.append(answer))
    engine.serve(start("a"))
    engine.serve(start("b", f"</think>{TEXT}"))
    engine.serve(start("c", TEXT))
    assert remembered == [TEXT]
    assert [end(engine.events, "c").reasoning_tokens, both(engine.events, "c")[1]] == [0, TEXT]


def test_a_session_goes_on_without_the_thoughts(make_engine: MakeEngine) -> None:
    engine = make_engine(context=1024, step_tokens=512)
    first = engine.serve(start("a"))
    question = "!script repeat=1\nAnd then, what comes after all of this?"
    messages = (ChatMessage("user", ANSWER), ChatMessage("assistant", TEXT), ChatMessage("user", question))
    second = engine.serve(start("b", messages=messages))
    assert said(second, DeltaKind.TEXT, "b") == question.partition("\n")[2]
    ending = end(second, "b")
    whole = len(ScriptedCodec().encode(messages).tokens)
    assert ending.prompt_tokens == whole
    # What the question and its answer have in common with the prompt, and nothing of the thoughts.
    assert ending.cached_tokens == end(first).prompt_tokens


@settings(max_examples=60)
@given(
    budgets=st.lists(st.integers(0, 45), min_size=1, max_size=4),
    slots=st.integers(1, 3),
    kv_tokens=st.integers(150, 400),
    thought=st.text("ab ", max_size=120).map(lambda text: f"x{text}x"),
    gather_ms=st.sampled_from([0.0, 3_600_000.0]),
)
def test_whatever_runs_beside_it_no_thought_is_longer_than_its_budget_and_the_text_is_whole(
    *, budgets: list[int], slots: int, kv_tokens: int, thought: str, gather_ms: float, make_engine: MakeEngine
) -> None:
    engine = make_engine(slots=slots, kv_tokens=kv_tokens, context=140, step_tokens=32)
    # Thoughts that repeat themselves are drafted, where one runs alone.
    answer = f"<think>{thought}</think>{TEXT}"
    starts = [start(str(at), answer, budget=each, gather_ms=gather_ms) for at, each in enumerate(budgets)]
    at = iter(starts[slots:])

    def react(event: Event) -> list[Start]:
        return [following] if isinstance(event, Finished) and (following := next(at, None)) else []

    events = engine.serve(*starts[:slots], react=react)
    for each, budget in zip(starts, budgets, strict=True):
        thinking, text = both(events, each.id)
        assert text == TEXT
        # It may end within a closing mark, which is several tokens here.
        assert f"{thought}</think>".startswith(thinking)
        assert end(events, each.id).reasoning_tokens <= max(budget, 1) + CUT
