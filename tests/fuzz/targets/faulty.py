"""A parser with the faults that there can be, for the fuzzer's own tests."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping

from edgeassist.errors import InvalidRequestError
from tests.fuzz.target import FaultError, Parser


def _parse(data: bytes) -> object:
    match data:
        case b"refused":
            raise InvalidRequestError("no")
        case b"raises":
            raise IndexError("oops")
        case b"breaks":
            raise FaultError("two ends")
        case b"slow":
            until = time.process_time() + 0.3
            while time.process_time() < until:
                pass
        case b"dies":
            os.kill(os.getpid(), signal.SIGSEGV)
        case b"hangs":
            while True:
                pass
    return len(data)


_SEEDS = (b"fine", b"refused", b"raises", b"breaks", b"slow", b"dies", b"hangs")


def all_targets() -> Mapping[str, Parser]:
    """Return the only one, as another registry of targets."""
    # Random bytes hardly ever are one of the seeds; so each comes once in a child's life.
    faulty = Parser(
        "faulty", _parse, lambda: _SEEDS, mutate=lambda random, *_: random.randbytes(9), limit_s=0.2
    )
    return {faulty.name: faulty}
