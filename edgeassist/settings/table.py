"""What all tables of the settings share."""

from __future__ import annotations

from enum import Enum, auto

from pydantic import BaseModel, ConfigDict


class TakesEffect(Enum):
    """When a change takes effect: a mark for keys. Without it, at the daemon's next start."""

    LIVE = auto()  # with `reload`


LIVE = TakesEffect.LIVE


class Table(BaseModel):
    """One table."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
