"""Adds and changes agents and tasks of a box."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import voluptuous as vol
from homeassistant.config_entries import ConfigEntryState, ConfigSubentryFlow, SubentryFlowResult
from homeassistant.const import CONF_LLM_HASS_API, CONF_NAME, CONF_PROMPT
from homeassistant.core import HomeAssistant
from homeassistant.helpers import llm
from homeassistant.helpers.selector import (
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
    SelectOptionDict,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
    TemplateSelector,
)

from .const import (
    CONF_CONFIRM,
    CONF_MAX_TOKENS,
    CONF_RECOMMENDED,
    CONF_TEMPERATURE,
    CONF_THINK,
    DEFAULT_AI_TASK_NAME,
    DEFAULT_CONVERSATION_NAME,
    RECOMMENDED_MAX_TOKENS,
    RECOMMENDED_TEMPERATURE,
    RECOMMENDED_THINK,
    THINK_AUTO,
    THINK_OFF,
    THINK_ON,
)


class _SubentryFlow(ConfigSubentryFlow):
    """One form, and a second one where the recommended settings are not taken."""

    default_name = ""

    def __init__(self) -> None:
        self._chosen: dict[str, Any] = {}

    @property
    def _is_new(self) -> bool:
        return self.source == "user"

    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Ask for what one usually wants to say."""
        if self._get_entry().state is not ConfigEntryState.LOADED:
            return self.async_abort(reason="entry_not_loaded")
        if user_input is not None:
            self._chosen = user_input
            return self._finish() if user_input[CONF_RECOMMENDED] else await self.async_step_model()
        return self.async_show_form(step_id="user", data_schema=vol.Schema(self._fields(self._known)))

    # Both say the same; the form of an existing one has no name, which is the title's to change.
    async_step_reconfigure = async_step_user

    async def async_step_model(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Ask for how the model answers."""
        if user_input is not None:
            self._chosen |= user_input
            return self._finish()
        return self.async_show_form(step_id="model", data_schema=_model_schema(self._known))

    @property
    def _known(self) -> Mapping[str, Any]:
        return {} if self._is_new else self._get_reconfigure_subentry().data

    def _fields(self, known: Mapping[str, Any]) -> dict[Any, Any]:
        named = {vol.Required(CONF_NAME, default=self.default_name): str} if self._is_new else {}
        return {**named, vol.Required(CONF_RECOMMENDED, default=known.get(CONF_RECOMMENDED, True)): bool}

    def _finish(self) -> SubentryFlowResult:
        if self._is_new:
            name = self._chosen.pop(CONF_NAME)
            return self.async_create_entry(title=name, data=self._chosen)
        return self.async_update_and_abort(
            self._get_entry(), self._get_reconfigure_subentry(), data=self._chosen
        )


class TaskFlow(_SubentryFlow):
    """An AI task."""

    default_name = DEFAULT_AI_TASK_NAME


class AgentFlow(_SubentryFlow):
    """A conversation agent."""

    default_name = DEFAULT_CONVERSATION_NAME

    def _fields(self, known: Mapping[str, Any]) -> dict[Any, Any]:
        fields = super()._fields(known)
        recommended = fields.popitem()
        prompt = known.get(CONF_PROMPT, llm.DEFAULT_INSTRUCTIONS_PROMPT)
        apis = [llm.LLM_API_ASSIST] if self._is_new else known.get(CONF_LLM_HASS_API, [])
        there = _apis(self.hass)
        return {
            **fields,
            vol.Optional(CONF_PROMPT, description={"suggested_value": prompt}): TemplateSelector(),
            vol.Optional(
                CONF_LLM_HASS_API, description={"suggested_value": [api for api in apis if api in there]}
            ): SelectSelector(
                SelectSelectorConfig(
                    options=[SelectOptionDict(value=key, label=name) for key, name in there.items()],
                    multiple=True,
                )
            ),
            vol.Required(CONF_CONFIRM, default=known.get(CONF_CONFIRM, True)): bool,
            recommended[0]: recommended[1],
        }


def _apis(hass: HomeAssistant) -> dict[str, str]:
    return {api.id: api.name for api in llm.async_get_apis(hass)}


def _model_schema(known: Mapping[str, Any]) -> vol.Schema:
    return vol.Schema(
        {
            vol.Required(CONF_THINK, default=known.get(CONF_THINK, RECOMMENDED_THINK)): SelectSelector(
                SelectSelectorConfig(
                    options=[THINK_OFF, THINK_ON, THINK_AUTO],
                    translation_key=CONF_THINK,
                    mode=SelectSelectorMode.DROPDOWN,
                )
            ),
            vol.Required(
                CONF_MAX_TOKENS, default=known.get(CONF_MAX_TOKENS, RECOMMENDED_MAX_TOKENS)
            ): vol.All(
                NumberSelector(NumberSelectorConfig(min=1, max=32_768, step=1, mode=NumberSelectorMode.BOX)),
                vol.Coerce(int),
            ),
            vol.Required(
                CONF_TEMPERATURE, default=known.get(CONF_TEMPERATURE, RECOMMENDED_TEMPERATURE)
            ): NumberSelector(NumberSelectorConfig(min=0, max=2, step=0.05, mode=NumberSelectorMode.SLIDER)),
        }
    )
