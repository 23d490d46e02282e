import asyncio
import json
from dataclasses import replace

import pytest

from edgeassist.errors import Code
from edgeassist.gateways.homeassistant.discovery import Discovery, DiscoveryOptions
from edgeassist.protocol.events import Failed
from edgeassist.protocol.packets import Inbound, Outbound
from edgeassist.protocol.requests import PromptRequest
from edgeassist.serving.caller import Caller
from tests.unit.conftest import TOPICS, ListLink
from tests.unit.test_homeassistant import done, health

CONFIG = "homeassistant/device/edgeassist__box/config"
MARKER = "edgeassist/box/discovery"
ON = DiscoveryOptions(on=True, prefix="homeassistant", status_topic="homeassistant/status")
OFF = replace(ON, on=False)


class Room:
    """Discovery before a connection that is a list, and a device that says `states` for its states."""

    def __init__(self, options: DiscoveryOptions, *, connected: bool = True, limit: int = 10_000) -> None:
        self.link = ListLink(most_bytes=limit)
        self.link.connected = connected
        self.discovery = Discovery(
            TOPICS,
            options,
            self.link,
            health=health,
            say_state=lambda: self.said.append(Outbound("states", b"")),
        )
        self.discovery.start()

    @property
    def said(self) -> list[Outbound]:
        return self.link.published

    @property
    def topics(self) -> list[str]:
        return self.link.topics

    @property
    def cleared(self) -> list[str]:
        return [message.topic for message in self.said if message.retain and not message.payload]


async def test_discovery_comes_before_availability_and_states_and_all_once_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edgeassist.gateways.homeassistant.discovery.AGAIN_S", 0.01)
    room = Room(ON)
    room.discovery.connected()
    assert room.topics == [MARKER, CONFIG]
    assert [(message.qos, message.retain) for message in room.said[:2]] == [(1, True)] * 2
    assert room.said[0].payload == CONFIG.encode()
    await asyncio.sleep(0.1)
    assert room.topics == [MARKER, CONFIG, MARKER, CONFIG, "states"]


async def test_without_discovery_nothing_is_said() -> None:
    room = Room(OFF)
    room.discovery.connected()
    assert room.topics == []
    assert room.link.filters == [MARKER]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (Inbound("homeassistant/status", b"online"), [MARKER, CONFIG, "states"]),
        (Inbound("homeassistant/status", b"online", retained=True), []),
        (Inbound("homeassistant/status", b"offline"), []),
    ],
)
async def test_home_assistant_is_told_when_it_starts(message: Inbound, said: list[str]) -> None:
    room = Room(ON)
    room.link.bring(message)
    assert room.topics == said
    room.discovery.close()


@pytest.mark.parametrize(
    ("options", "marked", "cleared"),
    [
        (OFF, CONFIG, [CONFIG, MARKER]),
        (OFF, "elsewhere/device/edgeassist__box/config", ["elsewhere/device/edgeassist__box/config", MARKER]),
        (ON, CONFIG, []),
        (ON, "elsewhere/device/edgeassist__box/config", ["elsewhere/device/edgeassist__box/config"]),
        # Whoever writes the marker does not borrow the daemon's rights.
        (OFF, "homeassistant/device/edgeassist__hall/config", []),
        (OFF, "edgeassist/box/status", []),
        (OFF, "", []),
    ],
)
async def test_what_an_earlier_daemon_left_is_withdrawn_where_it_is_no_more_wanted(
    options: DiscoveryOptions, marked: str, cleared: list[str]
) -> None:
    room = Room(options)
    room.link.bring(Inbound(MARKER, marked.encode(), retained=True))
    assert room.cleared == cleared


async def test_our_own_marker_that_comes_back_is_no_news() -> None:
    room = Room(OFF)
    room.link.bring(Inbound(MARKER, CONFIG.encode()))
    assert room.said == []


async def test_other_options_take_effect_at_once() -> None:
    room = Room(OFF)
    room.discovery.apply(OFF)
    assert room.said == []
    room.discovery.apply(ON)
    assert room.topics == [MARKER, CONFIG, "states"]
    assert room.link.filters == [MARKER, "homeassistant/status"]
    room.said.clear()
    room.discovery.apply(replace(ON, prefix="ha"))
    assert room.cleared == [CONFIG, MARKER]
    assert room.topics[2:] == [MARKER, "ha/device/edgeassist__box/config", "states"]
    room.said.clear()
    room.discovery.apply(OFF)
    assert room.cleared == room.topics == ["ha/device/edgeassist__box/config", MARKER]
    assert room.link.filters == [MARKER]


async def test_nothing_is_said_after_goodbye_or_without_a_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeassist.gateways.homeassistant.discovery.AGAIN_S", 0.01)
    room = Room(ON)
    room.discovery.connected()
    room.said.clear()
    room.discovery.close()
    room.link.bring(Inbound("homeassistant/status", b"online"))
    away = Room(ON, connected=False)
    away.discovery.connected()
    await asyncio.sleep(0.1)
    assert room.said == away.said == []


@pytest.mark.parametrize(
    ("options", "client", "said"),
    [
        (ON, "homeassistant", [("edgeassist/box/event/homeassistant", 1, False)]),
        (OFF, "homeassistant", []),
        (ON, None, []),
    ],
)
def test_only_prompts_of_home_assistant_end_in_an_event_and_only_where_it_is_told(
    options: DiscoveryOptions, client: str | None, said: list[object]
) -> None:
    room = Room(options)
    room.discovery.ended(Caller(client), PromptRequest(prompt="why?"), done(text="so"))
    assert [(message.topic, message.qos, message.retain) for message in room.said] == said
    assert all(json.loads(message.payload)["question"] == "why?" for message in room.said)


def test_a_prompt_that_could_not_be_read_fails_in_an_event_without_a_question() -> None:
    room = Room(ON)
    failed = Failed(id="7", seq=0, code=Code.INVALID_REQUEST, message="no", retryable=False, device="box")
    room.discovery.ended(Caller("homeassistant"), None, failed)
    event = json.loads(room.said[0].payload)
    assert event["event_type"] == "failed"
    assert "question" not in event


def test_an_answer_that_the_broker_does_not_take_fails_in_an_event_that_says_so() -> None:
    room = Room(ON, limit=500)
    room.discovery.ended(Caller("homeassistant"), PromptRequest(prompt="why?"), done(text="x" * 1000))
    (message,) = room.said
    event = json.loads(message.payload)
    assert (event["event_type"], event["code"], event["text"]) == ("failed", "too_large", "")
    assert "1000 bytes" in event["message"]
