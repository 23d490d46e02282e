"""Engines of both kinds, each loaded once for a whole module, supervisors, and a client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from edgeassist.client import Client
from edgeassist.sandbox import HOST
from tests.boxes import Boxes
from tests.integration.driver import Engine
from tests.integration.watch import StartWatch, Watch
from tests.patience import PATIENCE_S


@pytest.fixture(scope="module", params=["scripted", "llama", "onnx"])
def engine(request: pytest.FixtureRequest, trial_model: Path, trial_onnx: Path) -> Iterator[Engine]:
    """An engine with four slots of 1,024 tokens, or as many as the backend serves, on each in turn."""
    paths = {"llama": trial_model, "onnx": trial_onnx}
    # ONNX Runtime GenAI keeps the GIL through a step: small ones, so that a command is read before the end.
    steps = {"onnx": 1}
    with Engine() as running:
        running.load(request.param, paths.get(request.param, ""), step_tokens=steps.get(request.param, 64))
        yield running


@pytest.fixture(scope="module")
def onnx(trial_onnx: Path) -> Iterator[Engine]:
    """An engine with the trial model of ONNX Runtime GenAI."""
    with Engine() as running:
        running.load("onnx", trial_onnx)
        yield running


@pytest.fixture(scope="module")
def llama(trial_model: Path) -> Iterator[Engine]:
    """An engine with the trial model."""
    with Engine() as running:
        running.load("llama", trial_model)
        yield running


@pytest.fixture
def fresh() -> Iterator[Engine]:
    """An engine of the test's own that has loaded nothing yet."""
    with Engine() as running:
        yield running


@pytest.fixture
async def watch() -> AsyncIterator[StartWatch]:
    """Start a supervisor, and stop it in the end."""
    running: list[Watch] = []

    async def begin(
        backend: str = "scripted", path: str = "", *, scarce: int = 0, frozen: int = 0, **patience: float
    ) -> Watch:
        running.append(Watch(backend, path, scarce=scarce, frozen=frozen, **patience))
        return await running[-1].__aenter__()

    yield begin
    for each in running:
        await each.__aexit__()


@pytest.fixture
def port(boxes: Boxes) -> int:
    """The broker's, of a device that answers one at a time; other tests use it too (tests/boxes.py)."""
    return boxes.take(engine__slots=1).broker.port


@pytest.fixture
def client(port: int) -> Iterator[Client]:
    """A blocking client of that device."""
    with Client(HOST, port, device="box", name="me") as connected:
        connected.wait_ready(PATIENCE_S)
        yield connected
