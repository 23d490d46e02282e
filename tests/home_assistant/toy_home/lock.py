"""Locks."""

from __future__ import annotations

from typing import Any

from homeassistant.components.lock import LockEntity

from .toy import Toy, platform


class ToyLock(Toy, LockEntity):
    def begin(self, state: str | None, _attributes: dict[str, Any]) -> None:
        self.now(is_locked=state != "unlocked")

    async def async_lock(self, **_kwargs: Any) -> None:
        self.now(is_locked=True)

    async def async_unlock(self, **_kwargs: Any) -> None:
        self.now(is_locked=False)


async_setup_entry = platform("lock", ToyLock)
