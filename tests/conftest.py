"""What many tests need: a real broker, a real daemon, a client, models."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import pytest

from edgeassist.broker import Broker, BrokerOptions
from edgeassist.client.answers import AnyEvent
from edgeassist.client.requester import Requester
from edgeassist.protocol.events import Done, Failed
from edgeassist.protocol.packets import Inbound, Outbound, Subscription
from edgeassist.protocol.topics import Topics
from edgeassist.sandbox import HOST, PrivateBroker
from edgeassist.trial_models.onnx_graph import OnnxPrecision
from edgeassist.trial_models.synthetic import SHAPES, Precision, write_gguf
from edgeassist.trial_models.synthetic_onnx import write_onnx
from tests.boxes import Boxes
from tests.distribution import pytest_collection_modifyitems, pytest_xdist_make_scheduler
from tests.patience import PATIENCE_S
from tests.preloaded import PrivateDaemon

__all__ = ["pytest_collection_modifyitems", "pytest_xdist_make_scheduler"]  # hooks of pytest

# A run in the background of a shell ignores Ctrl-C, and so would every program that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

STORIES = Path(__file__).parents[2] / "shared" / "models" / "stories260K.gguf"
TOPICS = Topics("edgeassist", "box")

_numbers = count(1)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without looking for garbage in what stays, then and later: a third of what collecting takes."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


class StartDaemon(Protocol):
    """The fixture `daemon`: starts a daemon that the fixture stops in the end."""

    def __call__(
        self, config: Path | None = None, environ: Mapping[str, str] | None = None, **settings: Any
    ) -> PrivateDaemon:
        """Return it at once; `environ` wins over the settings."""
        ...


class StartReady(Protocol):
    """The fixture `ready`: starts a daemon, and waits until it can answer."""

    async def __call__(
        self, *, config: Path | None = None, environ: Mapping[str, str] | None = None, **settings: Any
    ) -> tuple[PrivateDaemon, Requester]:
        """Return the daemon and a connected client; the arguments are those of `StartDaemon`."""
        ...


def options_for(port: int, **options: Any) -> BrokerOptions:
    """Return how to reach a broker of a test's own, under a client id that nobody else has."""
    defaults: dict[str, Any] = {
        "host": HOST,
        "port": port,
        "client_id": f"test-{next(_numbers)}",
        "reconnect_max_s": 1.0,
    }
    return BrokerOptions(**{**defaults, **options})


class Wire:
    """A raw connection: keeps every message of its filters, and publishes anything, valid or not."""

    def __init__(self, port: int, filters: tuple[str, ...], **options: Any) -> None:
        self.heard: list[Inbound] = []
        self._news = asyncio.Event()
        self.up = asyncio.Event()
        self.broker = Broker(options_for(port, **options), on_up=self.up.set)
        for each in filters:
            self.broker.subscribe(Subscription(each, qos=1), self._take)

    async def __aenter__(self) -> Wire:
        self.broker.start()
        async with asyncio.timeout(PATIENCE_S):
            await self.up.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.broker.stop()

    def _take(self, message: Inbound) -> None:
        self.heard.append(message)
        self._news.set()

    def say(self, topic: str, payload: bytes | str, **options: Any) -> None:
        data = payload.encode() if isinstance(payload, str) else payload
        self.broker.publish(Outbound(topic, data, **options))

    async def until(self, matches: Callable[[Inbound], bool], timeout_s: float = PATIENCE_S) -> Inbound:
        """Wait until such a message was heard, and return the first."""
        async with asyncio.timeout(timeout_s):
            while True:
                for message in self.heard:
                    if matches(message):
                        return message
                self._news.clear()
                await self._news.wait()

    async def answer(self, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
        """Wait for a terminal event and return it."""
        message = await self.until(lambda m: kind(m) in {"done", "error"}, timeout_s)
        return dict(json.loads(message.payload))


def expect_done(event: AnyEvent) -> Done:
    """Return the event, which has to be the end of a complete answer."""
    assert isinstance(event, Done), event
    return event


def expect_failed(event: AnyEvent) -> Failed:
    """Return the event, which has to be an error."""
    assert isinstance(event, Failed), event
    return event


def kind(message: Inbound) -> str | None:
    """Return the type of the event that a message holds, if it holds one."""
    try:
        document = json.loads(message.payload)
    except ValueError:
        return None
    return document.get("type") if isinstance(document, dict) else None


class AsyncConnect:
    """Makes connected clients, and disconnects them when the test is over."""

    def __init__(self, stack: AsyncExitStack, port: int) -> None:
        self._stack = stack
        self._port = port

    async def __call__(self, name: str = "", **options: Any) -> Requester:
        client = Requester(options_for(self._port, **options), TOPICS, name=name or f"test{next(_numbers)}")
        return await self._stack.enter_async_context(client)

    async def wire(self, *filters: str, **options: Any) -> Wire:
        return await self._stack.enter_async_context(Wire(self._port, filters, **options))


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[PrivateBroker]:
    """A Mosquitto of the test's own."""
    with PrivateBroker(tmp_path) as running:
        yield running


def environ_of(port: int, **settings: Any) -> dict[str, str]:
    """Return a daemon's settings, with more: `engine__slots=4`. It echoes, unless a model is named."""
    values = {
        "device__name": "box",
        "mqtt__host": HOST,
        "mqtt__port": port,
        "mqtt__reconnect_max_s": 1,
        "engine__restart_max_s": 1,
        **({} if "model__path" in settings else {"model__backend": "scripted"}),
        **settings,
    }
    return {f"EDGEASSIST_{key.upper()}": str(value) for key, value in values.items()}


@dataclass(frozen=True, slots=True)
class Box:
    """A broker and a daemon that a test shares with others: see tests/boxes.py.

    Attributes:
        port: The broker's.
        client: Connected to it.
        connect: Connects more.
    """

    port: int
    client: Requester
    connect: AsyncConnect


class TakeBox(Protocol):
    """The fixture `take_box`."""

    async def __call__(self, **settings: Any) -> Box:
        """Return the box with these settings when it can answer."""
        ...


@pytest.fixture(scope="session")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boxes]:
    """Those of this process."""
    running = Boxes(lambda: tmp_path_factory.mktemp("box"), environ_of)
    yield running
    running.stop()


@pytest.fixture
async def take_box(boxes: Boxes) -> AsyncIterator[TakeBox]:
    """Take a box that other tests use too, before and after."""
    async with AsyncExitStack() as stack:

        async def take(**settings: Any) -> Box:
            running = boxes.take(**settings)
            connect = AsyncConnect(stack, running.broker.port)
            client = await connect()
            health = await client.wait_health(frozenset({"ready"}), PATIENCE_S)
            assert health is not None, running.daemon.log.read_text()
            return Box(running.broker.port, client, connect)

        yield take


@pytest.fixture
def prefix() -> tuple[str, ...]:
    """What a daemon's command line begins with; for a module to override."""
    return ()


@pytest.fixture
def daemon(broker: PrivateBroker, tmp_path: Path, prefix: tuple[str, ...]) -> Iterator[StartDaemon]:
    """Start a daemon; keywords are settings: see `environ_of`."""
    with ExitStack() as stack:

        def start(
            config: Path | None = None, environ: Mapping[str, str] | None = None, **settings: Any
        ) -> PrivateDaemon:
            ours = {**environ_of(broker.port, **settings), **(environ or {})}
            return stack.enter_context(PrivateDaemon(tmp_path, ours, config, prefix))

        yield start


@pytest.fixture
async def connect(broker: PrivateBroker) -> AsyncIterator[AsyncConnect]:
    """Connect clients to the test's broker."""
    async with AsyncExitStack() as stack:
        yield AsyncConnect(stack, broker.port)


@pytest.fixture
def ready(daemon: StartDaemon, connect: AsyncConnect) -> StartReady:
    """Start a daemon, wait until it can answer, and return it with a client."""

    async def start(
        *, config: Path | None = None, environ: Mapping[str, str] | None = None, **settings: Any
    ) -> tuple[PrivateDaemon, Requester]:
        process = daemon(config, environ, **settings)
        client = await connect()
        health = await client.wait_health(frozenset({"ready"}), PATIENCE_S)
        assert health is not None, process.log.read_text()
        return process, client

    return start


@pytest.fixture(scope="session")
def trial_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GGUF file of random weights that llama.cpp loads in milliseconds.

    In single precision: a sum depends a little on what else is in the step, and here hardly ever enough to
    make another token of it.
    """
    path = tmp_path_factory.mktemp("models") / "trial.gguf"
    write_gguf(path, SHAPES["trial"], precision=Precision.F32)
    return path


@pytest.fixture(scope="session")
def trial_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of ONNX Runtime GenAI of random weights, of the same shape and with the same vocabulary."""
    path = tmp_path_factory.mktemp("models") / "trial-onnx"
    write_onnx(path, SHAPES["trial"], precision=OnnxPrecision.F32)
    return path


@pytest.fixture(scope="session")
def stories() -> Path:
    """The real trained model of 260,000 parameters that lies beside the project, where it does."""
    if not STORIES.exists():
        pytest.skip("stories260K.gguf is not beside the project")
    return STORIES
