"""A deterministic backend without a model, for tests, load trials and a first look at the wire contract.

It echoes the last message. A first line that begins with `!script` is not echoed; it says how to answer, in
words `key=value`:

    !script repeat=3 delay_ms=20
    Hello

| word | meaning |
| --- | --- |
| `repeat=N` | the text N times |
| `delay_ms=N` | a step that decodes takes N ms, however many slots do |
| `prefill_ms=N` | a step that prefills takes N ms a token |
| `encode_ms=N` | turning the prompt into tokens takes N ms |
| `encode_crash=1` | the process dies of SIGKILL while it does |
| `crash_after=N` | the process dies of SIGKILL at the N-th token |
| `hang_after=N` | the step with the N-th token never ends |
| `fail_after=N` | the step with the N-th token fails |

Where `model.path` names a JSON file, it holds answers by prompt: `{"How warm is it?": "19.5 °C"}`. A prompt
is the last message, or a pattern with `*` and `?`, of which the first that matches counts; an answer may
begin with `!script` too. The file is read for every prompt; what is not in it is echoed.
Requests that bind their answer are taken, and answered likewise: what is answered is up to who wrote it.

Options of decisions score by how often they occur in the state, and by less for the question.

What stands in `<think>` and `</think>` at the beginning of an answer are its thoughts, as other models have
them: it is left out where the request wants none, and the text follows where they are cut short.

The KV cache works as llama.cpp's does: a fixed number of cells, which slots share. A slot echoes what its
cells hold, so a prefix that is shared wrongly shows in the answer.
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from edgeassist.engine.backends.base import LoadedModel, TokenFilter
from edgeassist.engine.kv.reach import Reach, least
from edgeassist.engine.kv.world import World
from edgeassist.engine.messages import AUTO, ChatMessage, Load, ModelFacts, Sampling, Thinking, Tools
from edgeassist.engine.prompting.calls.finding import OURS
from edgeassist.engine.prompting.codec import Encoded, ReadsCalls
from edgeassist.engine.prompting.parser import AnswerParser, Lead, TextParser, ThoughtParser
from edgeassist.engine.prompting.thoughts import Marks
from edgeassist.engine.prompting.transcripts import Transcript
from edgeassist.engine.signals import KvFullError, StepAbortedError
from edgeassist.engine.step import Plan, Read, Share, Token, Trim, Work, Yield
from edgeassist.errors import InternalError, ModelError
from edgeassist.models.fit import Demand, Format, Memory, Weights, fit
from edgeassist.models.kv import alike

_TRAINED_CONTEXT = 32768
# Not a divisor of a Chinese character's three bytes in UTF-8, so that tokens end inside of characters.
_TOKEN_BYTES = 4
# A KV cache of 16 bytes per token.
_WEIGHTS = Weights(
    format=Format.GGUF,
    size_bytes=0,
    trained_context=_TRAINED_CONTEXT,
    kept=alike(1, 1, _TOKEN_BYTES),
)
_BRANCHES = 8
_END = Token(0, b"", ends=True)
# A level of a scale that is answered by its number, without what it means.
_LEVEL = re.compile(rb"^(\d+)\. (.+?)(?: \(.*\))?$", re.MULTILINE)
# What an option counts that the question names, by one that the state does.
_IN_QUESTION = 0.25
# Under which name the file of answers says how long the model takes to load, and how often that is told.
_LOAD = "!load"
_LOAD_STEP_S = 0.1
_MARKS = Marks("<think>", "</think>", ("\n", "\n\n"))
# In the place of a chat template's empty thought, at the end of the prompt: a byte that no text has.
_NO_THOUGHT = b"\xff"


@dataclass(frozen=True, slots=True, eq=False)
class _Cell:
    """One token's entry in the KV cache; slots that share a prefix share its cells."""

    token: int


@dataclass(slots=True)
class _Script:
    """What a slot answers; made when its prompt is complete."""

    endless: bool = False
    answer: list[Token] = field(default_factory=list)
    thought: list[Token] = field(default_factory=list)
    words: dict[str, int] = field(default_factory=dict)
    at: int = 0

    def word(self, name: str) -> int:
        return self.words.get(name, 0)


def load(options: Load, progress: Callable[[float], None]) -> LoadedModel:
    """Return a backend with a KV cache of the size that is asked for (`load_backend`)."""
    answers = Answers(Path(options.path) if options.path else None)
    _wait(answers.load_ms() / 1000, progress)
    sizes = fit(
        _WEIGHTS,
        Demand(
            context=options.context,
            threads=options.threads,
            slots=options.slots,
            kv_tokens=options.kv_tokens,
            prefix_bytes=options.prefix_bytes,
        ),
        Memory(),
    )
    facts = ModelFacts(
        name="scripted",
        backend="scripted",
        architecture="echo",
        context=sizes.context,
        trained_context=_TRAINED_CONTEXT,
        slots=sizes.slots,
        kv_tokens=sizes.kv_tokens,
        prefix_bytes=sizes.prefix_bytes,
        threads=options.threads,
        constrains=True,
        thinks=True,
        decides=True,
        branches=_BRANCHES,
        state_format="scripted 1",
    )
    backend = ScriptedBackend(sizes.kv_tokens, answers)
    return LoadedModel(backend, ScriptedCodec(answers), facts, ends=(_END.id,))


class Answers:
    """What is answered to which prompt.

    Args:
        path: The file that says so; None: nothing but echoes.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path

    def load_ms(self) -> int:
        """Return how many milliseconds the model takes to load.

        Raises:
            ModelError: The file can't be used.
        """
        words, _ = _read(self._known().get(_LOAD, ""))
        return words.get("delay_ms", 0)

    def to(self, prompt: str) -> str:
        """Return the answer to a prompt: itself, if no other is known.

        Raises:
            ModelError: The file can't be used.
        """
        known = self._known()
        if prompt in known:
            return known[prompt]
        return next((answer for each, answer in known.items() if fnmatchcase(prompt, each)), prompt)

    def _known(self) -> dict[str, str]:
        if self._path is None:
            return {}
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, str])
        except (OSError, ValueError, RecursionError) as error:
            raise ModelError(f"model.path: {self._path} holds no answers by prompt: {error}") from None


class ScriptedCodec:
    """Fulfils `Codec`; a token is up to four bytes of UTF-8, and its id holds them."""

    refused: frozenset[str] = frozenset()
    ends: tuple[str, ...] = ()

    def __init__(self, answers: Answers | None = None) -> None:
        self._answers = answers or Answers()
        self.cut = _tokens(_MARKS.cut.encode())

    def encode(
        self,
        messages: Sequence[ChatMessage],
        most: int | None = None,
        thinking: Thinking = AUTO,
        tools: Tools | None = None,
    ) -> Encoded:
        """Return all messages' bytes as token ids, a marker before each; no two share a token."""
        del most  # nothing is gained by stopping early
        words, _ = _read(self._answers.to(messages[-1].content))
        time.sleep(words.get("encode_ms", 0) / 1000)
        if words.get("encode_crash"):
            os.kill(os.getpid(), signal.SIGKILL)
        texts = ["\0" + each.content for each in messages if each.content or each.role != "system"]
        tokens = [token for text in texts for token in _ids(text.encode())]
        if thinking.wanted is False:
            tokens += _ids(_NO_THOUGHT)
        return Encoded("".join(texts), tokens, form=None if tools is None else OURS)

    def parser(
        self,
        stop: Sequence[str],
        *,
        thinks: bool = False,
        thoughts: bool = True,
        lead: Lead | None = None,
        calls: ReadsCalls | None = None,
    ) -> AnswerParser:
        """Return a parser for text and calls with thoughts before them."""
        rest: AnswerParser = TextParser(stop) if calls is None else calls(TextParser(stop))
        return ThoughtParser(_MARKS, rest, thinks=thinks, lead=lead) if thoughts else rest

    def tokens(self, option: str) -> list[int]:
        """Return the option's bytes as token ids."""
        return _ids(option.encode())

    def remember(self, prompt: Encoded, answer: str, tokens: Sequence[int]) -> None:
        """Remember nothing: a text has only one reading here."""

    def transcript_of(self, tokens: Sequence[int]) -> Transcript | None:
        """Return nothing, likewise."""

    def retell(self, transcript: Transcript) -> None:
        """Remember nothing, likewise."""


class ScriptedBackend:
    """Fulfils `Backend`.

    Args:
        kv_tokens: How many tokens the KV cache holds.
        answers: What is answered; None: echoes.
        reach: How far back a slot can be cut, as with models whose memory can't be cut anywhere.
    """

    def __init__(self, kv_tokens: int, answers: Answers | None = None, reach: Reach = None) -> None:
        self._answers = answers or Answers()
        self.computed_s = 0.0
        self._room = kv_tokens
        self._reach = reach
        self._scripts: dict[int, _Script] = {}
        self._cells: dict[int, list[_Cell]] = {}
        self._aborted = threading.Event()

    def open(self, slot: int, sampling: Sampling, world: World, limits: TokenFilter | None = None) -> None:
        """Begin; of all this, only `ignore_eos` changes anything here."""
        del world, limits
        self._scripts[slot] = _Script(sampling.ignore_eos)

    def step(self, plan: Plan) -> Yield:
        """Take prompts in, and give the next tokens of their echoes."""
        for change in plan.memory:
            self._apply(change)
        used = len({cell for cells in self._cells.values() for cell in cells})
        if used + plan.tokens > self._room:
            raise KvFullError(f"{plan.tokens} tokens more than {used} of {self._room}")
        # Nothing changes before all the waiting is over, so that an abort leaves no trace.
        delay_s = self._step_s(plan)
        if self._aborted.wait(delay_s):
            raise StepAbortedError("the step was aborted", self._lose(plan))
        self.computed_s += delay_s
        sampled = {work.slot: tokens for work in plan.work if (tokens := self._advance(work))}
        compared = {
            work.slot: [self._compare(work.slot, read) for read in work.reads]
            for work in plan.work
            if work.reads
        }
        return Yield(sampled, compared)

    def use_threads(self, decode: int, prefill: int) -> None:
        """Change nothing: there is nothing to compute."""

    def close(self, slot: int) -> None:
        """Forget the script and the cells."""
        self._scripts.pop(slot, None)
        self._cells.pop(slot, None)

    def abort(self) -> None:
        """End the waiting of the running step."""
        self._aborted.set()

    def proceed(self) -> None:
        """Let steps run again."""
        self._aborted.clear()

    def snapshot(self, slot: int) -> bytes:
        """Return the slot's tokens."""
        return " ".join(str(cell.token) for cell in self._cells.get(slot, ())).encode()

    def restore(self, slot: int, state: bytes | bytearray, length: int) -> int:
        """Fill the slot."""
        try:
            cells = [_Cell(int(word)) for word in state.split()]
        except ValueError:
            return 0
        self._cells[slot] = cells[:length] if length >= least(len(cells), self._reach) else []
        return len(self._cells[slot])

    def _lose(self, plan: Plan) -> list[int]:
        """Drop what can't be cut back to where the step began."""
        lost = [work.slot for work in plan.work if least(work.position + len(work.tokens), self._reach)]
        for slot in lost:
            self._cells[slot] = []
        return lost

    def _apply(self, change: Share | Trim) -> None:
        match change:
            case Share(source=source, target=target, length=length):
                cells = self._cells[source]
                assert length >= least(len(cells), self._reach), "it can't be cut there"  # noqa: S101 - a bug
                self._cells[target] = cells[:length]
            case Trim(slot=slot):
                self._cells[slot] = []

    def _step_s(self, plan: Plan) -> float:
        """Return how long a step takes: slots decode together, prompts are read one after the other."""
        decode_ms = prefill_ms = 0
        for work in plan.work:
            script = self._scripts[work.slot]
            if script.answer:
                decode_ms = max(decode_ms, script.word("delay_ms"))
            else:
                words, _ = _read(self._answers.to(self._prompt(work)))
                prefill_ms += len(work.tokens) * words.get("prefill_ms", 0)
        return (decode_ms + prefill_ms) / 1000

    def _prompt(self, work: Work) -> str:
        """Return the last message, as far as it is read with this work."""
        cells = [cell.token for cell in self._cells.get(work.slot, ())]
        said = _bytes([*cells, *work.tokens]).rpartition(b"\0")[2].removesuffix(_NO_THOUGHT)
        return said.decode(errors="ignore")

    def _compare(self, slot: int, read: Read) -> list[float]:
        """Count how often what has been answered occurs in what was asked, with each candidate behind it."""
        cells = [cell.token for cell in self._cells[slot][: read.position + 1]]
        asked, _, said = _bytes(cells).rpartition(_NO_THOUGHT)
        state, _, question = asked.lower().rpartition(b"\n\n")
        named = dict(_LEVEL.findall(question))
        texts = [(said + _bytes([each])).lower() if each else b"" for each in read.candidates]
        names = [named.get(text, text) for text in texts]
        return [state.count(name) + _IN_QUESTION * question.count(name) if name else 0.0 for name in names]

    def _advance(self, work: Work) -> list[Token]:
        script = self._scripts[work.slot]
        if work.samples and not script.answer:
            script.words, text = _read(self._answers.to(self._prompt(work)))
            thought, text = _split_thought(text)
            if _bytes(work.tokens).endswith(_NO_THOUGHT):
                thought = ""
            echo = (text * script.words.get("repeat", 1)).encode()
            # No token has some of both, so that the text can follow without the thought.
            script.thought = list(_tokens(thought.encode()))
            said = [*script.thought, *_tokens(echo)]
            script.answer = said if script.endless and said else [*said, _END]
        elif work.samples and _bytes(work.tokens).endswith(_MARKS.cut.encode()):
            script.at = max(script.at, len(script.thought))
        cells = self._cells.setdefault(work.slot, [])
        assert len(cells) == work.position, "the plan leaves a gap in the KV cache"  # noqa: S101 - a bug
        cells += map(_Cell, work.tokens)
        if not work.samples:
            return []
        draft = work.tokens[len(work.tokens) - work.drafted :]
        tokens = []
        for index in range(work.drafted + 1):
            tokens.append(script.answer[script.at % len(script.answer)])
            script.at += 1
            _misbehave(script)
            if index == work.drafted or tokens[-1].id != draft[index] or tokens[-1].ends:
                break
        del cells[work.position + len(work.tokens) - work.drafted + len(tokens) - 1 :]
        return tokens


def _wait(seconds: float, progress: Callable[[float], None]) -> None:
    """Take so long to load."""
    begin = time.monotonic()
    while (passed := time.monotonic() - begin) < seconds:
        progress(passed / seconds)
        time.sleep(min(_LOAD_STEP_S, seconds - passed))
    progress(1.0)


def _misbehave(script: _Script) -> None:
    if script.at == script.word("crash_after"):
        os.kill(os.getpid(), signal.SIGKILL)
    if script.at == script.word("hang_after"):
        threading.Event().wait()
    if script.at == script.word("fail_after"):
        raise InternalError("the script asked for a failing step")


def _read(text: str) -> tuple[dict[str, int], str]:
    """Return the script's words and the text to echo."""
    first, _, rest = text.partition("\n")
    if not first.startswith("!script"):
        return {}, text
    pairs = (word.partition("=") for word in first.split()[1:])
    return {key: int(value[:6]) for key, _, value in pairs if value.isdecimal()}, rest


def _split_thought(text: str) -> tuple[str, str]:
    """Return what is thought before an answer, with its marks, and what is said then."""
    if not text.lstrip().startswith(_MARKS.opening):
        return "", text
    said = text.partition(_MARKS.closing)[2].lstrip("\n")
    return text[: len(text) - len(said)], said


def _tokens(text: bytes) -> tuple[Token, ...]:
    return tuple(Token(id_, _bytes([id_]), ends=False) for id_ in _ids(text))


def _ids(text: bytes) -> list[int]:
    # A leading one keeps zero bytes and the length apart.
    return [
        int.from_bytes(b"\1" + text[at : at + _TOKEN_BYTES], "big")
        for at in range(0, len(text), _TOKEN_BYTES)
    ]


def _bytes(ids: Sequence[int]) -> bytes:
    return b"".join(id_.to_bytes(_TOKEN_BYTES + 1, "big").lstrip(b"\0")[1:] for id_ in ids)
