"""What every backend does, as the daemon sees it: through the pipe of a real engine process."""

from __future__ import annotations

from functools import partial

import pytest

from edgeassist.engine.messages import (
    Cancel,
    Cancelled,
    ChatMessage,
    Delta,
    Event,
    Failed,
    Finish,
    Finished,
    Heartbeat,
    Ready,
    Sampling,
    Threads,
)
from tests.integration.driver import Engine, start

LONG = "The quick brown fox jumps over the lazy dog and runs away. " * 8


def is_about(request: str, event: Event) -> bool:
    return getattr(event, "id", None) == request


def is_delta_of(request: str, event: Event) -> bool:
    return isinstance(event, Delta) and event.id == request


def facts(engine: Engine) -> Ready:
    return next(event for event in engine.events if isinstance(event, Ready))


def test_ready_tells_what_was_loaded(engine: Engine) -> None:
    ready = facts(engine)
    assert ready.load_ms > 0
    slots = 1 if ready.model.backend == "onnx" else 4
    assert (ready.model.slots, ready.model.context, ready.model.threads) == (slots, 1024, 1)
    assert ready.model.trained_context >= 1024
    assert ready.model.name
    assert ready.model.architecture


def test_an_answer_is_progress_then_pieces_then_its_end(engine: Engine) -> None:
    answer = engine.answer(LONG, request="order", max_tokens=16)
    events = engine.about("order")
    kinds = [type(event).__name__ for event in events]
    assert kinds == sorted(kinds, key=["Prefilled", "Delta", "Finished"].index)
    assert all(event.text for event in events if isinstance(event, Delta))
    assert answer.text
    assert isinstance(answer.ending, Finished)


def test_progress_grows_step_by_step_up_to_the_prompt(engine: Engine) -> None:
    ending = engine.answer("Nobody asked this before. " + LONG, request="grow", max_tokens=1).finished
    processed = [event.processed for event in engine.prefilled("grow")]
    assert processed == sorted(set(processed))
    assert len(processed) >= 2
    assert processed[-1] == ending.prompt_tokens
    assert {event.total for event in engine.prefilled("grow")} == {ending.prompt_tokens}


def test_usage_counts_every_token_and_times_them(engine: Engine) -> None:
    short = engine.answer("hello there", max_tokens=1).finished
    longer = engine.answer("hello there, once more with feeling", max_tokens=4).finished
    assert (short.completion_tokens, longer.completion_tokens) == (1, 4)
    assert longer.prompt_tokens > short.prompt_tokens
    assert 0 <= short.cached_tokens < short.prompt_tokens
    assert short.prefill_ms > 0
    assert short.decode_ms == 0
    assert longer.decode_ms > 0


def test_the_same_question_asked_greedily_has_the_same_answer(engine: Engine) -> None:
    assert len({engine.answer(LONG, max_tokens=24).text for _ in range(3)}) == 1


def test_other_numbers_of_threads_change_nothing_about_an_answer(engine: Engine) -> None:
    whole = engine.answer(LONG, max_tokens=24).text
    for decode, prefill in ((2, 1), (1, 2), (1, 1)):
        engine.send(Threads(decode, prefill))
        assert engine.answer(LONG, max_tokens=24).text == whole


def test_an_answer_that_ignores_the_end_of_its_turn_goes_on_to_the_limit_or_a_stop_text(
    engine: Engine,
) -> None:
    sampling = Sampling(temperature=1.0, seed=5, ignore_eos=True)
    ended = [engine.answer("tell me", max_tokens=60, sampling=sampling) for _ in range(2)]
    assert [(each.finished.reason, each.finished.completion_tokens) for each in ended] == [
        (Finish.LENGTH, 60)
    ] * 2
    assert ended[0].text == ended[1].text
    stopped = engine.answer("tell me", max_tokens=60, sampling=sampling, stop=(ended[0].text[20:24],))
    assert stopped.finished.reason is Finish.STOP


def test_a_stop_text_ends_the_answer_before_it_and_never_shows(engine: Engine) -> None:
    whole = engine.answer(LONG, max_tokens=32).text
    stop = whole[20:31]
    answer = engine.answer(LONG, max_tokens=32, stop=(stop,))
    assert answer.text == whole[: whole.index(stop)]
    assert answer.finished.reason is Finish.STOP
    assert 0 < answer.finished.completion_tokens < 32


def test_a_stop_text_that_only_begins_is_part_of_the_answer(engine: Engine) -> None:
    whole = engine.answer(LONG, max_tokens=16).text
    answer = engine.answer(LONG, max_tokens=16, stop=(whole[-6:] + "\x00",))
    assert answer.text == whole
    assert answer.finished.reason is Finish.LENGTH


def test_the_limit_ends_the_answer_as_length(engine: Engine) -> None:
    ending = engine.answer(LONG, max_tokens=7).finished
    assert (ending.reason, ending.completion_tokens) == (Finish.LENGTH, 7)


def test_the_end_of_the_context_ends_the_answer_as_length(engine: Engine) -> None:
    ending = engine.answer("!script repeat=99\n" + LONG * 4, max_tokens=5000).finished
    assert ending.reason is Finish.LENGTH
    assert ending.prompt_tokens + ending.completion_tokens == 1024


def test_a_prompt_beyond_the_context_fails_with_both_numbers(engine: Engine) -> None:
    failed = engine.answer("word " * 3000).ending
    assert isinstance(failed, Failed)
    assert failed.code == "context_overflow"
    numbers = [int(word) for word in failed.message.replace(",", " ").split() if word.isdecimal()]
    assert 1024 in numbers
    assert max(numbers) > 1024
    assert isinstance(engine.answer("short").ending, Finished)


def test_a_prompt_that_just_fits_gets_one_token(engine: Engine) -> None:
    # Words of one letter are a token each, or a part of one; so the last that fits is found.
    low, high = 1, 8000
    while high - low > 1:
        middle = (low + high) // 2
        ending = engine.answer("y " * middle, max_tokens=1).ending
        low, high = (middle, high) if isinstance(ending, Finished) else (low, middle)
    fits = engine.answer("y " * low, max_tokens=9).finished
    assert 1022 <= fits.prompt_tokens <= 1023
    assert fits.prompt_tokens + fits.completion_tokens == 1024


def test_cancel_while_the_prompt_is_read_frees_the_slot(engine: Engine) -> None:
    for number in range(5):
        # Each begins with words of its own: what was read before would not be read again.
        request = start(f"!script prefill_ms=2\n{number} {number * 7} {LONG * 3}")
        engine.send(request)
        engine.until(partial(is_about, request.id))
        engine.send(Cancel(request.id))
        answer = engine.wait(request.id)
        assert isinstance(answer.ending, Cancelled)
        assert answer.text == ""
    assert [type(answer.ending) for answer in engine.ask(*["next"] * 4)] == [Finished] * 4


def test_cancel_while_the_answer_is_written_frees_the_slot(engine: Engine) -> None:
    for _ in range(5):
        request = start("!script repeat=90 delay_ms=2\n" + LONG, max_tokens=2000)
        engine.send(request)
        engine.until(partial(is_delta_of, request.id))
        engine.send(Cancel(request.id))
        answer = engine.wait(request.id)
        assert isinstance(answer.ending, Cancelled)
        assert answer.text
    assert [type(answer.ending) for answer in engine.ask(*["next"] * 4)] == [Finished] * 4


def test_cancel_of_one_leaves_its_neighbours_answers_as_they_are(engine: Engine) -> None:
    if engine.slots == 1:
        pytest.skip("this backend serves one at a time")
    alone = engine.answer(LONG, max_tokens=30).text
    kept, cancelled = (
        start(LONG, max_tokens=30),
        start("!script repeat=99 delay_ms=2\n" + LONG, max_tokens=900),
    )
    engine.send(cancelled, kept)
    engine.until(lambda event: isinstance(event, Delta) and event.id == kept.id)
    engine.send(Cancel(cancelled.id))
    assert engine.wait(kept.id).text == alone
    assert isinstance(engine.wait(cancelled.id).ending, Cancelled)


def test_cancel_of_an_unknown_request_is_harmless_and_not_answered(engine: Engine) -> None:
    engine.send(Cancel("nobody"), Cancel(""), Cancel("你好"))
    assert isinstance(engine.answer("hello").ending, Finished)
    assert not [event for event in engine.events if getattr(event, "id", None) in {"nobody", "", "你好"}]


def test_four_at_once_answer_as_each_does_alone(engine: Engine) -> None:
    prompts = [f"Question {number}: {LONG[: number * 90 + 30]}" for number in range(4)]
    alone = [engine.answer(prompt, max_tokens=32).text for prompt in prompts]
    assert [answer.text for answer in engine.ask(*prompts, max_tokens=32)] == alone


def test_a_request_beyond_the_slots_fails_and_the_others_go_on(engine: Engine) -> None:
    requests = [start("!script delay_ms=5\n" + LONG, max_tokens=8) for _ in range(engine.slots + 1)]
    engine.send(*requests)
    answers = [engine.wait(request.id) for request in requests]
    assert [type(answer.ending) for answer in answers] == [Finished] * engine.slots + [Failed]
    assert answers[-1].failed.code == "internal"


def test_slots_serve_many_requests_one_after_the_other(engine: Engine) -> None:
    expected = engine.answer("again and again").text
    for _ in range(10):
        assert [each.text for each in engine.ask(*["again and again"] * 4)] == [expected] * 4


def test_what_the_slot_held_before_does_not_change_an_answer(engine: Engine) -> None:
    expected = engine.answer("a short one").text
    engine.ask(*["!script repeat=9\n" + LONG] * 4, max_tokens=300)
    assert [each.text for each in engine.ask(*["a short one"] * 4)] == [expected] * 4


def test_a_chinese_prompt_is_answered_in_whole_characters(engine: Engine) -> None:
    answer = engine.answer("请把卧室的空调调到二十六度，谢谢！😀𠮷", max_tokens=64)
    assert isinstance(answer.ending, Finished)
    answer.text.encode()
    if facts(engine).model.backend == "scripted":
        assert answer.text == "请把卧室的空调调到二十六度，谢谢！😀𠮷"
        assert "\ufffd" not in answer.text


@pytest.mark.parametrize(
    "prompt", ["\x00", "a\x00b", "\ue000", "\ue0000\ue000", "\u2028\r\n\t", "\ud7ff\uffff"]
)
def test_an_odd_prompt_is_answered(engine: Engine, prompt: str) -> None:
    assert isinstance(engine.answer(prompt, max_tokens=2).ending, Finished)


def test_history_is_dropped_oldest_first_when_it_outgrows_the_context(engine: Engine) -> None:
    turns = [ChatMessage("system", "be brief")]
    for number in range(8):
        turns += [ChatMessage("user", f"{number} {LONG}"), ChatMessage("assistant", f"{number} {LONG}")]
    messages = (*turns, ChatMessage("user", "what now?"))
    ending = engine.answer("", messages=messages, droppable=16, max_tokens=10).ending
    assert isinstance(ending, Finished)
    assert ending.dropped_messages % 2 == 0
    assert 2 <= ending.dropped_messages < 16
    kept = (messages[0], *messages[1 + ending.dropped_messages :])
    assert engine.answer("", messages=kept, max_tokens=10).finished.prompt_tokens == ending.prompt_tokens
    one_more = (messages[0], *messages[ending.dropped_messages - 1 :])
    more = engine.answer("", messages=one_more, max_tokens=10).ending
    assert isinstance(more, Failed) or (isinstance(more, Finished) and more.prompt_tokens > 1024 - 10)


def test_history_that_may_not_be_dropped_overflows(engine: Engine) -> None:
    messages = tuple(ChatMessage("user", LONG * 4) for _ in range(8))
    assert engine.answer("", messages=messages).failed.code == "context_overflow"


def test_a_seed_repeats_an_answer(engine: Engine) -> None:
    sampling = Sampling(temperature=1.5, seed=42)
    answers = {engine.answer(LONG, sampling=sampling).text for _ in range(3)}
    assert len(answers) == 1


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=5.0, top_k=0, top_p=1.0, min_p=0.0),
        Sampling(temperature=1e-9),
        Sampling(temperature=1.0, top_k=1_000_000, top_p=1e-9, min_p=1.0),
        Sampling(temperature=0, repeat_penalty=10.0),
        Sampling(temperature=1.0, repeat_penalty=0.01, seed=2**32 - 1),
    ],
)
def test_sampling_at_the_edges_of_what_is_allowed_gives_an_answer(engine: Engine, sampling: Sampling) -> None:
    assert isinstance(engine.answer("hello", sampling=sampling).ending, Finished)


def test_an_idle_engine_gives_signs_of_life(engine: Engine) -> None:
    engine.answer("hello")
    first = engine.hear(Heartbeat, 3)
    assert first.running == 0
