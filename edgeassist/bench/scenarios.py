"""The scenarios, one function each: what a client does, and the figures that come of it.

A function runs the scenario once, on one side. It may ask any number of questions, but only with the
repetition's own texts, which no side has seen.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from statistics import median
from typing import Any

from edgeassist.bench import deciding
from edgeassist.bench.competitor import busy_program
from edgeassist.bench.contender import (
    CLIENTS,
    Contender,
    Exchange,
    Listener,
    Question,
    collect,
    collect_all,
)
from edgeassist.bench.figures import Better, Figure, Outcome, percentile
from edgeassist.bench.replies import Reply, gaps, rate_in_all
from edgeassist.bench.texts import Texts
from edgeassist.bench.turns import UnsuitedError, outcome_of, pause
from edgeassist.errors import ModelError

# Attempts to get an answer that neither ends early nor begins with an incomplete character.
ATTEMPTS = 5
LEAST_STEPS = 8

SYSTEM_TOKENS = 400
SHORT_TOKENS = 40
LONG_TOKENS = 1500
TURN_TOKENS = 512
ANSWER_TOKENS = 64
# Enough to see the streams go on after the long prompt's first token.
LONG_ANSWER_TOKENS = 8
LATER_ROUNDS = 2
# Streams must outlast the long prompt, and have this many texts before it arrives.
STREAM_TOKENS = 3000
STREAM_LEAD = 2
CANCEL_AFTER_S = 1.0
BOUND_TOKENS = 400
# Eight fields of the kinds that a device asks for.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "room": {"enum": ["kitchen", "living room", "bedroom", "bathroom", "garage"]},
        "device": {"enum": ["light", "heating", "fan", "blind", "socket"]},
        "switched_on": {"type": "boolean"},
        "brightness_percent": {"type": "integer", "minimum": 0, "maximum": 100},
        "target_temperature": {"type": "integer", "minimum": 5, "maximum": 30},
        "urgent": {"type": "boolean"},
        "reason": {"type": "string", "maxLength": 60},
        "needs_confirmation": {"type": "boolean"},
    },
    "additionalProperties": False,
}
SCHEMA["required"] = list(SCHEMA["properties"])
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "set_light",
        "description": "Sets the brightness of a room's light.",
        "parameters": {
            "type": "object",
            "properties": {name: SCHEMA["properties"][name] for name in ("room", "brightness_percent")},
            "required": ["room", "brightness_percent"],
            "additionalProperties": False,
        },
    },
}


class Name(StrEnum):
    """The scenarios' names."""

    SINGLE = "single"
    FAN_IN = "fan-in"
    INTERFERENCE = "interference"
    SESSION = "session"
    RESTART = "restart"
    CANCEL = "cancel"
    CONTENTION = "contention"
    BOUND = "bound"
    CALL = "call"
    DECIDE = "decide"


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario's name, its figures, and the function that runs it."""

    name: Name
    figures: tuple[Figure, ...]
    run: Callable[[Contender, Texts], Awaitable[Outcome]]


DECODE = Figure("decode", "tokens/s", Better.HIGHER)
TTFT = Figure("first token", "ms", Better.LOWER)
FIRST_WORST = Figure("first round, worst first token", "ms", Better.LOWER)
FIRST_MEDIAN = Figure("first round, median first token", "ms", Better.LOWER)
FIRST_RATE = Figure("first round, all together", "tokens/s", Better.HIGHER)
LATER_WORST = Figure("later rounds, worst first token", "ms", Better.LOWER)
LATER_MEDIAN = Figure("later rounds, median first token", "ms", Better.LOWER)
LATER_RATE = Figure("later rounds, all together", "tokens/s", Better.HIGHER)
WORST_GAP = Figure("worst gap of a stream", "ms", Better.LOWER)
P95_GAP = Figure("p95 gap of the streams", "ms", Better.LOWER)
LONG_TTFT = Figure("long prompt's first token", "ms", Better.LOWER)
SECOND_TTFT = Figure("second turn's first token", "ms", Better.LOWER)
RESTART_TTFT = Figure("first prompt's first token", "ms", Better.LOWER)
READY = Figure("start until ready", "ms", Better.LOWER)
BOUND_RATE = Figure("bound answer", "tokens/s", Better.HIGHER)
BOUND_WHOLE = Figure("the whole bound answer", "ms", Better.LOWER)
GAIN = Figure("tokens/s, bound by free", "×", Better.HIGHER)
BESIDE = Figure("streams beside it, by beside a free one", "×", Better.HIGHER)
CALL_WHOLE = Figure("a whole tool call", "ms", Better.LOWER)
FREED = Figure("next prompt's first token", "ms", Better.LOWER)
# Reported by our daemon only.
OVERHEAD = Figure("engine beside the model", "%", Better.LOWER)
# Measured after the scenario, on contenders only.
MEMORY = Figure("memory", "MB", Better.LOWER)
# Measured on sides with a daemon only.
DAEMON_MEMORY = Figure("memory of the daemon", "MB", Better.LOWER)
CHUNK_CPU = Figure("daemon's processor time a chunk", "µs", Better.LOWER)
AFTERWARDS = (CHUNK_CPU, DAEMON_MEMORY, MEMORY)


def scenarios(names: Iterable[Name], *, prompt_tokens: int, max_tokens: int) -> list[Scenario]:
    """Return the named scenarios in `Name`'s order.

    Args:
        names: The scenarios wanted.
        prompt_tokens: Prompt tokens of `single` and `contention`.
        max_tokens: The most answer tokens of `single` and `contention`.
    """
    alone = partial(single, prompt_tokens=prompt_tokens, max_tokens=max_tokens)
    first_round = (FIRST_WORST, FIRST_MEDIAN, FIRST_RATE)
    later_rounds = (LATER_WORST, LATER_MEDIAN, LATER_RATE)
    known = (
        Scenario(Name.SINGLE, (DECODE, TTFT, OVERHEAD, *AFTERWARDS), alone),
        Scenario(Name.FAN_IN, (*first_round, *later_rounds, MEMORY), fan_in),
        Scenario(Name.INTERFERENCE, (WORST_GAP, P95_GAP, LONG_TTFT), interference),
        Scenario(Name.SESSION, (SECOND_TTFT,), session),
        Scenario(Name.RESTART, (RESTART_TTFT, READY), restart),
        Scenario(Name.CANCEL, (FREED,), cancel),
        Scenario(Name.CONTENTION, (DECODE, TTFT), partial(contention, alone=alone)),
        Scenario(Name.BOUND, (BOUND_RATE, BOUND_WHOLE, GAIN, BESIDE), bound),
        Scenario(Name.CALL, (CALL_WHOLE,), call),
        Scenario(Name.DECIDE, deciding.FIGURES, deciding.decide),
    )
    wanted = set(names)
    return [scenario for scenario in known if scenario.name in wanted]


async def single(contender: Contender, texts: Texts, *, prompt_tokens: int, max_tokens: int) -> Outcome:
    """One client alone: time to the first token, and the rate after it.

    Asks until an answer can be measured; the choice depends on its text and length, never on its speed.
    """
    best: Reply | None = None
    for _ in range(ATTEMPTS):
        reply = await collect(contender, Question(texts.question(prompt_tokens), max_tokens))
        if reply.clean and (best is None or reply.sample.steps > best.sample.steps):
            best = reply
        if best is not None and best.sample.steps >= max_tokens // 2:
            break
    if best is None or best.sample.steps < min(LEAST_STEPS, max_tokens - 1):
        raise ModelError("the model ends its answers at once, which leaves no rate to measure: try another")
    values = {DECODE: best.sample.decode_rate, TTFT: 1000 * best.ttft_s}
    if best.end.overhead is not None:
        values[OVERHEAD] = 100 * best.end.overhead
    return outcome_of(values, [best])


async def fan_in(contender: Contender, texts: Texts) -> Outcome:
    """New clients ask at once with one new system prompt, then again with new questions."""
    system = texts.system(SYSTEM_TOKENS)
    rounds: list[list[Reply]] = []
    for _ in range(1 + LATER_ROUNDS):
        prompts = [texts.question(SHORT_TOKENS) for _ in range(CLIENTS)]
        questions = [Question(prompt, ANSWER_TOKENS, system=system) for prompt in prompts]
        rounds.append(await collect_all(contender, questions))
        await pause()
    first, *later = rounds
    first_ms = [1000 * reply.ttft_s for reply in first]
    later_ms = [1000 * reply.ttft_s for replies in later for reply in replies]
    values = {
        FIRST_WORST: max(first_ms),
        FIRST_MEDIAN: median(first_ms),
        FIRST_RATE: rate_in_all([first]),
        LATER_WORST: max(later_ms),
        LATER_MEDIAN: median(later_ms),
        LATER_RATE: rate_in_all(later),
    }
    return outcome_of(values, [reply for replies in rounds for reply in replies])


async def interference(contender: Contender, texts: Texts) -> Outcome:
    """A long prompt arrives while streams run: the streams' gaps, and the long prompt's first token.

    A gap is the time between two texts of a stream. Gaps that overlap the long prompt's prefill count.
    """
    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(
                Listener(contender, Question(texts.question(SHORT_TOKENS), STREAM_TOKENS), client)
            )
            for client in range(CLIENTS - 1)
        ]
        for stream in streams:
            await stream.reach(STREAM_LEAD)
        question = Question(texts.question(LONG_TOKENS), LONG_ANSWER_TOKENS)
        reply = await collect(contender, question, CLIENTS - 1)
        # Texts sent meanwhile may still be in transit.
        for stream in streams:
            await stream.reach(len(stream.texts) + 1)
        ended = any(stream.texts[-1].at < reply.first_at for stream in streams)
    if ended:
        raise UnsuitedError("the streams end before the long prompt has its first token: try another model")
    seconds = [gap for stream in streams for gap in gaps(stream.texts, reply.begun, reply.first_at)]
    values = {
        WORST_GAP: 1000 * max(seconds),
        P95_GAP: 1000 * percentile(seconds, 0.95),
        LONG_TTFT: 1000 * reply.ttft_s,
    }
    return outcome_of(values, [reply])


async def session(contender: Contender, texts: Texts) -> Outcome:
    """A second turn in a conversation: time to its first token."""
    name = texts.name()
    opening = Question(texts.question(TURN_TOKENS), ANSWER_TOKENS, session=name)
    first = await collect(contender, opening)
    await pause()
    said = (Exchange(opening.prompt, first.text),)
    question = Question(texts.question(SHORT_TOKENS), LONG_ANSWER_TOKENS, session=name, history=said)
    second = await collect(contender, question)
    return outcome_of({SECOND_TTFT: 1000 * second.ttft_s}, [first, second])


async def restart(contender: Contender, texts: Texts) -> Outcome:
    """The side restarts with a system prompt that it has used before.

    A new prompt is asked as soon as it reports ready.
    """
    system = texts.system(SYSTEM_TOKENS)
    await contender.start(system)
    before = await collect(contender, Question(texts.question(SHORT_TOKENS), LONG_ANSWER_TOKENS))
    await contender.settle()
    await pause()
    ready_s = await contender.start(system)
    after = await collect(contender, Question(texts.question(SHORT_TOKENS), LONG_ANSWER_TOKENS))
    return outcome_of({RESTART_TTFT: 1000 * after.ttft_s, READY: 1000 * ready_s}, [before, after])


async def cancel(contender: Contender, texts: Texts) -> Outcome:
    """A client cancels a long prompt during prefill: time until another client's short one is answered."""
    wait_s = CANCEL_AFTER_S
    for _ in range(ATTEMPTS):
        question = Question(texts.question(LONG_TOKENS), LONG_ANSWER_TOKENS)
        async with Listener(contender, question) as listener:
            await asyncio.sleep(wait_s)
            reading = not listener.texts and listener.end is None
            given_up = time.perf_counter()
        if reading:
            question = Question(texts.question(SHORT_TOKENS), LONG_ANSWER_TOKENS)
            reply = await collect(contender, question, client=1)
            return outcome_of({FREED: 1000 * (reply.first_at - given_up)}, [reply])
        # Prefill was over already: cancel sooner.
        wait_s /= 4
        await pause()
    raise UnsuitedError("long prompts are read too fast to be cancelled: try a larger model")


async def contention(
    contender: Contender, texts: Texts, *, alone: Callable[[Contender, Texts], Awaitable[Outcome]]
) -> Outcome:
    """One client alone, while another program keeps a processor busy."""
    with busy_program():
        await pause()
        outcome = await alone(contender, texts)
    return Outcome({name: outcome.values[name] for name in (DECODE.name, TTFT.name)}, outcome.answers)


async def bound(contender: Contender, texts: Texts) -> Outcome:
    """One client asks for JSON by a schema, then for as many tokens of anything; then both beside streams."""

    def asked(*, most: int, schema: dict[str, Any] | None = None) -> Question:
        return Question(texts.question(SHORT_TOKENS), most, schema=schema)

    answer = await collect(contender, asked(most=BOUND_TOKENS, schema=SCHEMA))
    count = answer.end.completion_tokens
    if count >= BOUND_TOKENS:
        raise UnsuitedError("the bound answer came to no end")
    free = await collect(contender, asked(most=count))
    rate = rate_in_all([[answer]])
    rates = []
    for other in (asked(most=BOUND_TOKENS, schema=SCHEMA), asked(most=count)):
        await pause()
        streams = [asked(most=ANSWER_TOKENS) for _ in range(CLIENTS - 1)]
        *replies, _ = await collect_all(contender, [*streams, other])
        rates.append(rate_in_all([replies]))
    values = {
        BOUND_RATE: rate,
        BOUND_WHOLE: 1000 * (answer.end.at - answer.begun),
        GAIN: rate / rate_in_all([[free]]),
        BESIDE: rates[0] / rates[1],
    }
    return outcome_of(values, [answer, free])


async def call(contender: Contender, texts: Texts) -> Outcome:
    """One client has a tool called, for the second time: time to the whole call."""
    for percent in (30, 70):
        await pause()
        prompt = f"{texts.prose(5)} Set the light in the kitchen to {percent} percent."
        reply = await collect(contender, Question(prompt, BOUND_TOKENS, tools=(TOOL,)))
        if reply.texts or reply.end.completion_tokens >= BOUND_TOKENS:
            raise UnsuitedError(f"{contender.name} did not call the tool")
    return outcome_of({CALL_WHOLE: 1000 * (reply.end.at - reply.begun)}, [reply])
