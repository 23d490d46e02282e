"""Rendezvous hashing: all boxes agree on an order of the boxes for a key, without talking about it.

A box that comes or goes changes nothing in the order of the others, so it moves only the keys of which it is
the first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def ranked(key: str, devices: Iterable[str]) -> list[str]:
    """Return the devices in the order of their claim to a key, the first one first."""
    return sorted(set(devices), key=lambda device: (_weight(key, device), device), reverse=True)


def _weight(key: str, device: str) -> bytes:
    # The length keeps ("a", "bc") apart from ("ab", "c").
    return hashlib.blake2b(f"{len(key)}:{key}{device}".encode(), digest_size=8).digest()
