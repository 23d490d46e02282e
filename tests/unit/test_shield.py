"""Sizes here are such that anything but linear work takes minutes, and the test runner ends it."""

import re

from hypothesis import given
from hypothesis import strategies as st

from edgeassist.engine.messages import ChatMessage
from edgeassist.engine.prompting.chat import ChatTemplate
from edgeassist.engine.prompting.escapes import MARK
from edgeassist.engine.prompting.shield import Segment, Shield, control_pattern, defuse
from edgeassist.engine.prompting.transcripts import Transcripts

# As Gemma 3's vocabulary has them.
THOUSANDS = [*(f"<unused{number}>" for number in range(6242)), "<bos>", "<eos>", "<start_of_turn>"]
TOKENS = st.lists(st.text("<|ab>", max_size=5), max_size=12)


@given(tokens=TOKENS, text=st.text("<|ab>", max_size=40))
def test_the_longest_token_that_fits_is_found_at_each_place(tokens: list[str], text: str) -> None:
    one_by_one = "|".join(map(re.escape, sorted({MARK, *tokens} - {""}, key=len, reverse=True)))
    assert control_pattern(tokens).findall(text) == re.findall(one_by_one, text)


def test_tokens_that_begin_with_each_other_hundreds_deep_make_a_pattern() -> None:
    pattern = control_pattern(["#" * length for length in range(1, 500)])
    assert pattern.findall("a" + "#" * 501) == ["#" * 499, "##"]


def test_thousands_of_control_tokens_cost_no_more_than_a_few() -> None:
    pattern = control_pattern(THOUSANDS)
    assert pattern.findall("<" * 4_000_000 + "<unused7>") == ["<unused7>"]
    assert pattern.findall("<unused" * 500_000 + "7>") == ["<unused7>"]


def test_a_message_full_of_control_tokens_is_shielded_in_one_pass() -> None:
    count = 500_000
    pattern = control_pattern(THOUSANDS)
    shield = Shield()
    segments = shield.release(shield.hold("<bos>-" * count, pattern))
    assert segments == [Segment("<bos>", trusted=False), Segment("-", trusted=True)] * count
    assert len(defuse("<bos>-" * count, pattern)) == count + 1


def test_a_prompt_full_of_control_tokens_is_recognised_in_one_pass() -> None:
    count = 300_000
    known = Transcripts()
    segments = [Segment("<bos>", trusted=False), Segment("-" * 8, trusted=True)] * count
    text, _, rest = known.find(segments)
    assert rest == segments
    known.add(text, [1, 2])
    assert known.find([*segments, Segment("more", trusted=True)])[1:] == (
        (1, 2),
        [Segment("more", trusted=True)],
    )


def test_a_conversation_of_very_many_messages_is_rendered() -> None:
    chat = ChatTemplate("{% for m in messages %}<s>{{ m.content }}{% endfor %}", control=["<s>"])
    messages = [ChatMessage("user", f"{number}<s>") for number in range(10_000)]
    rendered = chat.render(messages)
    assert sum(not segment.trusted for segment in rendered) == 10_000
