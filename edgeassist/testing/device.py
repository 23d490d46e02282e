"""A private broker and a daemon whose answers a test writes."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from edgeassist.client import AsyncClient, Client
from edgeassist.errors import BrokerError
from edgeassist.protocol.topics import Topics
from edgeassist.sandbox import HOST, PrivateBroker, PrivateDaemon

START_S = 60.0
# How long to wait for the device before looking whether it still runs.
_LOOK_S = 1.0


def script(
    text: str,
    *,
    delay_ms: int = 0,
    repeat: int = 1,
    fail_after: int = 0,
    crash_after: int = 0,
    hang_after: int = 0,
) -> str:
    """Return an answer that is slow or does not end well. A token is up to four bytes of UTF-8.

    Args:
        text: What is answered, after what stands in `<think>` and `</think>` at its beginning: thoughts.
        delay_ms: How long each token takes.
        repeat: How often the text comes.
        fail_after: The token at which the answer fails with `internal`, and with it those that run beside it;
            0: none, as below.
        crash_after: The token at which the engine dies: `engine_crashed`, and another engine starts.
        hang_after: The token at which the engine hangs, until `engine.stall_timeout_s` has passed.
    """
    words = {
        "delay_ms": delay_ms,
        "repeat": repeat,
        "fail_after": fail_after,
        "crash_after": crash_after,
        "hang_after": hang_after,
    }
    said = " ".join(f"{word}={number}" for word, number in words.items() if number)
    return f"!script {said}\n{text}"


def calling(tool: str, **arguments: object) -> str:
    """Return an answer that calls a tool, of requests that offer any; `+` joins several, or a text before it.

    Args:
        tool: Its name.
        **arguments: What can be written as JSON.
    """
    call = json.dumps({"name": tool, "arguments": arguments}, ensure_ascii=False)
    return f"<tool_call>\n{call}\n</tool_call>"


class ScriptedDevice:
    """A device on this machine, alone with its broker. A context manager, ready inside its block.

    What has no answer in `answers` is answered with itself. A decision picks the option that occurs most
    often in the state; of equals one that the question names, else the first.

    Args:
        answers: Answers by prompt, the last message of a conversation: its text, or a pattern with `*` and
            `?`, of which the first that matches counts. An answer is a text, a `script`, or `calling` a tool.
            Of results of tools, the last is the prompt.
        name: The device's.
        **settings: More of its settings: `engine__slots=1` is `engine.slots`.

    Attributes:
        broker: Its broker; `broker.stop()` and `broker.start()` are a broken connection.
        daemon: Its daemon, which `stop()` and `start()` restart; `daemon.log` is the file with its log.
        host: The broker's address.
        topics: The device's topics.

    Raises:
        ConfigurationError: Mosquitto is not installed.
        BrokerError: Broker or daemon did not start; the message has the end of the log.
    """

    host = HOST

    def __init__(
        self, answers: Mapping[str, str] | None = None, *, name: str = "test", **settings: object
    ) -> None:
        self._answers = dict(answers or {})
        self._settings = settings
        self.topics = Topics("edgeassist", name)
        self._stack = ExitStack()

    @property
    def name(self) -> str:
        """The device's name."""
        return self.topics.device

    @property
    def port(self) -> int:
        """The broker's port."""
        return self.broker.port

    @property
    def answers(self) -> Mapping[str, str]:
        """The answers by prompt. What is assigned holds from the next prompt on."""
        return self._answers

    @answers.setter
    def answers(self, answers: Mapping[str, str]) -> None:
        self._answers = dict(answers)
        new = self._folder / "new.json"
        new.write_text(json.dumps(self._answers))
        new.replace(self._file)

    def __enter__(self) -> Self:
        """Start, and wait until the device can answer."""
        with ExitStack() as stack:
            self._folder = Path(stack.enter_context(TemporaryDirectory(prefix="edgeassist-testing-")))
            self._file = self._folder / "answers.json"
            self.answers = self._answers
            self.broker = stack.enter_context(PrivateBroker(self._folder))
            settings = {
                "device__name": self.name,
                "mqtt__host": HOST,
                "mqtt__port": self.port,
                "mqtt__reconnect_max_s": 1,
                "model__backend": "scripted",
                "model__path": self._file,
                "engine__restart_max_s": 1,
                **self._settings,
            }
            environ = {f"EDGEASSIST_{key.upper()}": str(value) for key, value in settings.items()}
            self.daemon = stack.enter_context(PrivateDaemon(self._folder, environ))
            self.wait_ready()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop both, and leave nothing."""
        self._stack.close()

    def client(self, name: str | None = None) -> Client:
        """Return a client of it, to be connected by `with`."""
        return Client(self.host, self.port, device=self.name, name=name)

    def async_client(self, name: str | None = None) -> AsyncClient:
        """Return a client of it, to be connected by `async with`."""
        return AsyncClient(self.host, self.port, device=self.name, name=name)

    def reset(self) -> None:
        """Make it as new: without answers, and running."""
        self.answers = {}
        for process in (self.broker, self.daemon):
            if not process.running:
                process.start()
        self.wait_ready()

    def wait_ready(self, timeout_s: float = START_S) -> None:
        """Wait until it can answer, also after it was started again.

        Raises:
            BrokerError: It has ended, or that took longer.
        """
        until = time.monotonic() + timeout_s
        with self.client() as client:
            while self.daemon.running:
                try:
                    return client.wait_ready(min(_LOOK_S, until - time.monotonic()))
                except BrokerError:
                    if time.monotonic() >= until:
                        raise
        end = self.daemon.log.read_text(errors="replace").strip().splitlines()[-5:]
        raise BrokerError("the daemon has ended; the end of its log:\n" + "\n".join(end))
