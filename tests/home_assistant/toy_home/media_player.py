"""Players with a volume from 0 to 1, and tracks."""

from __future__ import annotations

from typing import Any

from homeassistant.components.media_player import (
    MediaPlayerEntity,
    MediaPlayerEntityFeature,
    MediaPlayerState,
)

from .toy import Toy, platform


class ToyPlayer(Toy, MediaPlayerEntity):
    _attr_supported_features = (
        MediaPlayerEntityFeature.PLAY
        | MediaPlayerEntityFeature.PAUSE
        | MediaPlayerEntityFeature.STOP
        | MediaPlayerEntityFeature.NEXT_TRACK
        | MediaPlayerEntityFeature.PREVIOUS_TRACK
        | MediaPlayerEntityFeature.VOLUME_SET
        | MediaPlayerEntityFeature.VOLUME_MUTE
        | MediaPlayerEntityFeature.TURN_ON
        | MediaPlayerEntityFeature.TURN_OFF
    )

    def begin(self, state: str | None, attributes: dict[str, Any]) -> None:
        self.now(
            state=MediaPlayerState(state or "idle"),
            volume_level=attributes.get("volume_level", 0.5),
            is_volume_muted=False,
            media_track=attributes.get("media_track", 1),
        )

    async def async_turn_on(self) -> None:
        self.now(state=MediaPlayerState.IDLE)

    async def async_turn_off(self) -> None:
        self.now(state=MediaPlayerState.OFF)

    async def async_media_play(self) -> None:
        self.now(state=MediaPlayerState.PLAYING)

    async def async_media_pause(self) -> None:
        self.now(state=MediaPlayerState.PAUSED)

    async def async_media_stop(self) -> None:
        self.now(state=MediaPlayerState.IDLE)

    async def async_media_next_track(self) -> None:
        self.now(media_track=(self._attr_media_track or 0) + 1)

    async def async_media_previous_track(self) -> None:
        self.now(media_track=(self._attr_media_track or 0) - 1)

    async def async_set_volume_level(self, volume: float) -> None:
        self.now(volume_level=volume)

    async def async_mute_volume(self, mute: bool) -> None:  # noqa: FBT001 - as the base class has it
        self.now(is_volume_muted=mute)


async_setup_entry = platform("media_player", ToyPlayer)
