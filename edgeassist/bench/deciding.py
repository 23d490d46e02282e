"""The scenario `decide`: questions about one state, answered with probabilities; beside streams, too.

A side without decisions writes JSON by a schema: for each question the pick and the probability of each
option in whole percents, which is the same answer; and as a second figure the picks alone.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

from edgeassist.bench.contender import CLIENTS, Contender, Decision, Listener, Question, collect
from edgeassist.bench.figures import Better, Figure, Outcome
from edgeassist.bench.replies import Reply, gaps
from edgeassist.bench.texts import Texts
from edgeassist.bench.turns import UnsuitedError, outcome_of, pause

STATE_TOKENS = 300
# What of the state is other when it is asked about again.
END_TOKENS = 20
# More than the JSON of eight questions with all probabilities takes.
JSON_TOKENS = 1500
# Decisions beside the streams, and the time from one to the next.
BESIDE = 6
BESIDE_S = 0.5
STREAM_TOKENS = 3000
STREAM_LEAD = 2
_LEVELS = ("none", "little", "some", "much", "all")

DECIDED = Figure("eight answers with probabilities", "ms", Better.LOWER)
AGAIN = Figure("once more, with another end of the state", "ms", Better.LOWER)
AGAIN_BY_FIRST = Figure("that by the first", "×", Better.LOWER)
ANOTHER = Figure("the same questions about another state", "ms", Better.LOWER)
PICKED = Figure("eight picks", "ms", Better.LOWER)
GAP = Figure("worst gap of a stream beside two a second", "ms", Better.LOWER)
FIGURES = (DECIDED, AGAIN, AGAIN_BY_FIRST, ANOTHER, PICKED, GAP)


async def decide(contender: Contender, texts: Texts) -> Outcome:
    """One client asks about a state, when its end has changed, and about another; then beside streams."""
    asked = Decision(texts.system(STATE_TOKENS), questions(texts), percents=True)
    kept = asked.state.split()[: -len(texts.system(END_TOKENS).split())]
    changed = replace(asked, state=" ".join([*kept, texts.system(END_TOKENS)]))
    first = await _collect(contender, asked)
    await pause()
    again = await _collect(contender, changed)
    await pause()
    another = await _collect(contender, replace(asked, state=texts.system(STATE_TOKENS)))
    await pause()
    picked = await _collect(contender, _another(texts))
    await pause()
    gap = await _worst_gap(contender, texts)
    values = {
        DECIDED: _whole_ms(first),
        AGAIN: _whole_ms(again),
        AGAIN_BY_FIRST: _whole_ms(again) / _whole_ms(first),
        ANOTHER: _whole_ms(another),
        PICKED: _whole_ms(picked),
        GAP: 1000 * gap,
    }
    return outcome_of(values, [first, again, another, picked])


def questions(texts: Texts) -> dict[str, Any]:
    """Return eight questions of all kinds, which nobody has asked before."""
    asked: dict[str, Any] = {}
    for number in range(8):
        word, *options = texts.words(5)
        match number % 4:
            case 0 | 1:
                kind = {"type": "choice", "criteria": options}
                what = f"Which of these goes with {word}?"
            case 2:
                kind = {"type": "yes_no"}
                what = f"Is it about {word}?"
            case _:
                kind = {"type": "score", "criteria": list(_LEVELS)}
                what = f"How much of it is about {word}?"
        asked[f"q{number}"] = {**kind, "instructions": what}
    return asked


async def _worst_gap(contender: Contender, texts: Texts) -> float:
    """Return the longest time in s between two texts of streams, while decisions come."""
    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(
                Listener(contender, Question(texts.question(STATE_TOKENS), STREAM_TOKENS), client)
            )
            for client in range(CLIENTS - 1)
        ]
        for stream in streams:
            await stream.reach(STREAM_LEAD)
        replies = await _two_a_second(contender, texts)
        since, until = min(each.begun for each in replies), max(each.end.at for each in replies)
        # Texts sent meanwhile may still be in transit.
        for stream in streams:
            await stream.reach(len(stream.texts) + 1)
        if any(stream.texts[-1].at < until for stream in streams):
            raise UnsuitedError("the streams end before the decisions: try another model")
    return max(gap for stream in streams for gap in gaps(stream.texts, since, until))


async def _two_a_second(contender: Contender, texts: Texts) -> list[Reply]:
    """Ask for decisions, one after another whether those before have come or not."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = []
            for number in range(BESIDE):
                asking = _collect(contender, _another(texts), CLIENTS - 1)
                tasks.append(group.create_task(asking, name=f"decide-{number}"))
                await asyncio.sleep(BESIDE_S)
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


def _another(texts: Texts) -> Decision:
    return Decision(texts.system(STATE_TOKENS), questions(texts), percents=False)


async def _collect(contender: Contender, decision: Decision, client: int = 0) -> Reply:
    reply = await collect(contender, Question("", JSON_TOKENS, decision=decision), client)
    if reply.end.completion_tokens >= JSON_TOKENS:
        raise UnsuitedError(f"the JSON of {contender.name} came to no end")
    return reply


def _whole_ms(reply: Reply) -> float:
    return 1000 * (reply.end.at - reply.begun)
