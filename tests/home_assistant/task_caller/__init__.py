"""Calls an AI task as integrations of Home Assistant do, which may give it tools; users can't."""

from __future__ import annotations

from typing import Any

import voluptuous as vol
from homeassistant.components import ai_task
from homeassistant.core import HomeAssistant, ServiceCall, SupportsResponse
from homeassistant.helpers import llm

DOMAIN = "task_caller"


async def async_setup(hass: HomeAssistant, config: dict[str, Any]) -> bool:
    """Register the action `task_caller.ask`."""

    async def ask(call: ServiceCall) -> dict[str, Any]:
        api = next(each for each in llm.async_get_apis(hass) if each.id == llm.LLM_API_ASSIST)
        result = await ai_task.async_generate_data(
            hass,
            task_name="test",
            entity_id=call.data["task"],
            instructions=call.data["instructions"],
            structure=vol.Schema({vol.Required("title"): str}) if call.data["structured"] else None,
            llm_api=api,
        )
        return {"data": result.data}

    hass.services.async_register(DOMAIN, "ask", ask, supports_response=SupportsResponse.ONLY)
    return True
