"""`python -m tests.fuzz.child`: tries inputs, one after the other, until its parent (`run`) ends it.

What it tries stands in memory that its parent has too, so an input that ends or stops this process is known.
"""

from __future__ import annotations

import gc
import json
import logging
import resource
import sys
import time
import traceback
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import psutil

from tests.fuzz.record import Record
from tests.fuzz.target import Target
from tests.fuzz.targets import all_targets

# Of one target's inputs that are mutated again.
MOST_KEPT = 400
_MOST_KEPT_BYTES = 16_384
# Outcomes that are remembered, so that memory stays flat.
_MOST_OUTCOMES = 20_000
_SLICE_S = 0.05
_TELL_S = 1.0
# What would take more is a fault, and not the machine's end.
_ADDRESS_BYTES = 16 << 30


@dataclass
class Pool:
    """A target's inputs, and what became of them.

    Args:
        target: Theirs.
        random: Picks them.
    """

    target: Target
    random: Random
    inputs: list[bytes] = field(default_factory=list)
    seen: OrderedDict[Hashable, None] = field(default_factory=OrderedDict)
    spent_s: float = 0.0
    tried: int = 0
    found: int = 0

    def begin(self) -> None:
        """Take the seeds, in an order of this child's own: one that ends it must not hide the rest."""
        self.inputs = list(self.target.seeds())
        self.random.shuffle(self.inputs)

    def next(self) -> bytes:
        """Return the next input."""
        if self.tried < len(self.inputs):
            return self.inputs[self.tried]
        data, other = self.random.choice(self.inputs), self.random.choice(self.inputs)
        return self.target.mutate(self.random, data, other)

    def keep(self, data: bytes, outcome: Hashable) -> None:
        """Keep an input that came to something new; beyond MOST_KEPT, in the place of one kept before."""
        if outcome in self.seen:
            return
        self.seen[outcome] = None
        if len(self.seen) > _MOST_OUTCOMES:
            self.seen.popitem(last=False)
        self.found += 1
        if len(data) > _MOST_KEPT_BYTES:
            return
        if len(self.inputs) < MOST_KEPT + self.found // 1000:
            self.inputs.append(data)
        else:
            self.inputs[self.random.randrange(len(self.inputs))] = data


class Child:
    """Tries inputs of several targets, each of which gets the same processor time.

    Args:
        targets: All there are, in order.
        chosen: The names of those that are tried.
        seed: Of all that is random.
        record: Where it is noted what is tried.
    """

    def __init__(self, targets: Sequence[Target], chosen: Sequence[str], seed: int, record: Record) -> None:
        self._record = record
        self._targets = list(targets)
        self._pools = [
            Pool(target, Random(f"{seed}/{target.name}"))  # noqa: S311 - it is to be repeatable
            for target in targets
            if target.name in chosen
        ]
        self._faults: set[tuple[str, ...]] = set()
        self._told_at = 0.0

    def run(self) -> None:
        """Try inputs until the parent ends this process."""
        for pool in self._pools:
            pool.begin()
        while True:
            pool = min(self._pools, key=lambda each: each.spent_s)
            until = pool.spent_s + _SLICE_S
            number = self._targets.index(pool.target)
            while pool.spent_s < until:
                self._try(pool, number)
            if time.monotonic() - self._told_at >= _TELL_S:
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
        self._told_at = time.monotonic()
        gc.collect()
        memory = psutil.Process().memory_info().rss
        tried = {pool.target.name: [pool.tried, pool.found, round(pool.spent_s, 3)] for pool in self._pools}
        _say("figures", tried=tried, memory=memory)


def _places(error: BaseException) -> list[str]:
    """Return where it was raised: the last lines of our own."""
    frames = traceback.extract_tb(error.__traceback__)
    root = str(Path(__file__).parents[2])
    ours = [frame for frame in frames if frame.filename.startswith(root) and ".venv" not in frame.filename]
    return [f"{Path(frame.filename).relative_to(root)}:{frame.lineno}" for frame in ours[-3:]]


def _say(kind: str, **fields: Any) -> None:
    print(json.dumps({"kind": kind, **fields}), flush=True)  # noqa: T201 - to the parent


def main() -> None:
    """Run as a child: the page's file descriptor, the seed, and the targets' names are the arguments."""
    page, seed, *chosen = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_BYTES, _ADDRESS_BYTES))
    Child([*all_targets().values()], chosen, int(seed), Record(int(page))).run()


if __name__ == "__main__":
    main()
