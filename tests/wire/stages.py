"""Stages one after the other, for the fixtures in their groups; the next starts while one is played on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from tests.wire.fixtures import Fixture, load
from tests.wire.stage import Stage, key_of

Groups = Mapping[str, Mapping[Path, Fixture]]


def in_groups(names: list[Path]) -> Groups:
    """Return the fixtures that share a stage together, under its key."""
    loaded = [(key_of(path.stem, fixture := load(path)), path, fixture) for path in names]
    ordered = sorted(loaded, key=lambda each: each[:2])
    return {
        key: {path: fixture for _, path, fixture in group}
        for key, group in groupby(ordered, key=lambda each: each[0])
    }


class Stages:
    """Lends stages; ended by its `with`.

    Args:
        groups: What will be played, in this order.
        folder: Makes an empty folder.
    """

    def __init__(self, groups: Groups, folder: Callable[[], Path]) -> None:
        self._fixtures = {key: next(iter(group.values())) for key, group in groups.items()}
        self._folder = folder
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="stage")
        self._started: dict[str, Future[Stage]] = {}

    def __enter__(self) -> Stages:
        """Start nothing yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop what runs."""
        for key in list(self._started):
            self._end(key)
        self._pool.shutdown()

    @contextmanager
    def of(self, key: str) -> Iterator[Stage]:
        """Lend the stage of a group; it stays for the group's next fixture, unless this one fails on it."""
        keys = list(self._fixtures)
        following = keys[keys.index(key) + 1 :][:1]
        for past in [each for each in self._started if each not in {key, *following}]:
            self._end(past)
        for each in (key, *following):
            if each not in self._started:
                self._started[each] = self._pool.submit(self._start, self._fixtures[each], self._folder())
        try:
            yield self._started[key].result()
        except BaseException:
            self._end(key)
            raise

    def _start(self, fixture: Fixture, folder: Path) -> Stage:
        return Stage(folder, fixture).__enter__()

    def _end(self, key: str) -> None:
        started = self._started.pop(key)
        if not started.cancel() and started.exception() is None:
            started.result().__exit__()
