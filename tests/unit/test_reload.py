from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from edgeassist.errors import ConfigurationError
from edgeassist.settings import Settings, live_keys
from edgeassist.settings.keys import Key, keys
from edgeassist.settings.reload import LiveRoom, reload
from tests.unit.liveness import changeable, with_another_value


def settings_of(**tables: dict[str, object]) -> Settings:
    return Settings.model_validate(tables)


class Room:
    """A room that reads some settings, and keeps what it is given."""

    def __init__(self, read: Callable[[Settings], object], *, refuses: Callable[[Any], bool] | None = None):
        self.given: list[object] = []
        self.live = LiveRoom(read, self._apply)
        self._refuses = refuses

    def _apply(self, value: object) -> None:
        if self._refuses is not None and self._refuses(value):
            raise ConfigurationError("not now")
        self.given.append(value)


def test_a_changed_key_is_applied_if_a_room_reads_it_and_waits_otherwise() -> None:
    old = settings_of(mqtt={"host": "a"}, admission={"queue": 5})
    new = settings_of(
        mqtt={"host": "b", "reply_prefixes": ["x/"]},
        model={"system": "Be brief.", "context": 99},
        engine={"slots": 2},
        admission={"queue": 7},
    )
    queue = Room(lambda settings: settings.admission.queue)
    prompts = Room(lambda settings: (settings.model.system, settings.mqtt.reply_prefixes))
    idle = Room(lambda settings: settings.session)
    reloaded = reload(old, new, [queue.live, prompts.live, idle.live])
    assert reloaded.applied == ["mqtt.reply_prefixes", "model.system", "admission.queue"]
    assert reloaded.restart_needed == ["mqtt.host", "model.context", "engine.slots"]
    assert reloaded.settings == settings_of(
        mqtt={"host": "a", "reply_prefixes": ["x/"]}, model={"system": "Be brief."}, admission={"queue": 7}
    )
    assert (queue.given, prompts.given, idle.given) == ([7], [("Be brief.", ("x/",))], [])


def test_a_reload_without_a_change_changes_nothing() -> None:
    secret: dict[str, object] = {"username": "u", "password": "p"}
    settings, room = settings_of(mqtt=secret), Room(lambda settings: settings.mqtt)
    reloaded = reload(settings, settings_of(mqtt=secret), [room.live])
    assert (reloaded.settings, reloaded.applied, reloaded.restart_needed) == (settings, [], [])
    assert room.given == []


def test_a_new_secret_has_to_wait_for_the_next_start_and_is_told_by_its_name() -> None:
    old = settings_of(mqtt={"username": "u", "password": "p"})
    reloaded = reload(old, settings_of(mqtt={"username": "u", "password": "q"}), [])
    assert reloaded.restart_needed == ["mqtt.password"]
    assert reloaded.settings == old


def test_keys_that_are_valid_only_together_are_tried_one_by_one() -> None:
    new = settings_of(mqtt={"tls": True, "tls_cert": "/cert", "tls_key": "/key"})
    room = Room(lambda settings: settings.mqtt.tls_cert)
    reloaded = reload(Settings(), new, [room.live])
    assert (reloaded.applied, reloaded.restart_needed) == (["mqtt.tls_cert"], ["mqtt.tls", "mqtt.tls_key"])


def test_a_room_sees_no_change_that_has_to_wait() -> None:
    old = settings_of(session={"count": 1}, stream={"interval_ms": 1})
    new = settings_of(session={"count": 2}, stream={"interval_ms": 2})
    # The session's count matters only with the new interval, so that its change alone changes nothing.
    room = Room(lambda settings: settings.session.count if settings.stream.interval_ms == 2 else 0)
    reloaded = reload(old, new, [room.live])
    assert (reloaded.applied, reloaded.restart_needed) == (["stream.interval_ms"], ["session.count"])
    assert room.given == [1]


def test_what_a_room_refuses_waits_for_the_next_start_and_the_rest_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    old, new = settings_of(), settings_of(admission={"queue": 7}, session={"count": 2})
    stubborn = Room(lambda settings: settings.admission.queue, refuses=lambda queue: queue == 7)
    other = Room(lambda settings: settings.session.count)
    reloaded = reload(old, new, [stubborn.live, other.live])
    assert (reloaded.applied, reloaded.restart_needed) == (["session.count"], ["admission.queue"])
    assert reloaded.settings == settings_of(session={"count": 2})
    assert (stubborn.given, other.given) == ([], [2])
    assert [(each.levelno, "not now" in each.message) for each in caplog.records] == [(logging.ERROR, True)]


def test_a_room_that_took_what_another_refuses_is_given_the_old_value_again() -> None:
    old, new = settings_of(admission={"queue": 5}), settings_of(admission={"queue": 7})
    willing = Room(lambda settings: settings.admission.queue)
    stubborn = Room(lambda settings: settings.admission, refuses=lambda admission: admission.queue == 7)
    reloaded = reload(old, new, [willing.live, stubborn.live])
    assert (reloaded.settings, reloaded.restart_needed) == (old, ["admission.queue"])
    assert (willing.given, stubborn.given) == ([7, 5], [])


def test_a_room_that_refuses_to_go_back_does_not_keep_the_others_from_their_values() -> None:
    old = settings_of(admission={"queue": 5})
    new = settings_of(admission={"queue": 7}, session={"count": 2})
    one_way = Room(lambda settings: settings.admission.queue, refuses=lambda queue: queue == 5)
    stubborn = Room(lambda settings: settings.admission, refuses=lambda admission: admission.queue == 7)
    other = Room(lambda settings: settings.session.count)
    reloaded = reload(old, new, [one_way.live, stubborn.live, other.live])
    assert (reloaded.applied, reloaded.restart_needed) == (["session.count"], ["admission.queue"])
    assert (one_way.given, other.given) == ([7], [2])


# --- marks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", keys(), ids=".".join)
def test_every_key_has_another_value_to_try(key: Key) -> None:
    before, after = Settings(), with_another_value(Settings(), key)
    assert reload(before, after, []).restart_needed == [".".join(key)]


def test_the_keys_that_rooms_take_are_found_by_trial() -> None:
    rooms: list[LiveRoom[Any]] = [
        LiveRoom(lambda settings: settings.stream, lambda _stream: None),
        LiveRoom(lambda settings: settings.model.system, lambda _system: None),
    ]
    stream = [".".join(key) for key in keys() if key[0] == "stream"]
    assert changeable(rooms) == ["model.system", *stream]


def test_the_marks_name_the_keys_that_could_always_change() -> None:
    tables = {"sampling", "decisions", "admission", "journal", "stream", "session", "homeassistant"}
    tables |= {"console", "daemon", "watch"}
    assert live_keys() == [
        name
        for name in map(".".join, keys())
        if name.partition(".")[0] in tables
        or name
        in {"model.system", "model.think", "model.sleep_idle_s", "mqtt.reply_prefixes", "fleet.adopt_s"}
    ]
