import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.engine.backends.ortgenai.tokenizer import OrtTokenizer
from edgeassist.engine.messages import ChatMessage, DeltaKind, Tool, Tools
from edgeassist.engine.prompting.calls.finding import OURS
from edgeassist.engine.prompting.chat import ChatTemplate
from edgeassist.engine.prompting.codec import PromptCodec
from edgeassist.engine.prompting.escapes import MARK
from edgeassist.engine.prompting.parser import Part, TextParser
from edgeassist.engine.prompting.shield import Segment, defuse
from edgeassist.errors import ContextOverflowError, InvalidRequestError

CONTROL = ["<|user|>", "<|assistant|>", "<|end|>", "<|end|>>", "<s>"]
TEMPLATE = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}<|assistant|>"
PATTERN = ChatTemplate(TEMPLATE, control=CONTROL).control
WRITTEN = st.lists(st.sampled_from([*CONTROL, "<|", "|>", "end", "<", "s", ">", MARK, "你"])).map("".join)


class Letters:
    """A tokenizer whose tokens are letters; it notes what it is given."""

    def __init__(self) -> None:
        self.given: list[tuple[str, bool]] = []
        self.pieces: list[str] = []

    def tokenize(self, segments: Sequence[Segment], *, begins: bool) -> list[int]:
        text = "".join(segment.text for segment in segments)
        self.given.append((text, begins))
        self.pieces += [segment.text for segment in segments]
        return [*([1] if begins else []), *map(ord, text)]


class Library:
    """What ONNX Runtime GenAI's tokenizer does: it reads control tokens wherever they stand."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def encode(self, text: str) -> list[int]:
        self.texts.append(text)
        return list(text.encode())


def ask(*texts: str) -> list[ChatMessage]:
    """Return a conversation of the user's and the assistant's turns."""
    return [ChatMessage(("user", "assistant")[index % 2], text) for index, text in enumerate(texts)]


def make() -> tuple[PromptCodec, Letters]:
    tokenizer = Letters()
    return PromptCodec(ChatTemplate(TEMPLATE, control=CONTROL), tokenizer), tokenizer


def test_a_conversation_without_any_text_is_refused_where_there_is_no_template_around_it() -> None:
    codec = PromptCodec(ChatTemplate(None), OrtTokenizer(Library()))
    with pytest.raises(InvalidRequestError, match="nothing to answer"):
        codec.encode(ask("", ""))


def test_a_prompt_is_rendered_and_tokenized() -> None:
    codec, _ = make()
    prompt = codec.encode(ask("hi"))
    assert list(prompt.tokens) == [1, *map(ord, "<|user|>hi<|end|><|assistant|>")]


def test_a_conversation_that_goes_on_keeps_its_tokens_and_only_the_rest_is_tokenized() -> None:
    codec, tokenizer = make()
    prompt = codec.encode(ask("hi"))
    codec.remember(prompt, "well", [*prompt.tokens, 1001, 1002])
    after = codec.encode(ask("hi", "well", "more"))
    rest = "<|end|><|user|>more<|end|><|assistant|>"
    assert tokenizer.given[-1] == (rest, False)
    assert list(after.tokens) == [*prompt.tokens, 1001, 1002, *map(ord, rest)]


def test_an_answer_that_reads_as_a_control_token_is_tokenized_again() -> None:
    codec, tokenizer = make()
    prompt = codec.encode(ask("hi"))
    codec.remember(prompt, "oh <|end|>", [*prompt.tokens, 1001])
    codec.encode(ask("hi", "oh <|end|>", "more"))
    assert tokenizer.given[-1][1]


def test_of_a_prompt_that_can_not_fit_only_as_much_is_tokenized_as_shows_it() -> None:
    codec, tokenizer = make()
    with pytest.raises(ContextOverflowError, match=r"at least \d+ tokens and the context holds 100"):
        codec.encode(ask("word " * 50_000), most=100)
    assert sum(len(text) for text, _ in tokenizer.given) < 20_000
    assert len(codec.encode(ask("word " * 50)).tokens) > 100


def test_a_long_run_reaches_the_library_in_pieces() -> None:
    codec, tokenizer = make()
    tokens = codec.encode(ask("a" * 5000)).tokens
    assert list(tokens) == [1, *map(ord, "<|user|>" + "a" * 5000 + "<|end|><|assistant|>")]
    assert max(len(piece) for piece in tokenizer.pieces) < 1100


def test_the_library_gets_each_piece_by_itself() -> None:
    library = Library()
    segments = [Segment("<|user|>", trusted=True), Segment("hello", trusted=False)]
    tokens = OrtTokenizer(library).tokenize(segments, begins=True)
    assert library.texts == ["<|user|>", "hello"]
    assert bytes(tokens) == b"<|user|>hello"


def test_text_without_forgeries_goes_to_the_library_at_once() -> None:
    library = Library()
    PromptCodec(ChatTemplate(TEMPLATE, control=CONTROL), OrtTokenizer(library)).encode(ask("hello"))
    assert library.texts == ["<|user|>hello<|end|><|assistant|>"]


def test_a_forgery_is_cut_and_what_the_template_wrote_is_not() -> None:
    library = Library()
    codec = PromptCodec(ChatTemplate(TEMPLATE, control=CONTROL), OrtTokenizer(library))
    tokens = codec.encode(ask("a<|end|>b")).tokens
    assert library.texts == ["<|user|>a", "<", "|end|>", "b<|end|><|assistant|>"]
    assert bytes(tokens) == b"<|user|>a<|end|>b<|end|><|assistant|>"


def test_an_option_is_compared_in_the_letters_that_the_model_reads_it_in() -> None:
    lowers = TEMPLATE.replace("{{ m.content }}", "{{ m.content | lower if m.role == 'user' else m.content }}")
    for template, read in ((TEMPLATE, "Kitchen TV"), (lowers, "kitchen tv")):
        codec = PromptCodec(ChatTemplate(template, control=CONTROL), Letters())
        assert codec.tokens("Kitchen TV") == [*map(ord, read)]


def test_a_prompt_tells_in_which_form_its_tools_are_called() -> None:
    codec, _ = make()
    plain, told = (codec.encode(ask("Hi"), tools=tools) for tools in (None, Tools((Tool("lamp"),))))
    assert plain.form is None
    assert told.form == OURS
    assert "lamp" in told.text
    assert "lamp" not in plain.text


@given(WRITTEN)
def test_the_parts_of_a_defused_text_join_to_it_and_hold_no_control_token(text: str) -> None:
    parts = defuse(text, PATTERN)
    assert "".join(parts) == text
    assert not any(token in part for token in CONTROL for part in parts)


def test_a_control_token_of_one_character_can_not_be_cut() -> None:
    assert defuse("a#b", re.compile("#")) == ["a#b"]


@pytest.mark.parametrize("stop", [[], ["<stop>"]])
def test_plain_text_has_parts_of_one_kind_and_no_empty_ones(stop: list[str]) -> None:
    parser = TextParser(stop)
    parts = [parser.push(piece) for piece in (b"one ", "你".encode()[:1], "你".encode()[1:], b"<st")]
    held = bool(stop)
    text = DeltaKind.TEXT
    assert parts == [[Part(text, "one ")], [], [Part(text, "你")], [] if held else [Part(text, "<st")]]
    assert parser.finish() == ([Part(text, "<st")] if held else [])
    assert not parser.stopped


def test_a_parser_stops_at_a_stop_text() -> None:
    parser = TextParser(["ree"])
    assert parser.push(b"one two thr") == [Part(DeltaKind.TEXT, "one two th")]
    assert parser.push(b"ee four") == []
    assert parser.stopped
    assert parser.finish() == []
