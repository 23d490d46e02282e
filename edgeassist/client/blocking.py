"""The client for programs without an event loop: the same words as `AsyncClient`'s, and they block."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from edgeassist.client.answers import AnyEvent
from edgeassist.client.asynchronous import AsyncClient
from edgeassist.client.connection import OnProgress
from edgeassist.client.decision import Decision
from edgeassist.client.fields import DecisionFields, Fields, Options
from edgeassist.client.loop import LoopThread
from edgeassist.client.result import Answer
from edgeassist.client.streaming import AsyncStream
from edgeassist.client.tools import ToolCall
from edgeassist.errors import BrokerError

T = TypeVar("T")


class Stream:
    """An answer as it comes: its texts, by iterating over it, or its `events()`.

    It asks when the iteration begins, and a request whose stream is left is cancelled. `with` makes sure that
    it is left.
    """

    def __init__(self, loop: LoopThread, stream: AsyncStream) -> None:
        self._loop = loop
        self._stream = stream

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Generator[str]:
        return self._each(self._stream.next_text)

    @property
    def text(self) -> str:
        """The text so far."""
        return self._stream.text

    @property
    def reasoning(self) -> str:
        """What the model has thought before it, so far."""
        return self._stream.reasoning

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """What it has called so far."""
        return self._stream.tool_calls

    def events(self) -> Generator[AnyEvent]:
        """Yield the events (`AsyncStream.events`)."""
        return self._each(self._stream.next_event)

    def result(self) -> Answer:
        """Wait for the end, and return the whole answer (`AsyncStream.result`)."""
        return self._loop.run(self._stream.result())

    def close(self) -> None:
        """Leave the answer; what is not complete is cancelled on the device."""
        with suppress(BrokerError):  # the client was closed before, and took this with it
            self._loop.run(self._stream.aclose())

    def _each(self, following: Callable[[], Any]) -> Generator[Any]:
        try:
            while (each := self._loop.run(following())) is not None:
                yield each
        finally:
            self.close()


class Client:
    """Asks one device, or a fleet. A context manager, connected inside its block; any thread may use it.

    Args:
        host: The broker's name or address.
        port: Its port; by default 1883, or 8883 with TLS.
        **options: The rest of `AsyncClient`'s; `device`, or `fleet`, is needed.

    Raises:
        InvalidRequestError: As of `AsyncClient`.
    """

    def __init__(self, host: str = "localhost", port: int | None = None, **options: Unpack[Options]) -> None:
        self._client = AsyncClient(host, port, **options)
        self._loop = LoopThread("edgeassist-client")
        self.name = self._client.name
        self.topics = self._client.topics

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def connect(self) -> None:
        """Connect to the broker (`AsyncClient.connect`). `with` does it."""
        self._loop.start()
        try:
            self._loop.run(self._client.connect())
        except BaseException:
            self._loop.stop()
            raise

    def close(self) -> None:
        """Disconnect. A request without its end is cancelled, and fails."""
        try:
            if self._loop.running:
                self._loop.run(self._client.close())
        finally:
            self._loop.stop()

    @property
    def connected(self) -> bool:
        """Whether there is a connection to the broker at the moment."""
        return self._client.connected

    def ask(self, prompt: str | None = None, **fields: Unpack[Fields]) -> Answer:
        """Ask, and return the whole answer (`AsyncClient.ask`)."""
        return self._loop.run(self._client.ask(prompt, **fields))

    def stream(self, prompt: str | None = None, **fields: Unpack[Fields]) -> Stream:
        """Return the answer as a stream (`AsyncClient.stream`)."""
        return Stream(self._loop, self._client.stream(prompt, **fields))

    def decide(
        self, state: Any, questions: Mapping[str, Mapping[str, Any]], **fields: Unpack[DecisionFields]
    ) -> Decision:
        """Have questions about a state answered with probabilities (`AsyncClient.decide`)."""
        return self._loop.run(self._client.decide(state, questions, **fields))

    def cancel(self, request: str) -> None:
        """Cancel a request of this client by its id (`AsyncClient.cancel`)."""
        self._loop.run(self._client.cancel(request))

    def command(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Give the device a command (`AsyncClient.command`)."""
        return self._loop.run(self._client.command(name, **arguments))

    def models(self) -> dict[str, Any]:
        """Return which models the device has, and which it serves (`AsyncClient.models`)."""
        return self._loop.run(self._client.models())

    def use_model(self, name: str, on_progress: OnProgress | None = None) -> dict[str, Any]:
        """Have it serve another model (`AsyncClient.use_model`); `on_progress` runs in another thread."""
        return self._loop.run(self._client.use_model(name, on_progress))

    def pull_model(self, source: str, on_progress: OnProgress | None = None) -> dict[str, Any]:
        """Have it get a model (`AsyncClient.pull_model`); `on_progress` runs in another thread."""
        return self._loop.run(self._client.pull_model(source, on_progress))

    def online(self) -> bool:
        """Whether the device is there; of a fleet, whether a box takes requests."""
        return self._loop.run(self._client.online())

    def boxes(self) -> list[dict[str, Any]]:
        """Return what each box of the fleet says of itself (`AsyncClient.boxes`)."""
        return self._loop.run(self._client.boxes())

    def health(self) -> dict[str, Any]:
        """Return what the device said last of its state (`AsyncClient.health`)."""
        return self._loop.run(self._client.health())

    def info(self) -> dict[str, Any]:
        """Return what the device says of itself (`AsyncClient.info`)."""
        return self._loop.run(self._client.info())

    def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Wait until it can answer (`AsyncClient.wait_ready`)."""
        self._loop.run(self._client.wait_ready(timeout_s))
