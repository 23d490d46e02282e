"""Markers of other daemons of this name, as many as anybody may make up."""

from __future__ import annotations

import logging

import pytest

from edgeassist.gateways.mqtt import twins
from edgeassist.gateways.mqtt.twins import MOST_TOLD, Twins
from edgeassist.protocol.packets import Inbound
from edgeassist.protocol.state import Instance, parse_instance
from tests.unit.conftest import TOPICS, ListLink


def instance(boot_id: str) -> Instance:
    return Instance(
        boot_id=boot_id, connection=1, host="pi", address=None, pid=1, client_id="box", version="0"
    )


def test_what_is_longer_than_a_marker_is_none() -> None:
    marker = instance("theirs").model_dump_json().encode()
    assert parse_instance(marker) == instance("theirs")
    assert parse_instance(marker + b" " * 20_000) is None


def test_of_ever_more_twins_only_some_are_told_and_answered(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = ListLink()
    told: list[str | None] = []
    heard = Twins(TOPICS, lambda: instance("ours"), link, on_change=told.append)
    heard.start()
    with caplog.at_level(logging.ERROR):
        for number in range(500):
            marker = instance(f"forged-{number}").model_dump_json().encode()
            link.bring(Inbound(TOPICS.instance, marker))
    assert (len(told), len(link.published)) == (MOST_TOLD, MOST_TOLD)
    assert len(caplog.messages) == MOST_TOLD + 1
    assert "no more is told" in caplog.messages[-1]
    # An hour later one is told of again.
    monkeypatch.setattr(twins, "TOLD_WITHIN_S", -1.0)
    link.bring(Inbound(TOPICS.instance, instance("later").model_dump_json().encode()))
    assert len(told) == MOST_TOLD + 1
