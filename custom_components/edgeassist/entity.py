"""What agents and tasks share: their device, and whether the box is there."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Set
from contextlib import aclosing
from typing import Any

from homeassistant.components import mqtt
from homeassistant.config_entries import ConfigEntryState, ConfigSubentry
from homeassistant.core import Event as BusEvent
from homeassistant.core import callback
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.entity import Entity

from . import EdgeAssistConfigEntry, issues
from .box import LIMIT_S, Box
from .const import DOMAIN, LOGGER
from .events import Done, Event
from .failures import Failure, Why
from .topics import Kind


class EdgeAssistEntity(Entity):
    """An agent or a task of a box."""

    _attr_has_entity_name = True
    _attr_name = None
    _attr_should_poll = False

    def __init__(self, entry: EdgeAssistConfigEntry, subentry: ConfigSubentry) -> None:
        self.entry = entry
        self.subentry = subentry
        self.box: Box = entry.runtime_data
        self._attr_unique_id = subentry.subentry_id
        self._attr_translation_key = subentry.subentry_type  # of its icon
        self._attr_device_info = dr.DeviceInfo(
            identifiers={(DOMAIN, subentry.subentry_id)},
            name=subentry.title,
            manufacturer="EdgeAssist",
            model=self._model,
            entry_type=dr.DeviceEntryType.SERVICE,
        )

    @property
    def available(self) -> bool:
        """Whether the box is there. Who asks it while it is not is told so at once."""
        return self.box.available

    async def async_added_to_hass(self) -> None:
        """Follow the box, and link to its device when MQTT discovery brings that."""
        await super().async_added_to_hass()
        self.async_on_remove(self.box.listen(self._box_changed))
        self.async_on_remove(
            self.hass.bus.async_listen(dr.EVENT_DEVICE_REGISTRY_UPDATED, self._device_changed)
        )
        self._link()

    async def async_ask(
        self,
        fields: Mapping[str, Any],
        *,
        kind: Kind = "prompt",
        limit_s: float = LIMIT_S,
        forgive: Set[Why] = frozenset(),
    ) -> AsyncGenerator[Event]:
        """Ask the box, and yield the events of the answer, `Done` last.

        All that this entity asks goes through here, so that repairs know what went wrong and what went well.

        Args:
            fields: As those of `Box.ask`.
            kind: Likewise.
            limit_s: Likewise.
            forgive: Failures that who asks can mend.

        Raises:
            Failure: It was not answered, and why.
        """
        try:
            async with aclosing(self.box.ask(fields, kind=kind, limit_s=limit_s)) as events:
                async for event in events:
                    if isinstance(event, Done) and self._is_loaded:
                        issues.async_answered(self.hass, self.entry, self.subentry.subentry_id)
                    yield event
        except Failure as failure:
            if failure.why not in forgive:
                self.async_report(failure)
            raise

    async def async_answer(
        self, fields: Mapping[str, Any], *, kind: Kind = "prompt", limit_s: float = LIMIT_S
    ) -> Done:
        """Ask the box, and return the end of the answer, which has all of it.

        A prompt is streamed all the same, because a box that streams says at once that it has heard: one that
        has not is known after seconds.

        Raises:
            Failure: As `async_ask`.
        """
        async with aclosing(self.async_ask(fields, kind=kind, limit_s=limit_s)) as events:
            async for event in events:
                if isinstance(event, Done):
                    return event
        raise Failure(Why.INTERNAL, {"message": "an answer without an end"})

    @callback
    def async_report(self, failure: Failure) -> None:
        """Make an issue of a failure, if a setting mends it."""
        LOGGER.debug("%s: %s", self.entity_id, failure)
        if self._is_loaded:
            issues.async_report(self.hass, self.entry, self.subentry.subentry_id, failure)

    @property
    def _is_loaded(self) -> bool:
        """Whether the entry is still there; what it was asked ends a little later."""
        return self.entry.state is ConfigEntryState.LOADED

    @property
    def _model(self) -> str:
        return (self.box.info.model if self.box.info else None) or "Language model on MQTT"

    @callback
    def _box_changed(self) -> None:
        if (device := self.device_entry) and self.box.info and device.model != self._model:
            dr.async_get(self.hass).async_update_device(device.id, model=self._model)
        self.async_write_ha_state()

    @callback
    def _device_changed(self, event: BusEvent[dr.EventDeviceRegistryUpdatedData]) -> None:
        if event.data["action"] == "create":
            self._link()

    @callback
    def _link(self) -> None:
        """Link our device to the box's, which the MQTT integration has made of its discovery message."""
        registry = dr.async_get(self.hass)
        device = self.device_entry
        owners = {each.entry_id for each in self.hass.config_entries.async_entries(mqtt.DOMAIN)}
        wanted = (mqtt.DOMAIN, self.box.topics.identifier)
        for owner in owners:
            for each in dr.async_entries_for_config_entry(registry, owner):
                if wanted in each.identifiers and device and device.via_device_id != each.id:
                    registry.async_update_device(device.id, via_device_id=each.id)
