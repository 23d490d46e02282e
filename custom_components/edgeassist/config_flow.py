"""Adds a box: found by its retained `info`, or by hand with any base topic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import voluptuous as vol
from homeassistant.config_entries import (
    ConfigEntry,
    ConfigFlow,
    ConfigFlowResult,
    ConfigSubentryData,
    ConfigSubentryFlow,
)
from homeassistant.const import CONF_LLM_HASS_API, CONF_PROMPT
from homeassistant.core import callback
from homeassistant.helpers import llm
from homeassistant.helpers.service_info.mqtt import MqttServiceInfo

from .const import (
    CONF_BASE,
    CONF_CLIENT,
    CONF_DEVICE,
    CONF_RECOMMENDED,
    DEFAULT_AI_TASK_NAME,
    DEFAULT_BASE,
    DEFAULT_CLIENT,
    DEFAULT_CONVERSATION_NAME,
    DOMAIN,
    SUBENTRY_AI_TASK,
    SUBENTRY_CONVERSATION,
)
from .known import read_info
from .look import NotUsableError, async_look
from .subentry_flow import AgentFlow, TaskFlow
from .topics import Topics, clean_base, is_base, is_level, split_info


class EdgeAssistConfigFlow(ConfigFlow, domain=DOMAIN):
    """Adds a box, or tells where it is now."""

    VERSION = 1
    MINOR_VERSION = 1

    def __init__(self) -> None:
        self._found: Topics | None = None

    @classmethod
    @callback
    def async_get_supported_subentry_types(
        cls, config_entry: ConfigEntry
    ) -> dict[str, type[ConfigSubentryFlow]]:
        """Return what a box may have several of."""
        return {SUBENTRY_CONVERSATION: AgentFlow, SUBENTRY_AI_TASK: TaskFlow}

    async def async_step_mqtt(self, discovery_info: MqttServiceInfo) -> ConfigFlowResult:
        """Take a box that Home Assistant's MQTT has found by its `info`."""
        place = split_info(discovery_info.topic)
        info = read_info(str(discovery_info.payload))
        if place is None or info is None:  # an empty payload is one of a box that was taken away
            return self.async_abort(reason="no_box")
        topics = Topics(*place, client=DEFAULT_CLIENT)
        await self.async_set_unique_id(topics.identifier)
        self._abort_if_unique_id_configured()
        try:
            await async_look(self.hass, topics)
        except NotUsableError as error:
            return self.async_abort(reason=error.reason)
        self._found = topics
        self.context["title_placeholders"] = {"name": topics.device}
        return await self.async_step_discovery_confirm()

    async def async_step_discovery_confirm(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask whether the box that was found is to be added."""
        if self._found is None:
            return self.async_abort(reason="no_box")
        if user_input is not None:
            return self._create(self._found)
        self._set_confirm_only()
        return self.async_show_form(
            step_id="discovery_confirm",
            description_placeholders={"device": self._found.device, "root": self._found.root},
        )

    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Take a box by hand."""
        errors: dict[str, str] = {}
        if user_input is not None:
            topics, errors = await self._examine(user_input)
            if not errors:
                await self.async_set_unique_id(topics.identifier, raise_on_progress=False)
                self._abort_if_unique_id_configured()
                return self._create(topics)
        return self.async_show_form(
            step_id="user", data_schema=_schema(user_input or {CONF_CLIENT: DEFAULT_CLIENT}), errors=errors
        )

    async def async_step_reconfigure(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Take another place of a box: it was renamed, or has another base topic."""
        entry = self._get_reconfigure_entry()
        errors: dict[str, str] = {}
        if user_input is not None:
            topics, errors = await self._examine(user_input)
            if not errors:
                known = await self.async_set_unique_id(topics.identifier, raise_on_progress=False)
                if known is not None and known.entry_id != entry.entry_id:
                    return self.async_abort(reason="already_configured")
                # The entry's listener loads it again. A title that the user chose stays.
                title = topics.device if entry.title == entry.data[CONF_DEVICE] else entry.title
                return self.async_update_and_abort(
                    entry, unique_id=topics.identifier, title=title, data=_data(topics)
                )
        return self.async_show_form(
            step_id="reconfigure", data_schema=_schema(user_input or entry.data), errors=errors
        )

    async def _examine(self, user_input: Mapping[str, Any]) -> tuple[Topics, dict[str, str]]:
        """Return the box that was typed in, and what is wrong with it, by field."""
        base = clean_base(user_input[CONF_BASE])
        topics = Topics(base, user_input[CONF_DEVICE].strip(), user_input[CONF_CLIENT].strip())
        errors = {}
        if not is_base(topics.base):
            errors[CONF_BASE] = "invalid_base"
        if not is_level(topics.device):
            errors[CONF_DEVICE] = "invalid_level"
        if not is_level(topics.client):
            errors[CONF_CLIENT] = "invalid_level"
        if not errors:
            try:
                await async_look(self.hass, topics)
            except NotUsableError as error:
                errors["base"] = error.reason
        return topics, errors

    def _create(self, topics: Topics) -> ConfigFlowResult:
        """Create the entry, with an agent that controls the home and a task."""
        # The agents of two boxes are told apart in lists by their names alone.
        which = f" {topics.device}" if self._async_current_entries(include_ignore=False) else ""
        agent: dict[str, Any] = {CONF_RECOMMENDED: True, CONF_PROMPT: llm.DEFAULT_INSTRUCTIONS_PROMPT}
        if any(api.id == llm.LLM_API_ASSIST for api in llm.async_get_apis(self.hass)):
            agent[CONF_LLM_HASS_API] = [llm.LLM_API_ASSIST]
        return self.async_create_entry(
            title=topics.device,
            data=_data(topics),
            subentries=[
                ConfigSubentryData(
                    subentry_type=SUBENTRY_CONVERSATION,
                    title=DEFAULT_CONVERSATION_NAME + which,
                    data=agent,
                    unique_id=None,
                ),
                ConfigSubentryData(
                    subentry_type=SUBENTRY_AI_TASK,
                    title=DEFAULT_AI_TASK_NAME + which,
                    data={CONF_RECOMMENDED: True},
                    unique_id=None,
                ),
            ],
        )


def _data(topics: Topics) -> dict[str, str]:
    return {CONF_BASE: topics.base, CONF_DEVICE: topics.device, CONF_CLIENT: topics.client}


def _schema(known: Mapping[str, Any]) -> vol.Schema:
    return vol.Schema(
        {
            vol.Required(CONF_BASE, default=known.get(CONF_BASE, DEFAULT_BASE)): str,
            vol.Required(CONF_DEVICE, default=known.get(CONF_DEVICE, vol.UNDEFINED)): str,
            vol.Required(CONF_CLIENT, default=known.get(CONF_CLIENT, vol.UNDEFINED)): str,
        }
    )
