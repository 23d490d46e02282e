"""What is made when it is needed, or ahead of that."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from edgeassist.engine.later import Later
from tests.patience import PATIENCE_S


def test_it_is_made_once_whoever_asks() -> None:
    made: list[int] = []
    hold = threading.Event()

    def make() -> int:
        hold.wait(PATIENCE_S)
        made.append(7)
        return 7

    later = Later(make)
    later.begin()
    later.begin()
    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(later.get) for _ in range(2)]
        hold.set()
        assert [each.result(PATIENCE_S) for each in asking] == [7, 7]
    assert made == [7]


def test_what_fails_is_told_to_who_asks_and_made_again() -> None:
    tries = iter([ValueError("not now"), None])

    def make() -> str:
        if (error := next(tries)) is not None:
            raise error
        return "made"

    later = Later(make)
    with pytest.raises(ValueError, match="not now"):
        later.get()
    assert later.get() == "made"


def test_what_fails_ahead_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    failed = threading.Event()

    def make() -> str:
        failed.set()
        raise ValueError("not now")

    later = Later(make)
    with caplog.at_level(logging.ERROR):
        later.begin()
        assert failed.wait(PATIENCE_S)
        with pytest.raises(ValueError, match="not now"):
            later.get()
        for thread in threading.enumerate():
            if thread.name == "later":
                thread.join(PATIENCE_S)
    assert "could not be made" in caplog.text
