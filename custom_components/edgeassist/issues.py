"""What a setting would mend, as issues in Home Assistant's repairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from homeassistant.core import HomeAssistant, callback

from .failures import Failure

if TYPE_CHECKING:
    from . import EdgeAssistConfigEntry


@callback
def async_check(hass: HomeAssistant, entry: EdgeAssistConfigEntry) -> None:
    """Make and withdraw issues by what is known of the box; called whenever that changes."""


@callback
def async_note(hass: HomeAssistant, entry: EdgeAssistConfigEntry, failure: Failure) -> None:
    """Make an issue of a request's failure, if it is one that a setting mends (`failures.MENDABLE`)."""


@callback
def async_forget(hass: HomeAssistant, entry: EdgeAssistConfigEntry) -> None:
    """Withdraw all issues of an entry."""
