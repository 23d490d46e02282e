"""Which box has, or had, the request of an id: a repeat is for that box. Sans-I/O; time is passed in.

Each box tells the others what it has begun to answer, by a hash of client and id, some at a time. So a repeat
that comes a moment later is known wherever it comes.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from dataclasses import dataclass, field

# Of each request so many bytes are told, as so many hex digits.
_KEY_BYTES = 8
# So many are told in one message, and so many are kept, for so long.
MOST_TOLD = 512
MOST_KEPT = 50_000
KEEP_S = 180.0


@dataclass(slots=True)
class Known:
    """What this box has begun to answer and not told yet, and what others have told."""

    _untold: list[str] = field(default_factory=list)
    _others: OrderedDict[str, tuple[str, float]] = field(default_factory=OrderedDict)

    @property
    def untold(self) -> bool:
        """Whether there is something to tell."""
        return bool(self._untold)

    def begun(self, caller: str, request_id: str) -> None:
        """Note that a request is answered here."""
        key = _key(caller, request_id)
        self._others.pop(key, None)
        self._untold.append(key)
        del self._untold[:-MOST_TOLD]

    def tell(self, device: str) -> bytes:
        """Return what is to be told, as a payload, and take it as told."""
        keys, self._untold = self._untold, []
        return json.dumps({"device": device, "keys": keys}, separators=(",", ":")).encode()

    def hear(self, payload: bytes, device: str, now: float) -> None:
        """Take what another box tells; what is no such message is ignored."""
        try:
            match json.loads(payload):
                case {"device": str(sender), "keys": list(keys)} if sender == device:
                    told = [each for each in keys[:MOST_TOLD] if isinstance(each, str)]
                case _:
                    return
        except (ValueError, RecursionError):
            return
        for key in told:
            if len(key) == 2 * _KEY_BYTES:
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


def _key(caller: str, request_id: str) -> str:
    return hashlib.blake2b(f"{len(caller)}:{caller}{request_id}".encode(), digest_size=_KEY_BYTES).hexdigest()
