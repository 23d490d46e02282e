"""Fixtures for pytest. In conftest.py: `pytest_plugins = ["edgeassist.testing.fixtures"]`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edgeassist.testing.device import ScriptedDevice


@pytest.fixture(scope="session")
def edgeassist_session() -> Iterator[ScriptedDevice]:
    """The device that all tests of a session share, because it takes seconds to start."""
    with ScriptedDevice() as device:
        yield device


@pytest.fixture
def edgeassist_device(edgeassist_session: ScriptedDevice) -> ScriptedDevice:
    """A device that runs and echoes, whatever the test before made of it; set its `answers`."""
    edgeassist_session.reset()
    return edgeassist_session
