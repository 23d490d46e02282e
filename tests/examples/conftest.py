"""Devices for programs to copy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edgeassist.testing import device
from tests.preloaded import PrivateDaemon


@pytest.fixture(scope="package", autouse=True)
def _preloaded() -> Iterator[None]:
    """Let the daemons of `ScriptedDevice` begin with their modules loaded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device, "PrivateDaemon", PrivateDaemon)
        yield
