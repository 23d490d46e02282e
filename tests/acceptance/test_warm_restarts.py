"""What a device that was restarted need not read again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeassist.device.mounts import outlives_boots
from edgeassist.protocol.events import Done
from tests.conftest import StartReady, expect_done

STORY = "The sea and the wind and the stars. " * 20
CONVERSATION = [
    {"role": "system", "content": "You are the voice of a house, and you say little."},
    {"role": "user", "content": STORY},
]


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder on a tmpfs."""
    shared = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
    if outlives_boots(shared):
        pytest.skip("there is no tmpfs here")
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        yield Path(folder)


async def told_again(ready: StartReady, trial_model: Path, folder: Path) -> tuple[Done, Done]:
    """Have a conversation, restart the device as systemd does, and go on; return both answers' ends."""
    settings: dict[str, Any] = {
        "model__path": trial_model,
        "engine__state_folder": folder,
        "engine__speculate": False,
    }
    daemon, client = await ready(**settings)
    fields: dict[str, Any] = {"max_tokens": 8, "temperature": 0}
    first = expect_done(await client.answer(messages=CONVERSATION, **fields))
    daemon.stop()
    _, client = await ready(**settings)
    turns = [{"role": "assistant", "content": first.text}, {"role": "user", "content": "And then?"}]
    return first, expect_done(await client.answer(messages=[*CONVERSATION, *turns], **fields))


async def test_a_conversation_goes_on_where_it_was(
    ready: StartReady, trial_model: Path, tmp_path: Path
) -> None:
    if not outlives_boots(tmp_path):
        pytest.skip("the tests' folder is in memory")
    first, second = await told_again(ready, trial_model, tmp_path / "states")
    assert second.usage.cached_tokens >= first.usage.prompt_tokens


async def test_nothing_is_written_to_memory(ready: StartReady, trial_model: Path, memory: Path) -> None:
    _, second = await told_again(ready, trial_model, memory / "states")
    assert second.usage.cached_tokens == 0
    assert list(memory.iterdir()) == []
