from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.engine.backends.scripted import ScriptedCodec
from edgeassist.engine.messages import AUTO, ChatMessage, Thinking, ToolCall, Tools
from edgeassist.engine.prompting.codec import Encoded
from edgeassist.engine.prompting.history import encode_within

SYSTEM = ChatMessage("system", "S" * 8)
QUESTION = ChatMessage("user", "what now?")


class Counting(ScriptedCodec):
    """The scripted codec, which notes every conversation that it renders."""

    def __init__(self) -> None:
        super().__init__()
        self.rendered: list[list[ChatMessage]] = []

    def encode(
        self,
        messages: Sequence[ChatMessage],
        most: int | None = None,
        thinking: Thinking = AUTO,
        tools: Tools | None = None,
    ) -> Encoded:
        self.rendered.append(list(messages))
        return super().encode(messages, most, thinking, tools)


def turns(*roles: str, content: str = "x" * 60) -> list[ChatMessage]:
    """Return messages of these roles, each with another text."""
    return [ChatMessage(role, f"{number}{content}") for number, role in enumerate(roles)]


def tokens(messages: Sequence[ChatMessage]) -> list[int]:
    return list(ScriptedCodec().encode(messages).tokens)


def drop_pairs(
    room: int, messages: Sequence[ChatMessage], droppable: int
) -> tuple[Sequence[ChatMessage], int]:
    """Return what is left and how many were dropped, pair by pair."""
    left = list(messages)
    first = 1 if left[0].role == "system" else 0
    dropped = 0
    while len(tokens(left)) > room and dropped < droppable:
        del left[first : first + 2]
        dropped += 2
    return left, dropped


@given(
    lengths=st.lists(st.integers(0, 40), max_size=12),
    system=st.booleans(),
    room=st.integers(1, 160),
)
def test_pairs_are_dropped_as_few_as_possible_oldest_first(
    *, lengths: list[int], system: bool, room: int
) -> None:
    history = [ChatMessage(role, role[0] * length) for length in lengths for role in ("user", "assistant")]
    messages = [SYSTEM] * system + [*history, QUESTION]
    left, dropped = drop_pairs(room, messages, len(history))
    prompt, count = encode_within(room, ScriptedCodec(), messages, droppable=len(history))
    assert (list(prompt.tokens), count) == (tokens(left), dropped)


def test_a_turn_with_tool_calls_goes_as_a_whole() -> None:
    history = turns("user", "assistant", "tool", "tool", "assistant", "user", "assistant")
    messages = [SYSTEM, *history, QUESTION]
    room = len(tokens(messages)) - 1
    prompt, dropped = encode_within(room, ScriptedCodec(), messages, droppable=len(history))
    assert dropped == 5
    assert list(prompt.tokens) == tokens([SYSTEM, *history[5:], QUESTION])


def test_a_call_stays_while_its_result_is_asked_about() -> None:
    """The answer to the last prompt was a call; this one brings what came of it."""
    call = ToolCall("weather", "{}", "1")
    calls = [ChatMessage("user", "x" * 60), ChatMessage("assistant", "", (call,))]
    history = [*turns("user", "assistant"), *calls]
    messages = [SYSTEM, *history, ChatMessage("tool", "snow", call_id="1")]
    prompt, dropped = encode_within(1, ScriptedCodec(), messages, droppable=len(history))
    assert dropped == 2
    assert list(prompt.tokens) == tokens([SYSTEM, *messages[3:]])
    prompt, dropped = encode_within(1, ScriptedCodec(), [SYSTEM, *calls, messages[-1]], droppable=2)
    assert dropped == 0


@given(roles=st.text("uact", max_size=12), room=st.integers(1, 200), own=st.integers(1, 4))
def test_no_result_is_left_without_its_call(roles: str, room: int, own: int) -> None:
    messages = []
    called = ""
    for number, role in enumerate(f"{roles}u"):
        calls = (ToolCall("weather", "{}", str(number)),) if role == "c" else ()
        if role == "t" and not called:
            continue
        name = {"u": "user", "t": "tool"}.get(role, "assistant")
        messages.append(ChatMessage(name, f"{number}" + "x" * 12, calls, called if role == "t" else ""))
        called = str(number) if calls else called
    droppable = max(0, len(messages) - own)
    codec = Counting()
    _, dropped = encode_within(room, codec, messages, droppable=droppable)
    for left in codec.rendered:
        known = {call.id for message in left for call in message.calls}
        assert all(message.call_id in known for message in left if message.call_id)
    assert dropped <= droppable


def test_messages_before_the_first_question_go_with_the_oldest_turn_of_their_own() -> None:
    history = turns("assistant", "assistant", "user", "assistant")
    messages = [*history, QUESTION]
    room = len(tokens(messages)) - 1
    _, dropped = encode_within(room, ScriptedCodec(), messages, droppable=len(history))
    assert dropped == 2


def test_when_nothing_is_enough_all_of_the_history_goes_and_the_prompt_is_too_long() -> None:
    history = turns("user", "assistant", "user", "assistant")
    prompt, dropped = encode_within(1, ScriptedCodec(), [SYSTEM, *history, QUESTION], droppable=4)
    assert dropped == 4
    assert list(prompt.tokens) == tokens([SYSTEM, QUESTION])


@pytest.mark.parametrize("droppable", [0, 4])
def test_what_is_not_history_stays(droppable: int) -> None:
    messages = turns("user", "user", "user", "user", "user", "assistant", "user")
    prompt, dropped = encode_within(1, ScriptedCodec(), messages, droppable=droppable)
    assert dropped == droppable
    assert list(prompt.tokens) == tokens(messages[droppable:])


def test_a_conversation_that_fits_is_rendered_once() -> None:
    codec = Counting()
    encode_within(1000, codec, [SYSTEM, *turns("user", "assistant"), QUESTION], droppable=2)
    assert len(codec.rendered) == 1


@pytest.mark.parametrize("left", range(0, 101, 7))
def test_a_long_history_is_rendered_a_logarithmic_number_of_times(left: int) -> None:
    history = turns(*("user", "assistant") * 100, content="x" * 20)
    expected = [*history[200 - 2 * left :], QUESTION]
    codec = Counting()
    prompt, dropped = encode_within(len(tokens(expected)), codec, [*history, QUESTION], droppable=200)
    assert list(prompt.tokens) == tokens(expected)
    assert dropped == 200 - 2 * left
    # All of it, seven halvings of a hundred turns, and the result.
    assert len(codec.rendered) <= 9
    assert len(codec.rendered) == len({len(messages) for messages in codec.rendered})
