"""What the scenarios ask, of whom and when; the side that answers is scripted."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace

import psutil
import pytest

from edgeassist.bench import deciding, scenarios, turns
from edgeassist.bench.contender import Listener, Question, collect_all
from edgeassist.bench.figures import Outcome
from edgeassist.bench.replies import End, Text
from edgeassist.bench.scenarios import Name, Scenario
from edgeassist.bench.texts import Ruler, Texts
from edgeassist.bench.turns import UnsuitedError
from edgeassist.errors import BusyError, ModelError
from edgeassist.evaluation.cases import read_questions
from edgeassist.protocol.decisions import Kind


def endless(question: Question) -> Iterator[str]:
    return (f"word{number}" for number in range(question.max_tokens))


class Scripted:
    """Answers with what the script yields for a question, a text at a time; notes what happens."""

    name = "scripted"
    resident_bytes = 1

    def __init__(self, script: Callable[[Question], Iterator[str]] = endless) -> None:
        self._script = script
        self.asked: list[tuple[int, Question]] = []
        self.log: list[str] = []
        self.processes: dict[str, psutil.Process] = {}

    async def start(self, system: str = "") -> float:
        self.log.append(f"start {system}")
        return 0.5

    async def settle(self) -> None:
        self.log.append("settle")

    async def stop(self) -> None:
        self.log.append("stop")

    async def build(self) -> str:
        return "1"

    async def ask(self, question: Question, client: int) -> AsyncGenerator[Text | End]:
        self.asked.append((client, question))
        self.log.append("ask")
        count = 0
        try:
            for text in self._script(question):
                await asyncio.sleep(0.001)
                count += 1
                yield Text(time.perf_counter(), text)
            by_itself = count < question.max_tokens
            yield End(time.perf_counter(), 10, 0, count, by_itself=by_itself, overhead=0.01)
        finally:
            self.log.append("end" if count == question.max_tokens else "cut")


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PAUSE_S", 0)
    monkeypatch.setattr(scenarios, "CANCEL_AFTER_S", 0.05)


def texts() -> Texts:
    return Texts("test", Ruler(1.0, 20.0))


def scenario(name: Name) -> Scenario:
    (found,) = scenarios.scenarios([name], prompt_tokens=64, max_tokens=16)
    return found


async def run(name: Name, side: Scripted) -> Outcome:
    found = scenario(name)
    outcome = await found.run(side, texts())
    assert list(outcome.values) == [
        figure.name for figure in found.figures if figure not in scenarios.AFTERWARDS
    ]
    return outcome


async def test_single_asks_again_when_the_answer_ended_early_and_keeps_the_longest() -> None:
    lengths = iter([2, 5, 12])
    side = Scripted(lambda _: iter(["word"] * next(lengths)))
    outcome = await run(Name.SINGLE, side)
    assert [answer.completion_tokens for answer in outcome.answers] == [12]
    assert len({question.prompt for _, question in side.asked}) == 3


async def test_single_does_not_measure_an_answer_that_began_with_half_a_character() -> None:
    firsts = iter(["\ufffd", "word"])
    side = Scripted(lambda question: iter([next(firsts), *["word"] * (question.max_tokens - 1)]))
    await run(Name.SINGLE, side)
    assert len(side.asked) == 2


async def test_single_gives_up_on_a_model_that_says_nothing() -> None:
    with pytest.raises(ModelError, match="ends its answers at once"):
        await scenario(Name.SINGLE).run(Scripted(lambda _: iter(())), texts())


async def test_fan_in_has_four_clients_one_system_prompt_and_no_question_twice() -> None:
    side = Scripted()
    await run(Name.FAN_IN, side)
    assert [client for client, _ in side.asked] == [0, 1, 2, 3] * 3
    questions = [question for _, question in side.asked]
    assert len({question.system for question in questions}) == 1
    assert len({question.prompt for question in questions}) == 12
    assert side.log[:4] == ["ask"] * 4


async def test_the_streams_of_interference_are_cancelled_when_the_long_prompt_is_answered() -> None:
    side = Scripted()
    outcome = await run(Name.INTERFERENCE, side)
    assert [client for client, _ in side.asked] == [0, 1, 2, 3]
    assert side.log[-3:] == ["cut"] * 3
    worst, p95, _ = outcome.values.values()
    assert worst >= p95


async def test_interference_without_streams_is_no_measurement() -> None:
    short = Scripted(lambda question: iter(["word"] * min(question.max_tokens, 2)))
    with pytest.raises(UnsuitedError, match="streams end before"):
        await scenario(Name.INTERFERENCE).run(short, texts())


async def test_a_session_goes_on_with_what_was_said() -> None:
    side = Scripted()
    await run(Name.SESSION, side)
    (_, first), (_, second) = side.asked
    assert first.session == second.session != ""
    assert [exchange.question for exchange in second.history] == [first.prompt]
    assert second.history[0].answer == "".join(endless(first))


async def test_after_a_restart_another_question_meets_the_same_system_prompt() -> None:
    side = Scripted()
    outcome = await run(Name.RESTART, side)
    start, _, _, settle, again, *_ = side.log
    assert start == again != "start "
    assert settle == "settle"
    assert side.asked[0][1].prompt != side.asked[1][1].prompt
    assert outcome.values[scenarios.READY.name] == 500


async def test_cancel_gives_up_while_the_prompt_is_read_and_asks_another_question_then() -> None:
    class Reading(Scripted):
        async def ask(self, question: Question, client: int) -> AsyncGenerator[Text | End]:
            if len(question.prompt) > 1000:
                self.log.append("read")
                try:
                    await asyncio.sleep(60)
                finally:
                    self.log.append("given up")
            async for event in super().ask(question, client):
                yield event

    side = Reading()
    await run(Name.CANCEL, side)
    assert side.log[:3] == ["read", "given up", "ask"]
    assert side.asked[0][0] == 1


async def test_a_bound_answer_is_compared_with_as_many_tokens_of_anything() -> None:
    side = Scripted(
        lambda question: iter(["word"] * (question.max_tokens if question.schema is None else 30))
    )
    outcome = await run(Name.BOUND, side)
    (_, bound), (_, free), *_ = side.asked
    assert bound.schema == scenarios.SCHEMA
    assert (free.schema, free.max_tokens) == (None, 30)
    assert bound.prompt != free.prompt
    rate, whole_ms, gain, _ = outcome.values.values()
    assert rate == pytest.approx(30_000 / whole_ms)
    assert gain > 0


async def test_streams_beside_a_bound_answer_are_compared_with_streams_beside_a_free_one() -> None:
    def script(question: Question) -> Iterator[str]:
        for _ in range(question.max_tokens if question.schema is None else 30):
            yield "word"

    side = Scripted(script)
    outcome = await run(Name.BOUND, side)
    beside_bound, beside_free = side.asked[2:6], side.asked[6:]
    for asked, schema in ((beside_bound, scenarios.SCHEMA), (beside_free, None)):
        assert [client for client, _ in asked] == [0, 1, 2, 3]
        assert [question.schema for _, question in asked] == [None, None, None, schema]
    assert beside_free[-1][1].max_tokens == 30
    assert outcome.values["streams beside it, by beside a free one"] > 0


async def test_a_tool_call_is_measured_once_its_definition_is_known() -> None:
    side = Scripted(lambda _question: iter(()))
    outcome = await run(Name.CALL, side)
    assert [question.tools for _, question in side.asked] == [(scenarios.TOOL,)] * 2
    assert outcome.values["a whole tool call"] > 0


async def test_decisions_are_about_what_nobody_has_seen_but_for_an_end_that_changes_and_known_questions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deciding, "BESIDE_S", 0.01)
    side = Scripted(
        lambda question: iter(["word"] * (30 if question.decision is not None else question.max_tokens))
    )
    await run(Name.DECIDE, side)
    decisions = [question.decision for _, question in side.asked if question.decision is not None]
    first, again, another, picked, *beside = decisions
    assert first.questions == again.questions == another.questions
    assert another.state[:20] != first.state[:20]
    assert first.state[:1000] == again.state[:1000]
    assert first.state[-10:] != again.state[-10:]
    assert abs(len(first.state.split()) - len(again.state.split())) <= 1
    assert [each.percents for each in (first, again, another, picked)] == [True, True, True, False]
    others = [first, picked, *beside]
    assert len({each.state[:20] for each in others}) == len({str(each.questions) for each in others}) == 8
    assert {client for client, question in side.asked if question.decision in beside} == {3}
    for each in others:
        asked = read_questions({"state": each.state, "questions": each.questions})
        assert Counter(question.type for question in asked.values()) == {
            Kind.CHOICE: 4,
            Kind.SCORE: 2,
            Kind.YES_NO: 2,
        }


async def test_streams_that_end_before_the_decisions_have_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deciding, "BESIDE_S", 0.05)
    with pytest.raises(UnsuitedError, match="streams end before the decisions"):
        await scenario(Name.DECIDE).run(Scripted(lambda _: iter(["word"] * 5)), texts())


async def test_json_without_an_end_is_no_decision() -> None:
    with pytest.raises(UnsuitedError, match="the JSON of scripted came to no end"):
        await scenario(Name.DECIDE).run(Scripted(), texts())


async def test_text_in_the_place_of_a_tool_call_is_no_measurement() -> None:
    with pytest.raises(UnsuitedError, match="scripted did not call the tool"):
        await scenario(Name.CALL).run(Scripted(lambda _question: iter(["I"])), texts())


async def test_a_bound_answer_without_an_end_is_no_measurement() -> None:
    with pytest.raises(UnsuitedError, match="no end"):
        await scenario(Name.BOUND).run(Scripted(), texts())


async def test_a_prompt_that_is_read_in_no_time_can_not_be_cancelled() -> None:
    with pytest.raises(UnsuitedError, match="too fast to be cancelled"):
        await scenario(Name.CANCEL).run(_AtOnce(), texts())


class _AtOnce(Scripted):
    async def ask(self, question: Question, client: int) -> AsyncGenerator[Text | End]:
        del client
        yield Text(time.perf_counter(), "word")
        yield End(time.perf_counter(), 10, 0, question.max_tokens, by_itself=False)


class _Busy(Scripted):
    async def ask(self, question: Question, client: int) -> AsyncGenerator[Text | End]:
        async for event in super().ask(question, client):
            if client == 1:
                raise BusyError("full")
            yield event


async def test_one_clients_error_ends_the_others_answers_and_is_the_one_that_is_told() -> None:
    side = _Busy()
    with pytest.raises(BusyError, match="full"):
        await collect_all(side, [Question("hello", 1000)] * 2)
    assert side.log[-2:] == ["cut", "cut"]


async def test_a_listener_tells_what_went_wrong_to_whoever_waits() -> None:
    async with Listener(_Busy(), Question("hello", 10), client=1) as listener:
        with pytest.raises(BusyError, match="full"):
            await listener.reach(5)


async def test_what_a_side_does_not_tell_is_no_figure() -> None:
    class Silent(Scripted):
        async def ask(self, question: Question, client: int) -> AsyncGenerator[Text | End]:
            async with aclosing(super().ask(question, client)) as events:
                async for event in events:
                    yield replace(event, overhead=None) if isinstance(event, End) else event

    outcome = await scenario(Name.SINGLE).run(Silent(), texts())
    assert list(outcome.values) == [scenarios.DECODE.name, scenarios.TTFT.name]
