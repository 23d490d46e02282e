"""A conversation that outgrows its context loses its oldest turns."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import cache

from edgeassist.engine.messages import AUTO, ChatMessage, Thinking, Tools
from edgeassist.engine.prompting.codec import Codec, Encoded
from edgeassist.errors import ContextOverflowError


def encode_within(
    room: int,
    codec: Codec,
    messages: Sequence[ChatMessage],
    *,
    droppable: int,
    most: int | None = None,
    thinking: Thinking = AUTO,
    tools: Tools | None = None,
) -> tuple[Encoded, int]:
    """Encode a conversation with as many turns of its history as fit.

    Turns are left out whole, oldest first: a turn begins with a user's message and ends before the next one.
    A call stays where one of its results does. The number of turns is found by bisection, since every try
    renders and tokenizes the conversation.

    Args:
        room: How many tokens the prompt may have.
        codec: Of the model.
        messages: The conversation, oldest first. A leading system message stays.
        droppable: How many messages after it are history.
        most: How many tokens a prompt may have at all, an answer not counted.
        thinking: Whether the model may think before it answers.
        tools: What it may call; None: nothing.

    Returns:
        The prompt, and how many messages were left out. It exceeds `room` if leaving out all is not enough.

    Raises:
        ContextOverflowError: It exceeds `most` by far.
        InvalidRequestError: The model's chat template does not take such a conversation.
    """
    first = 1 if messages[0].role == "system" else 0
    starts = [at for at in range(1, droppable) if messages[first + at].role == "user"]
    apart = _between_call_and_result(messages[first:])
    # How many messages go, by the number of turns that go.
    cuts = [0, *(at for at in [*starts, droppable] if at not in apart)] if droppable else [0]

    @cache
    def encode(turns: int) -> Encoded:
        return codec.encode([*messages[:first], *messages[first + cuts[turns] :]], most, thinking, tools)

    def fits(turns: int) -> bool:
        try:
            return len(encode(turns).tokens) <= room
        except ContextOverflowError:
            return False

    last = len(cuts) - 1
    turns = 0 if last == 0 or fits(0) else bisect_left(range(last), x=True, lo=1, key=fits)
    return encode(turns), cuts[turns]


def _between_call_and_result(messages: Sequence[ChatMessage]) -> set[int]:
    """Return the places where a cut would part a call from one of its results."""
    called: dict[str, int] = {}
    apart: set[int] = set()
    for at, message in enumerate(messages):
        if message.call_id in called:
            apart.update(range(called[message.call_id] + 1, at + 1))
        called |= {call.id: at for call in message.calls}
    return apart
