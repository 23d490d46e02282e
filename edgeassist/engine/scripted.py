"""A deterministic backend without a model, for tests, load trials and a first look at the wire contract.

It answers with the text of the last message. A first line that begins with `!script` is not echoed; it
says how to answer, in words `key=value`:

    !script repeat=3 delay_ms=20
    Hello

| word | meaning |
| --- | --- |
| `repeat=N` | the text N times |
| `delay_ms=N` | a step that decodes takes N ms |
| `prefill_ms=N` | a step that prefills takes N ms a token |
| `crash_after=N` | the process dies of SIGKILL at the N-th token |
| `hang_after=N` | the step with the N-th token never ends |
| `fail_after=N` | the step with the N-th token fails |
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edgeassist.engine.messages import ChatMessage, Load, ModelFacts, Sampling
from edgeassist.engine.scheduler import Plan, Token, Work
from edgeassist.errors import InternalError

_TRAINED_CONTEXT = 32768
# Not a divisor of a Chinese character's three bytes in UTF-8, so that tokens end inside of characters.
_TOKEN_BYTES = 4
_END = Token(0, b"", ends=True)


@dataclass(slots=True)
class _Script:
    """What a slot does. `answer` is made when its prompt is complete."""

    prompt: list[int]
    answer: list[Token]
    words: dict[str, int]
    at: int = 0

    def word(self, name: str) -> int:
        return self.words.get(name, 0)


class ScriptedBackend:
    """Fulfils `Backend`; a token is up to four bytes of UTF-8, and its id holds them."""

    def __init__(self) -> None:
        self._slots: dict[int, _Script] = {}

    def load(self, options: Load, progress: Callable[[float], None]) -> ModelFacts:
        """Load nothing."""
        progress(1.0)
        return ModelFacts(
            name="scripted",
            backend="scripted",
            architecture="echo",
            context=min(options.context, _TRAINED_CONTEXT),
            trained_context=_TRAINED_CONTEXT,
            slots=options.slots,
            threads=options.threads,
        )

    def encode(self, messages: Sequence[ChatMessage]) -> Sequence[int]:
        """Return all messages' bytes, a marker before each, as token ids."""
        text = b"".join(b"\0" + message.content.encode() for message in messages)
        return _ids(text)

    def open(self, slot: int, sampling: Sampling) -> None:
        """Begin; sampling changes nothing here."""
        del sampling
        self._slots[slot] = _Script([], [], {})

    def step(self, plan: Plan) -> Mapping[int, Token]:
        """Take the prompt in, or give the next token of its echo."""
        return {work.slot: token for work in plan.work if (token := self._advance(work)) is not None}

    def close(self, slot: int) -> None:
        """Forget the slot."""
        del self._slots[slot]

    def _advance(self, work: Work) -> Token | None:
        script = self._slots[work.slot]
        if not script.answer:
            script.prompt += work.tokens
            text = _bytes(script.prompt).rpartition(b"\0")[2].decode(errors="ignore")
            script.words, answer = _read(text)
            time.sleep(len(work.tokens) * script.word("prefill_ms") / 1000)
            if not work.samples:
                return None
            echo = (answer * script.words.get("repeat", 1)).encode()
            script.answer = [Token(id_, _bytes([id_]), ends=False) for id_ in _ids(echo)]
        else:
            time.sleep(script.word("delay_ms") / 1000)
        token = script.answer[script.at] if script.at < len(script.answer) else _END
        script.at += 1
        _misbehave(script)
        return token


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


def _ids(text: bytes) -> list[int]:
    # A leading one keeps zero bytes and the length apart.
    return [
        int.from_bytes(b"\1" + text[at : at + _TOKEN_BYTES], "big")
        for at in range(0, len(text), _TOKEN_BYTES)
    ]


def _bytes(ids: Sequence[int]) -> bytes:
    return b"".join(id_.to_bytes(_TOKEN_BYTES + 1, "big").lstrip(b"\0")[1:] for id_ in ids)
