import pytest

from edgeassist.engine.answer import Answer
from edgeassist.engine.kv.world import PLAIN
from edgeassist.engine.messages import Delta, DeltaKind, Finish, Tool, Tools
from edgeassist.engine.prompting.calls import finding
from edgeassist.engine.prompting.codec import Encoded
from edgeassist.engine.prompting.parser import AnswerParser, Part, TextParser
from edgeassist.engine.sequence import Ending, Outcome, Sequence
from edgeassist.engine.step import Token

THOUGHT, TEXT, CALL = DeltaKind.THOUGHT, DeltaKind.TEXT, DeltaKind.TOOL_CALL


class Thinking:
    """A parser of a family whose thoughts come first, one token a line, and end with an empty one."""

    def __init__(self) -> None:
        self.stopped = False
        self.settled = False
        self.verbatim = False
        self.calling = False
        self._kind = THOUGHT

    @property
    def thinking(self) -> bool:
        return self._kind is THOUGHT

    @thinking.setter
    def thinking(self, _: bool) -> None:
        raise AssertionError

    def thinks_after(self, data: bytes) -> bool:
        return self.thinking and bool(data)

    def push(self, piece: bytes) -> list[Part]:
        if self._kind is THOUGHT and not piece:
            self._kind = TEXT
            self.settled = True
            return []
        return [Part(self._kind, piece.decode())]

    def finish(self) -> list[Part]:
        return [Part(self._kind, ".")]


def make(parser: AnswerParser, *, gather_s: float = 0.0) -> Answer:
    """Return an answer that began at 10 s, when the backend had computed for 4 s."""
    sequence = Sequence("a", 0, [1, 2, 3], PLAIN, prompt_tokens=3, limit=9, cached=2)
    return Answer(sequence, Encoded("", [1, 2, 3]), 2, parser, None, gather_s, started=10.0, computed_s=4.0)


def take(answer: Answer, *pieces: bytes, now: float, ending: Ending | None = None) -> bool:
    tokens = tuple(Token(9, piece, ends=False) for piece in pieces)
    return answer.take(Outcome(answer.sequence, tokens, ending), now)


def test_parts_of_different_kinds_are_sent_as_deltas_of_their_kinds_in_order() -> None:
    answer = make(Thinking())
    ended = take(answer, b"let ", b"me see", b"", b"It ", b"is", now=11.0, ending=Ending.END_OF_TURN)
    assert ended
    assert answer.send(11.0) == [Delta("a", "let me see", THOUGHT, 5), Delta("a", "It is.", TEXT, 5)]


def test_the_text_of_an_answer_has_no_thoughts() -> None:
    answer = make(Thinking())
    take(answer, b"hm", b"", b"yes", now=11.0)
    assert answer.text == "yes"


def test_nothing_is_sent_twice() -> None:
    answer = make(TextParser([]))
    take(answer, b"one", now=11.0)
    assert answer.send(11.0) == [Delta("a", "one", tokens=1)]
    assert not answer.due(12.0)
    assert answer.send(12.0) == []
    take(answer, b"two", now=13.0)
    assert answer.send(13.0) == [Delta("a", "two", tokens=2)]


def test_the_first_part_is_due_at_once_and_later_ones_when_they_were_gathered() -> None:
    answer = make(TextParser([]), gather_s=0.5)
    take(answer, b"one", now=11.0)
    assert answer.due(11.0)
    answer.send(11.0)
    take(answer, b"two", now=11.1)
    assert not answer.due(11.4)
    assert answer.due(11.5)


def test_an_answer_that_reached_its_limit_tells_its_times_and_counts() -> None:
    answer = make(TextParser([]))
    take(answer, b"one", now=12.0)
    assert take(answer, b"two", now=15.0, ending=Ending.LIMIT)
    finished = answer.finished(Ending.LIMIT, 15.0, computed_s=8.5)
    assert (finished.id, finished.reason) == ("a", Finish.LENGTH)
    assert (finished.prompt_tokens, finished.cached_tokens, finished.completion_tokens) == (3, 2, 2)
    assert (finished.prefill_ms, finished.decode_ms, finished.overhead_ms) == (2000, 3000, 500)
    assert finished.dropped_messages == 2


def test_a_stop_text_ends_the_answer_and_later_tokens_of_its_step_do_not_count() -> None:
    answer = make(TextParser(["wo"]))
    assert take(answer, b"one ", b"two", b"three", now=12.0, ending=Ending.LIMIT)
    assert answer.text == "one t"
    finished = answer.finished(Ending.LIMIT, 12.0, computed_s=4.0)
    assert (finished.reason, finished.completion_tokens) == (Finish.STOP, 2)


def calling() -> AnswerParser:
    return finding.OURS.parser(Tools((Tool("x"),)), TextParser(()))


WRITTEN = b'<tool_call>\n{"name": "x", "arguments": {}}\n</tool_call>'
READ = '{"name":"x","arguments":"{}"}'


def test_each_call_is_a_delta_of_its_own_and_due_at_once() -> None:
    answer = make(calling(), gather_s=9.0)
    take(answer, b"a", now=11.0)
    assert answer.send(11.0) == [Delta("a", "a", tokens=1)]
    take(answer, b" b", WRITTEN, WRITTEN, now=11.1)
    assert answer.due(11.1)
    assert answer.send(11.1) == [
        Delta("a", " b", tokens=4),
        Delta("a", READ, CALL, 4),
        Delta("a", READ, CALL, 4),
    ]
    take(answer, WRITTEN, now=11.2)
    assert answer.due(11.2)


@pytest.mark.parametrize(
    ("said", "ending", "reason"),
    [
        (WRITTEN, Ending.END_OF_TURN, Finish.TOOL_CALLS),
        (WRITTEN, Ending.LIMIT, Finish.TOOL_CALLS),
        (WRITTEN + b"\n<tool_call>", Ending.LIMIT, Finish.LENGTH),
        (WRITTEN[:-1], Ending.LIMIT, Finish.LENGTH),
        (b"text", Ending.LIMIT, Finish.LENGTH),
        (b"text", Ending.END_OF_TURN, Finish.STOP),
    ],
)
def test_an_answer_with_a_whole_call_ended_by_it(said: bytes, ending: Ending, reason: Finish) -> None:
    answer = make(calling())
    take(answer, said, now=11.0, ending=ending)
    assert answer.finished(ending, 11.0, 5.0).reason is reason
