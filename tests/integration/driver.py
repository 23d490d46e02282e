"""The daemon's side of the pipe, in plain blocking calls."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any, TypeVar

from edgeassist.engine.messages import (
    Cancelled,
    ChatMessage,
    Command,
    Decide,
    Decided,
    Delta,
    Encoding,
    Event,
    Failed,
    Finished,
    FlashAttention,
    Load,
    Prefilled,
    Question,
    Ready,
    Sampling,
    Start,
    decode_event,
    encode,
)
from edgeassist.supervision.spawning import environment
from tests import preloaded
from tests.patience import PATIENCE_S

GREEDY = Sampling(temperature=0)
Kind = TypeVar("Kind")
_numbers = count(1)


@dataclass(frozen=True)
class Answer:
    """What the engine said about one request."""

    pieces: tuple[str, ...]
    ending: Finished | Cancelled | Failed

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def finished(self) -> Finished:
        assert isinstance(self.ending, Finished), self.ending
        return self.ending

    @property
    def failed(self) -> Failed:
        assert isinstance(self.ending, Failed), self.ending
        return self.ending


class Engine:
    """An engine process. All that it said is in `events`."""

    def __init__(self, *, environ: Mapping[str, str] | None = None) -> None:
        self.socket, theirs = socket.socketpair()
        self._output = TemporaryFile()  # noqa: SIM115 - closed by `__exit__`
        with theirs:
            given = {**environment(os.environ), **(environ or {})}
            self.process = preloaded.engine(theirs, self._output, given)
        self.events: list[Event] = []
        self._endings: dict[str, Finished | Cancelled | Failed] = {}
        self._buffer = b""
        self.slots = 1

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()
        self.process.kill()
        self.process.wait()
        self._output.close()

    def load(self, backend: str = "scripted", path: Path | str = "", **options: Any) -> Ready:
        """Load a model and return what the engine says of it.

        Without flash attention, which rounds one row otherwise than many: with weights that nobody trained,
        two tokens are often so close that this decides.
        """
        values: dict[str, Any] = {"context": 1024, "slots": 4, "threads": 1, "step_tokens": 64, **options}
        values.setdefault("flash_attention", FlashAttention.OFF)
        self.send(Load(backend, str(path), **values))
        ready = self.hear(Ready)
        self.slots = ready.model.slots
        return ready

    def send(self, *commands: Command) -> None:
        self.socket.sendall(b"".join(map(encode, commands)))

    def read(self, timeout_s: float = PATIENCE_S) -> Event | None:
        """Wait for the next event and keep it; None at the end of the pipe."""
        self.socket.settimeout(timeout_s)
        while b"\n" not in self._buffer:
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        event = decode_event(line)
        self.events.append(event)
        if isinstance(event, Finished | Cancelled | Failed):
            self._endings[event.id] = event
        return event

    def until(self, matches: Callable[[Event], bool], timeout_s: float = PATIENCE_S) -> Event:
        """Read until such an event comes, and return it."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            event = self.read(timeout_s)
            assert event is not None, f"the engine ended after {self.events[-5:]}"
            if matches(event):
                return event
        raise AssertionError(f"not heard within {timeout_s} s; the last was {self.events[-5:]}")

    def hear(self, kind: type[Kind], timeout_s: float = PATIENCE_S) -> Kind:
        """Read until an event of that class comes, and return it."""
        event = self.until(lambda each: isinstance(each, kind), timeout_s)
        assert isinstance(event, kind)
        return event

    def drain(self) -> None:
        """Read all that was said, so that the pipe is empty."""
        self.socket.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._buffer += self.socket.recv(1 << 16)

    def ask(self, *prompts: str, **fields: Any) -> list[Answer]:
        """Ask as many at once as there are slots, and return the answers when all are complete."""
        requests = [start(prompt, **fields) for prompt in prompts]
        answers = []
        for first in range(0, len(requests), self.slots):
            together = requests[first : first + self.slots]
            self.send(*together)
            answers += [self.wait(request.id) for request in together]
        return answers

    def answer(self, prompt: str, **fields: Any) -> Answer:
        return self.ask(prompt, **fields)[0]

    def decide(self, state: str, *questions: Question, **fields: Any) -> Decided:
        """Have options scored; nothing else is under way."""
        request = Decide(f"r{next(_numbers)}", state, questions, **fields)
        self.send(request)
        event = self.until(lambda each: isinstance(each, Decided | Failed) and each.id == request.id)
        assert isinstance(event, Decided), event
        return event

    def about(self, request: str) -> list[Event]:
        """Return what was said about a request."""
        return [event for event in self.events if getattr(event, "id", None) == request]

    def wait(self, request: str, timeout_s: float = PATIENCE_S) -> Answer:
        """Wait until the request ended."""
        deadline = time.monotonic() + timeout_s
        while request not in self._endings:
            assert time.monotonic() < deadline
            assert self.read(timeout_s) is not None, "the engine ended"
        # One that is cancelled while it is encoded ends before that does.
        *said, ending = (event for event in self.about(request) if not isinstance(event, Encoding))
        assert ending is self._endings[request]
        return Answer(tuple(event.text for event in said if isinstance(event, Delta)), ending)

    def prefilled(self, request: str) -> list[Prefilled]:
        return [event for event in self.about(request) if isinstance(event, Prefilled)]

    def ends(self, timeout_s: float = PATIENCE_S) -> tuple[int, str]:
        """Wait until the process ends; return its exit status and what it printed."""
        status = self.process.wait(timeout_s)
        self._output.seek(0)
        return status, self._output.read().decode(errors="replace")


def start(prompt: str, *, request: str = "", **fields: Any) -> Start:
    """Return a command that asks greedily."""
    values: dict[str, Any] = {
        "messages": (ChatMessage("user", prompt),),
        "sampling": GREEDY,
        "max_tokens": 32,
        **fields,
    }
    return Start(request or f"r{next(_numbers)}", **values)
