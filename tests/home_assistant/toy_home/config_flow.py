"""Asks for the home, as JSON."""

from __future__ import annotations

from typing import Any

import voluptuous as vol
from homeassistant.config_entries import ConfigFlow, ConfigFlowResult

from . import DOMAIN


class ToyHomeFlow(ConfigFlow, domain=DOMAIN):
    """One form."""

    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Make the entry."""
        if user_input is None:
            return self.async_show_form(step_id="user", data_schema=vol.Schema({vol.Required("home"): str}))
        return self.async_create_entry(title="Toy home", data=user_input)
