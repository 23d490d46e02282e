"""`python -m tests.fuzz.child`: tries inputs, one after the other, until its parent (`run`) ends it.

What it tries stands in memory that its parent has too, so an input that ends or stops this process is known.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import logging
import os
import resource
import sys
import time
import traceback
from array import array
from collections.abc import Hashable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import psutil

from tests.fuzz.record import Record
from tests.fuzz.target import Target

# Of one target's inputs that are mutated again, so that memory stays flat: so many, and bytes of all.
MOST_KEPT = 400
MOST_KEPT_BYTES = 1 << 18
# So many outcomes are remembered. One may take the place of another, and then that other counts as new.
_OUTCOMES = 1 << 12
# Of processor time: to look at the memory takes some of it.
_SLICE_S = 0.05
_TELL_S = 1.0
# What would take more is a fault, and not the machine's end.
_ADDRESS_BYTES = 16 << 30


class Pool:
    """A target's inputs, and what became of them.

    Args:
        target: Theirs.
        random: Picks them.

    Attributes:
        spent_s: Processor time so far.
        tried: How many inputs were.
        found: How many came to something new.
        held: Bytes of memory that the inputs take.
    """

    def __init__(self, target: Target, random: Random) -> None:
        self.target = target
        self.spent_s = 0.0
        self.tried = 0
        self.found = 0
        self._random = random
        self._inputs: list[bytes] = []
        self.held = 0
        self._first: list[bytes] = []
        # In place from the start, so that it never grows.
        self._seen = array("q", [-1]) * _OUTCOMES  # which is no hash

    def begin(self) -> None:
        """Take the seeds, in an order of this child's own: one that ends it must not hide the rest."""
        seeds = list(self.target.seeds())
        self._random.shuffle(seeds)
        for seed in seeds:
            self._add(seed)
        self._first = seeds

    def next(self) -> bytes:
        """Return the next input."""
        if self._first:
            return self._first.pop()
        data, other = self._random.choice(self._inputs), self._random.choice(self._inputs)
        return self.target.mutate(self._random, data, other)

    def keep(self, data: bytes, outcome: Hashable) -> None:
        """Keep an input that came to something new; in the place of others, if there is no room."""
        known = hash(outcome)
        if self._seen[known % _OUTCOMES] == known:
            return
        self._seen[known % _OUTCOMES] = known
        self.found += 1
        self._add(data)

    def _add(self, data: bytes) -> None:
        if len(data) > MOST_KEPT_BYTES // 8:
            return
        self._inputs.append(data)
        self.held += sys.getsizeof(data)
        while len(self._inputs) > MOST_KEPT or self.held > MOST_KEPT_BYTES:
            at = self._random.randrange(len(self._inputs))
            self._inputs[at], self._inputs[-1] = self._inputs[-1], self._inputs[at]
            self.held -= sys.getsizeof(self._inputs.pop())


class Child:
    """Tries inputs of several targets, each of which gets the same processor time.

    Args:
        targets: What is tried, in the order in which they are numbered.
        seed: Of all that is random.
        record: Where it is noted what is tried.
    """

    def __init__(self, targets: Sequence[Target], seed: int, record: Record) -> None:
        self._record = record
        self._targets = list(targets)
        self._pools = [
            Pool(target, Random(f"{seed}/{target.name}"))  # noqa: S311 - it is to be repeatable
            for target in targets
        ]
        self._faults: set[tuple[str, ...]] = set()
        self._told_at = 0.0

    def run(self) -> None:
        """Try inputs until the parent ends this process, or is gone itself."""
        parent = os.getppid()
        for pool in self._pools:
            pool.begin()
        # What is there by now stays, and need not be looked at by each collection.
        gc.freeze()
        while os.getppid() == parent:
            pool = min(self._pools, key=lambda each: each.spent_s)
            until = pool.spent_s + _SLICE_S
            number = self._targets.index(pool.target)
            while pool.spent_s < until:
                self._try(pool, number)
            if time.process_time() - self._told_at >= _TELL_S:
                self._tell_figures()

    def _try(self, pool: Pool, number: int) -> None:
        begun = time.process_time()
        data = pool.next()
        pool.tried += 1
        self._record.begin(number, data)
        made = time.process_time()
        try:
            outcome = pool.target.take(data)
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            pool.spent_s += time.process_time() - begun
            self._tell_fault(pool.target, data, type(error).__name__, str(error), _places(error))
            return
        ended = time.process_time()
        pool.spent_s += ended - begun
        if (took := ended - made) > pool.target.limit_s:
            self._tell_fault(pool.target, data, "Slow", f"{took:.2f} s of processor time", ("slow",))
            return
        pool.keep(data, outcome)

    def _tell_fault(
        self, target: Target, data: bytes, kind: str, message: str, places: Sequence[str]
    ) -> None:
        """Tell of a fault, unless one like it was told."""
        like = (target.name, kind, *places[-1:])
        if like not in self._faults:
            self._faults.add(like)
            fault = {"target": target.name, "error": kind, "message": message[:500], "places": list(places)}
            _say("fault", **fault, data=data.hex())

    def _tell_figures(self) -> None:
        self._told_at = time.process_time()
        gc.collect()
        _give_back()
        memory = psutil.Process().memory_info().rss
        held = sum(pool.held for pool in self._pools)
        tried = {pool.target.name: [pool.tried, pool.found, round(pool.spent_s, 3)] for pool in self._pools}
        _say("figures", tried=tried, memory=memory, held=held)


def _give_back() -> None:
    """Have the C library return free memory to the kernel: what it only keeps is no leak."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _places(error: BaseException) -> list[str]:
    """Return where it was raised: the last lines of our own."""
    frames = traceback.extract_tb(error.__traceback__)
    root = str(Path(__file__).parents[2])
    ours = [frame for frame in frames if frame.filename.startswith(root) and ".venv" not in frame.filename]
    return [f"{Path(frame.filename).relative_to(root)}:{frame.lineno}" for frame in ours[-3:]]


def _say(kind: str, **fields: Any) -> None:
    print(json.dumps({"kind": kind, **fields}), flush=True)  # noqa: T201 - to the parent


def main() -> None:
    """Run as a child; its arguments: the page's file descriptor, the seed, the targets' module and names."""
    page, seed, registry, *chosen = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_BYTES, _ADDRESS_BYTES))
    known = importlib.import_module(registry).all_targets()
    Child([known[name] for name in chosen], int(seed), Record(int(page))).run()


if __name__ == "__main__":
    main()
