"""Vacuum cleaners."""

from __future__ import annotations

from typing import Any

from homeassistant.components.vacuum import StateVacuumEntity, VacuumActivity, VacuumEntityFeature

from .toy import Toy, platform


class ToyVacuum(Toy, StateVacuumEntity):
    _attr_supported_features = (
        VacuumEntityFeature.START
        | VacuumEntityFeature.STOP
        | VacuumEntityFeature.PAUSE
        | VacuumEntityFeature.RETURN_HOME
        | VacuumEntityFeature.STATE
    )

    def begin(self, state: str | None, _attributes: dict[str, Any]) -> None:
        self.now(activity=VacuumActivity(state or "docked"))

    async def async_start(self) -> None:
        self.now(activity=VacuumActivity.CLEANING)

    async def async_stop(self, **_kwargs: Any) -> None:
        self.now(activity=VacuumActivity.IDLE)

    async def async_pause(self) -> None:
        self.now(activity=VacuumActivity.PAUSED)

    async def async_return_to_base(self, **_kwargs: Any) -> None:
        self.now(activity=VacuumActivity.RETURNING)


async_setup_entry = platform("vacuum", ToyVacuum)
