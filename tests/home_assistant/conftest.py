"""A Home Assistant for each module of tests here, and a driver for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from edgeassist.sandbox import PrivateBroker
from tests.home_assistant.driver import Driver, drive
from tests.home_assistant.installation import UnavailableError, Version, installed
from tests.home_assistant.process import HomeAssistant, home_assistant


@pytest.fixture(scope="module")
def version() -> Version:
    """Which Home Assistant; a module that runs on several overrides this with `params=tried(*Version)`."""
    return Version.NEWEST


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    """One for all tests of a module, because Home Assistant is."""
    with PrivateBroker(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture(scope="module")
def running(
    version: Version, broker: PrivateBroker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HomeAssistant]:
    """A Home Assistant at the broker that `ready` and `connect` use, too."""
    try:
        installed(version)
    except UnavailableError as reason:
        pytest.skip(str(reason))
    with home_assistant(tmp_path_factory.mktemp("home-assistant"), broker.port, version) as process:
        yield process


@pytest.fixture
async def house(running: HomeAssistant) -> AsyncIterator[Driver]:
    """A driver of it; its log must have no complaints in the end."""
    async with drive(running) as driver:
        yield driver
    assert running.complaints() == []
