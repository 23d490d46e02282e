"""Decisions of real engines: options are scored, beside answers and like each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from edgeassist.engine.messages import (
    Cancel,
    Cancelled,
    Decide,
    Decided,
    Failed,
    Heartbeat,
    Prefilled,
    Question,
    QuestionKind,
    Right,
    Shot,
)
from edgeassist.models.builtin import builtin_forms
from tests.integration.driver import Engine, start

STATE = "The hall is dark. The light in the kitchen is on; the kitchen window is open, and the door is shut."
ROOM = Question(QuestionKind.CHOICE, "Where is a light on?", ("bedroom", "kitchen", "bed side", "hall"))
OPEN = Question(QuestionKind.YES_NO, "Is the window open?", ("yes", "no"))
MANY = Question(QuestionKind.SCORE, "How many lights are on?", tuple(map(str, range(13))))
QUESTIONS = (ROOM, OPEN, MANY)


def probabilities(scores: Sequence[float]) -> list[float]:
    weights = [math.exp(score - max(scores)) for score in scores]
    return [weight / sum(weights) for weight in weights]


def close(one: Decided, other: Decided, *, within: float) -> bool:
    pairs = zip(one.scores, other.scores, strict=True)
    return all(
        abs(p - q) <= within
        for these, those in pairs
        for p, q in zip(probabilities(these), probabilities(those), strict=True)
    )


def test_every_option_of_every_question_is_scored(engine: Engine) -> None:
    decided = engine.decide(STATE, *QUESTIONS)
    assert [len(scores) for scores in decided.scores] == [4, 2, 13]
    assert all(math.isfinite(score) for scores in decided.scores for score in scores)
    assert decided.prompt_tokens > len(STATE.split())
    assert decided.prefill_ms > 0


def test_nothing_is_taken_off_where_no_prior_is_wanted_and_then_the_sum_is_one(engine: Engine) -> None:
    decided = engine.decide(STATE, *QUESTIONS, prior=0.0)
    assert all(math.isclose(sum(map(math.exp, scores)), 1, abs_tol=1e-9) for scores in decided.scores)


def test_the_state_is_read_once_and_found_again(engine: Engine) -> None:
    # New options are asked about nothing first; where there is one sequence, that takes the state's place.
    engine.decide("Nothing happened.", *QUESTIONS)
    alone = engine.decide(STATE * 3, OPEN)
    three = engine.decide(STATE * 3, *QUESTIONS)
    assert alone.prompt_tokens < three.prompt_tokens < 2 * alone.prompt_tokens
    assert three.cached_tokens > alone.prompt_tokens / 2


def test_a_question_scores_alike_alone_and_among_others(engine: Engine) -> None:
    together = engine.decide(STATE, *QUESTIONS)
    for question, scores in zip(QUESTIONS, together.scores, strict=True):
        (alone,) = engine.decide(STATE, question).scores
        assert probabilities(alone) == pytest.approx(probabilities(scores), abs=0.02)


def test_the_order_of_a_choice_changes_nothing(engine: Engine) -> None:
    turned = Question(ROOM.kind, ROOM.text, ROOM.options[::-1])
    (given,) = engine.decide(STATE, ROOM).scores
    (reversed_,) = engine.decide(STATE, turned).scores
    assert probabilities(reversed_)[::-1] == pytest.approx(probabilities(given), abs=0.02)


def test_decisions_beside_answers_change_none_of_them(engine: Engine) -> None:
    (alone,) = engine.ask("Tell me of the kitchen", max_tokens=40)
    answering = start("Tell me of the kitchen", max_tokens=40)
    decide = Decide("beside", STATE, QUESTIONS)
    if engine.slots == 1:
        engine.send(answering)
        beside = engine.wait(answering.id)
        engine.send(decide)
    else:
        engine.send(answering, decide)
        beside = engine.wait(answering.id)
    assert beside.text == alone.text
    said = [event for event in engine.about("beside") if not isinstance(event, Prefilled)]
    decided = said[0] if said else engine.hear(Decided)
    assert isinstance(decided, Decided)
    assert close(decided, engine.decide(STATE, *QUESTIONS), within=0.02)


def test_a_state_that_does_not_fit_is_refused_and_not_cut(engine: Engine) -> None:
    engine.send(Decide("long", "a state of many words " * 400, QUESTIONS))
    failed = engine.hear(Failed)
    assert (failed.id, failed.code) == ("long", "context_overflow")


def test_one_that_is_cancelled_ends_and_leaves_its_slots(engine: Engine) -> None:
    engine.send(Decide("gone", STATE * 4, QUESTIONS * 6), Cancel("gone"))
    ended = engine.until(lambda event: isinstance(event, Cancelled | Decided) and event.id == "gone")
    assert ended
    assert engine.decide(STATE, *QUESTIONS * 6).scores


def test_shots_and_instructions_are_read(engine: Engine) -> None:
    bare = engine.decide(STATE, OPEN)
    told = engine.decide(
        STATE,
        OPEN,
        instructions="Judge this home.",
        shots=(Shot("The window is shut.", (Right(0, "no"),)),),
    )
    assert told.prompt_tokens > bare.prompt_tokens + 5


def test_more_questions_than_are_read_at_once_are_all_answered(fresh: Engine, trial_model: Path) -> None:
    fresh.load("llama", trial_model, context=1024, slots=2)
    decided = fresh.decide(STATE, *[ROOM, OPEN] * 12)
    first = decided.scores[:2]
    for at in range(2, 24, 2):
        assert all(
            probabilities(these) == pytest.approx(probabilities(those), abs=0.02)
            for these, those in zip(decided.scores[at : at + 2], first, strict=True)
        )
    assert fresh.answer("Hello").finished


def test_a_pool_that_holds_the_state_only_once_is_enough(fresh: Engine, trial_model: Path) -> None:
    ready = fresh.load("llama", trial_model, context=512, slots=2, kv_tokens=512)
    assert ready.model.kv_tokens == 512
    decided = fresh.decide(STATE * 9, *QUESTIONS * 4)
    assert decided.prompt_tokens > 450
    assert close(decided, fresh.decide(STATE * 9, *QUESTIONS * 4), within=0.02)


def test_both_backends_score_the_built_in_model_alike() -> None:
    found = []
    for backend in ("llama", "onnx"):
        with Engine() as engine:
            engine.load(backend, builtin_forms(Path("builtin:tiny"))[backend])
            found.append(engine.decide(STATE, *QUESTIONS))
    assert close(*found, within=0.1)


def steps_of(engine: Engine) -> int:
    """Wait until the engine says how many steps it has made."""
    seen = len(engine.events)
    while not (beats := [each for each in engine.events[seen:] if isinstance(each, Heartbeat)]):
        assert engine.read() is not None
    return beats[-1].steps


def test_eight_questions_without_priors_are_read_in_two_steps(fresh: Engine, trial_model: Path) -> None:
    fresh.load("llama", trial_model, context=1024, slots=2, step_tokens=512)
    questions = [Question(OPEN.kind, f"Is the window {number} open?", OPEN.options) for number in range(8)]
    before = steps_of(fresh)
    fresh.decide(STATE, *questions, prior=0.0)
    assert steps_of(fresh) - before == 2


def test_what_is_asked_about_nothing_takes_no_step_of_its_own(fresh: Engine, trial_model: Path) -> None:
    fresh.load("llama", trial_model, context=1024, slots=2, step_tokens=512)
    before = steps_of(fresh)
    fresh.decide(STATE, *QUESTIONS, prior=1.0)
    assert steps_of(fresh) - before == 2


def test_what_was_picked_about_nothing_is_kept_for_other_questions(fresh: Engine, trial_model: Path) -> None:
    fresh.load("llama", trial_model, context=1024, slots=2)
    (known,) = fresh.decide("Nothing happened.", ROOM).scores
    where = Question(ROOM.kind, "Where is it dark?", ROOM.options)
    (after,) = fresh.decide(STATE, where).scores
    with Engine() as other:
        other.load("llama", trial_model, context=1024, slots=2)
        (new,) = other.decide(STATE, where).scores
    assert probabilities(after) == pytest.approx(probabilities(new), abs=0.02)
    assert probabilities(known) != pytest.approx(probabilities(new), abs=0.02)


def test_options_that_the_model_reads_alike_are_refused(onnx: Engine) -> None:
    # To ONNX Runtime's tokenizer a NUL ends the text, so it is given another character instead.
    alike = Question(QuestionKind.CHOICE, "Which?", ("a\0", "a\N{REPLACEMENT CHARACTER}"))
    onnx.send(Decide("alike", STATE, (alike,)))
    failed = onnx.hear(Failed)
    assert (failed.id, failed.code) == ("alike", "invalid_request")
    assert r"'a\x00' and 'a\ufffd'" in failed.message
