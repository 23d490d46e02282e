"""What a setting would mend, as issues in Home Assistant's repairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback

from .failures import Failure

if TYPE_CHECKING:
    from . import EdgeAssistConfigEntry


@callback
def async_watch(hass: HomeAssistant, entry: EdgeAssistConfigEntry) -> CALLBACK_TYPE:
    """Make and withdraw issues by what is known of the box; returns what ends that."""
    return lambda: None


@callback
def async_report(
    hass: HomeAssistant, entry: EdgeAssistConfigEntry, subentry_id: str | None, failure: Failure
) -> None:
    """Make an issue of a request's failure, if it is one that a setting mends (`failures.MENDABLE`)."""


@callback
def async_answered(hass: HomeAssistant, entry: EdgeAssistConfigEntry, subentry_id: str | None) -> None:
    """Withdraw what an answer shows to be mended."""


@callback
def async_forget(hass: HomeAssistant, entry: EdgeAssistConfigEntry) -> None:
    """Withdraw all issues of an entry."""
