"""A Home Assistant for each module of tests here, and a driver for each test."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from edgeassist.sandbox import PrivateBroker, PrivateDaemon
from tests.conftest import StartReady
from tests.home_assistant.boxes import AGENT, Box, is_there, remove_boxes
from tests.home_assistant.driver import Driver, drive
from tests.home_assistant.installation import UnavailableError, Version, installed
from tests.home_assistant.process import HomeAssistant, home_assistant
from tests.home_assistant.toys import ORDINARY


@pytest.fixture(scope="module")
def version() -> Version:
    """Which Home Assistant; a module that runs on several overrides this with `params=tried(*Version)`."""
    return Version.NEWEST


@pytest.fixture(scope="module")
def broker(version: Version, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    """One for each Home Assistant, which finds no boxes that were retained for another."""
    with PrivateBroker(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture(scope="module")
def beside() -> dict[str, Any]:
    """What it has beside what each has (`home_assistant`); a module that needs more overrides this."""
    return {}


@pytest.fixture(scope="module")
def running(
    version: Version,
    broker: PrivateBroker,
    beside: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[HomeAssistant]:
    """A Home Assistant at the broker that `ready` and `connect` use, too."""
    try:
        installed(version)
    except UnavailableError as reason:
        pytest.skip(str(reason))
    folder = tmp_path_factory.mktemp("home-assistant")
    with home_assistant(folder, broker.port, version, **beside) as process:
        yield process


@pytest.fixture
async def house(running: HomeAssistant) -> AsyncIterator[Driver]:
    """A driver of it; its log must have no complaints in the end."""
    async with drive(running) as driver:
        yield driver
    assert running.complaints() == []


@pytest.fixture
async def box(house: Driver, ready: StartReady, tmp_path: Path) -> AsyncIterator[Box]:
    """Start a box with these answers, or with other settings, and add it with its agent; a home is there."""

    async def start(answers: dict[str, str] | None = None, **settings: Any) -> PrivateDaemon:
        if answers is not None:
            path = tmp_path / "answers.json"
            path.write_text(json.dumps(answers))
            settings |= {"model__backend": "scripted", "model__path": str(path)}
        process, _ = await ready(**settings)
        await house.furnish(ORDINARY)
        await house.add("edgeassist", base="edgeassist", device="box", client="ha-test")
        await house.shows(AGENT, is_there)
        return process

    yield start
    with suppress(ConnectionClosed):  # a test has removed it, and ended Home Assistant
        await remove_boxes(house)
