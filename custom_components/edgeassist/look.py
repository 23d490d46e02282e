"""Looks once whether a box is there, for the config flow, and whether its answers would be heard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from homeassistant.components import mqtt
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError

from .const import LOGGER
from .known import Info, read_info
from .topics import Topics

# Retained messages come right behind SUBACK; Home Assistant gathers subscriptions for up to half a second.
LOOK_S = 5.0
# `info` follows `status` at once where both are retained.
SETTLE_S = 1.0
# Home Assistant gathers subscriptions for half a second; one that a broker refuses is waited for no longer.
SUBSCRIBE_S = 3.0


class NotUsableError(Exception):
    """There is no box that can be used; `reason` is the key of the error in strings.json."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


async def async_look(hass: HomeAssistant, topics: Topics) -> Info:
    """Return what the box says of itself.

    Raises:
        NotUsableError: `mqtt_unavailable`: Home Assistant has no connection to a broker. `not_found`: nothing
            is known there of such a box. `offline`: it is known, and away. `no_info`: it is there, and its
            `info` can't be read. `protocol_unknown`: its version of the wire contract is not ours.
    """
    if not await mqtt.async_wait_for_mqtt_client(hass) or not mqtt.is_connected(hass):
        raise NotUsableError("mqtt_unavailable")
    heard: dict[str, str] = {}
    news = asyncio.Event()

    @callback
    def hear(message: mqtt.ReceiveMessage) -> None:
        heard[message.topic] = str(message.payload)
        news.set()

    undo: list[Callable[[], None]] = []
    try:
        undo.append(await mqtt.async_subscribe(hass, topics.status, hear, qos=1))
        undo.append(await mqtt.async_subscribe(hass, topics.info, hear, qos=1))
        await _until(lambda: topics.status in heard, news, LOOK_S)
        await _until(lambda: topics.info in heard, news, SETTLE_S)
    except HomeAssistantError as error:
        raise NotUsableError("mqtt_unavailable") from error
    finally:
        for each in undo:
            each()
    if not heard.get(topics.status):
        raise NotUsableError("not_found")
    if heard[topics.status] != "online":
        raise NotUsableError("offline")
    info = read_info(heard.get(topics.info, ""))
    if info is None:
        raise NotUsableError("no_info")
    if not info.understood:
        raise NotUsableError("protocol_unknown")
    return info


async def async_subscribed(hass: HomeAssistant, topic: str) -> None:
    """Wait until a topic is subscribed to: a quick box has said all of an answer before that."""
    if not mqtt.is_connected(hass):
        return
    done = asyncio.Event()
    stop = mqtt.async_on_subscribe_done(hass, topic, 1, done.set)
    try:
        async with asyncio.timeout(SUBSCRIBE_S):
            await done.wait()
    except TimeoutError:
        LOGGER.debug("%s is not known to be subscribed to", topic)
    finally:
        stop()


async def _until(known: Callable[[], bool], news: asyncio.Event, limit_s: float) -> None:
    try:
        async with asyncio.timeout(limit_s):
            while not known():
                news.clear()
                await news.wait()
    except TimeoutError:
        return
