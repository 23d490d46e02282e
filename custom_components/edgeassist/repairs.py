"""Issues that can be mended from here, after the user has agreed."""

from __future__ import annotations

from typing import Any

from homeassistant.components.repairs import ConfirmRepairFlow, RepairsFlow
from homeassistant.const import CONF_LLM_HASS_API
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResult

from .issues import Kind


class _Confirmed(RepairsFlow):
    """Asks once, then does it."""

    def __init__(self, data: dict[str, Any]) -> None:
        self._known = {name: str(value) for name, value in data.items()}

    async def async_step_init(self, user_input: dict[str, str] | None = None) -> FlowResult:
        """Begin."""
        return await self.async_step_confirm()

    async def async_step_confirm(self, user_input: dict[str, str] | None = None) -> FlowResult:
        """Ask, and do it."""
        if user_input is None:
            return self.async_show_form(step_id="confirm", description_placeholders=self._known)
        await self._mend()
        return self.async_create_entry(data={})

    async def _mend(self) -> None:
        raise NotImplementedError


class _WithoutControl(_Confirmed):
    """Takes the control of the home from an agent whose model can't have it."""

    async def _mend(self) -> None:
        entry = self.hass.config_entries.async_get_entry(self._known["entry_id"])
        subentry = entry.subentries.get(self._known["subentry_id"]) if entry else None
        if entry is None or subentry is None:
            return
        data = {name: value for name, value in subentry.data.items() if name != CONF_LLM_HASS_API}
        self.hass.config_entries.async_update_subentry(entry, subentry, data=data)


class _WithoutBox(_Confirmed):
    """Removes a box that does not come back."""

    async def _mend(self) -> None:
        if self.hass.config_entries.async_get_entry(self._known["entry_id"]) is not None:
            await self.hass.config_entries.async_remove(self._known["entry_id"])


_FLOWS = {Kind.MODEL_WITHOUT_TOOLS: _WithoutControl, Kind.BOX_GONE: _WithoutBox}


async def async_create_fix_flow(
    hass: HomeAssistant, issue_id: str, data: dict[str, str | int | float | None] | None
) -> RepairsFlow:
    """Return the flow that mends an issue."""
    flow = _FLOWS.get(Kind(str((data or {}).get("kind"))))
    return flow(data or {}) if flow else ConfirmRepairFlow()
