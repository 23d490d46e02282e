"""Which box has, or had, the request of an id: a repeat is for that box. Sans-I/O; time is passed in.

Each box tells the others what it has begun to answer, by a hash of client and id, some at a time. So a repeat
that comes a moment later is known wherever it comes. In a large fleet, one box tells for all.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field

# Of each request so many bytes are told, as so many hex digits.
_KEY_BYTES = 8
# So many of one box are told in one message, of all others for which one tells, and so many are kept, for so
# long.
MOST_TOLD = 512
MOST_PASSED_ON = 4096
MOST_KEPT = 50_000
KEEP_S = 180.0


@dataclass(slots=True)
class Known:
    """What this box has begun to answer and not told yet, and what others have told."""

    _untold: list[str] = field(default_factory=list)
    # What others have, and this box is to tell all.
    _passed_on: OrderedDict[str, str] = field(default_factory=OrderedDict)
    _others: OrderedDict[str, tuple[str, float]] = field(default_factory=OrderedDict)

    @property
    def untold(self) -> bool:
        """Whether there is something to tell."""
        return bool(self._untold or self._passed_on)

    @property
    def passes_on(self) -> bool:
        """Whether some of that is what other boxes have."""
        return bool(self._passed_on)

    def begun(self, caller: str, request_id: str) -> None:
        """Note that a request is answered here."""
        key = _key(caller, request_id)
        self._others.pop(key, None)
        self._passed_on.pop(key, None)
        self._untold.append(key)
        del self._untold[:-MOST_TOLD]

    def tell(self, device: str) -> bytes:
        """Return what is to be told, as a payload, and take it as told."""
        keys, self._untold = self._untold, []
        passed_on, self._passed_on = self._passed_on, OrderedDict()
        told: dict[str, object] = {"device": device, "keys": keys}
        if passed_on:
            of: dict[str, list[str]] = defaultdict(list)
            for key, box in passed_on.items():
                of[box].append(key)
            told["of"] = of
        return json.dumps(told, separators=(",", ":")).encode()

    def hear(self, payload: bytes, device: str, now: float) -> None:
        """Take what another box tells; what is no such message is ignored."""
        told = _read(payload)
        if told is None or told[0] != device:
            return
        self._take(told[1], now)

    def pass_on(self, payload: bytes, now: float) -> None:
        """Take what another box has this one tell all; what is no such message is ignored."""
        told = _read(payload)
        if told is None:
            return
        self._take(told[1], now)
        for device, keys in told[1]:
            for key in keys:
                self._passed_on[key] = device
                self._passed_on.move_to_end(key)
        while len(self._passed_on) > MOST_PASSED_ON:
            self._passed_on.popitem(last=False)

    def _take(self, told: list[tuple[str, list[str]]], now: float) -> None:
        for device, keys in told:
            for key in keys:
                self._others[key] = (device, now)
                self._others.move_to_end(key)
        self._forget(now)

    def find(self, caller: str, request_id: str, now: float) -> str | None:
        """Return which other box has the request of that caller and id; None where none is known to."""
        self._forget(now)
        found = self._others.get(_key(caller, request_id))
        return None if found is None else found[0]

    def _forget(self, now: float) -> None:
        while self._others:
            _, at = next(iter(self._others.values()))
            if len(self._others) <= MOST_KEPT and now - at < KEEP_S:
                return
            self._others.popitem(last=False)


def _read(payload: bytes) -> tuple[str, list[tuple[str, list[str]]]] | None:
    """Return who tells, and what which box has, in the order of its beginning; None where it is no such."""
    try:
        match json.loads(payload):
            case {"device": str(sender), "keys": list(keys), "of": dict(of)}:
                others = [(box, each) for box, each in of.items() if isinstance(each, list)]
            case {"device": str(sender), "keys": list(keys)}:
                others = []
            case _:
                return None
    except (ValueError, RecursionError):
        return None
    left = MOST_PASSED_ON
    told = [(sender, _keys(keys, MOST_TOLD))]
    for box, each in others:
        told.append((box, _keys(each, left)))
        left -= len(told[-1][1])
    return sender, told


def _keys(keys: list[object], most: int) -> list[str]:
    return [each for each in keys[:most] if isinstance(each, str) and len(each) == 2 * _KEY_BYTES]


def _key(caller: str, request_id: str) -> str:
    return hashlib.blake2b(f"{len(caller)}:{caller}{request_id}".encode(), digest_size=_KEY_BYTES).hexdigest()
