"""Models that a daemon gets while it serves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import JsonValue

from edgeassist.daemon.pulling import Pulling
from edgeassist.errors import (
    BusyError,
    CancelledRequestError,
    InvalidRequestError,
    ModelError,
    ShuttingDownError,
)
from edgeassist.models.library import Entry, Library
from edgeassist.models.progress import Progress
from tests.patience import PATIENCE_S

ENTRY = Entry("m", Path("m.gguf"), "llama", 7, None, "hf:a/b/m.gguf")


class Source:
    """Where models come from, when the test says so."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go = threading.Event()
        self.threads: list[str] = []

    def get(
        self,
        source: str,
        _library: Library,
        on_progress: Callable[[Progress], None],
        cancelled: threading.Event,
    ) -> Entry:
        self.asked.append(source)
        self.threads.append(threading.current_thread().name)
        if source == "nowhere":
            raise ModelError("there is no nowhere")
        for done in range(100):
            on_progress(Progress("getting m.gguf", done, 100, None))
        while not self.go.wait(0.01):
            if cancelled.is_set():
                raise CancelledRequestError("cancelled")
        return ENTRY


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def pulling(source: Source, tmp_path: Path) -> Pulling:
    return Pulling(Library(tmp_path), source.get)


async def under_way(
    pulling: Pulling, source: Source, said: list[dict[str, JsonValue]]
) -> asyncio.Task[Entry]:
    task = asyncio.create_task(pulling.pull("m", said.append))
    async with asyncio.timeout(PATIENCE_S):
        while not said:
            await asyncio.sleep(0)
    assert source.asked == ["m"]
    return task


async def test_a_model_is_got_in_a_thread_of_its_own_and_how_far_it_is_is_said_seldom(
    pulling: Pulling, source: Source
) -> None:
    said: list[dict[str, JsonValue]] = []
    task = await under_way(pulling, source, said)
    source.go.set()
    assert await task == ENTRY
    assert said == [{"step": "getting m.gguf", "done_bytes": 0, "total_bytes": 100, "bytes_per_s": None}]
    assert source.threads == ["model-pull"]


async def test_another_one_meanwhile_is_refused_and_one_after_the_other_is_not(
    pulling: Pulling, source: Source
) -> None:
    task = await under_way(pulling, source, said=[])
    with pytest.raises(BusyError, match="m is being pulled"):
        await pulling.pull("other", lambda _said: None)
    source.go.set()
    await task
    with pytest.raises(ModelError, match="there is no nowhere"):
        await pulling.pull("nowhere", lambda _said: None)
    assert await pulling.pull("other", lambda _said: None) == ENTRY


async def test_others_hear_no_password_of_a_source(pulling: Pulling, source: Source) -> None:
    task = asyncio.create_task(pulling.pull("https://me:secret@host/m.gguf", lambda _said: None))
    async with asyncio.timeout(PATIENCE_S):
        while not source.asked:
            await asyncio.sleep(0)
    with pytest.raises(BusyError) as refused:
        await pulling.pull("other", lambda _said: None)
    told = (refused.value.message, pulling.cancel())
    assert all("host/m.gguf" in each and "secret" not in each for each in told)
    with pytest.raises(CancelledRequestError):
        await task
    assert source.asked == ["https://me:secret@host/m.gguf"]


@pytest.mark.parametrize("how", ["cancel", "close"])
async def test_it_ends_when_it_is_cancelled_and_when_the_daemon_stops(
    pulling: Pulling, source: Source, how: str
) -> None:
    with pytest.raises(InvalidRequestError, match="no model is being pulled"):
        pulling.cancel()
    task = await under_way(pulling, source, said=[])
    getattr(pulling, how)()
    with pytest.raises(CancelledRequestError):
        await task
    if how == "close":
        with pytest.raises(ShuttingDownError):
            await pulling.pull("m", lambda _said: None)


async def test_whoever_asks_meanwhile_hears_what_is_being_pulled_and_how_far_it_is(
    pulling: Pulling, source: Source
) -> None:
    def under_way() -> dict[str, JsonValue] | None:
        return pulling.under_way

    assert under_way() is None
    task = asyncio.create_task(pulling.pull("https://me:secret@host/m.gguf", lambda _said: None))
    async with asyncio.timeout(PATIENCE_S):
        while (under_way() or {}).get("done_bytes") != 99:
            await asyncio.sleep(0.01)
    assert under_way() == {
        "model": "https://host/m.gguf",
        "step": "getting m.gguf",
        "done_bytes": 99,
        "total_bytes": 100,
        "bytes_per_s": None,
    }
    source.go.set()
    await task
    assert under_way() is None
