"""Tests of a program that asks a device, without a device: `pytest test_my_flow.py`. Mosquitto is needed.

In a project of your own, the line with `pytest_plugins` stands in conftest.py.
"""

import signal

import pytest

from edgeassist.client import Client, EdgeAssistError, EngineCrashedError
from edgeassist.testing import ScriptedDevice, script

pytest_plugins = ["edgeassist.testing.fixtures"]


def lights(client: Client, said: str) -> str:
    """Stands for your program: what a person said becomes a word for the light."""
    try:
        action = client.ask(said, timeout_s=10).json()
    except EdgeAssistError as error:
        return f"later ({error.code})" if error.retryable else "no"
    return f"{action['room']} {action['value']}"


def test_a_command_becomes_an_action(edgeassist_device: ScriptedDevice) -> None:
    edgeassist_device.answers = {"*kitchen*": '{"room": "kitchen", "value": "on"}'}
    with edgeassist_device.client() as client:
        assert lights(client, "Turn on the kitchen light") == "kitchen on"


def test_an_engine_that_crashes_is_a_reason_to_ask_later(edgeassist_device: ScriptedDevice) -> None:
    edgeassist_device.answers = {"*": script('{"room": "kitchen"}', crash_after=2)}
    with edgeassist_device.client() as client:
        assert lights(client, "Turn on the kitchen light") == "later (engine_crashed)"


def test_a_device_that_is_too_slow_is_a_reason_to_ask_later(edgeassist_device: ScriptedDevice) -> None:
    edgeassist_device.answers = {"*": script("a long story", delay_ms=5000)}
    with edgeassist_device.client() as client, pytest.raises(EdgeAssistError) as raised:
        client.ask("Tell me a story", timeout_s=0.5)
    assert (raised.value.code, raised.value.retryable) == ("deadline_exceeded", True)


def test_an_answer_survives_a_broker_that_restarts(edgeassist_device: ScriptedDevice) -> None:
    edgeassist_device.answers = {"*": script("on and on ", repeat=20, delay_ms=50)}
    with edgeassist_device.client() as client, client.stream("Tell me a story") as stream:
        texts = iter(stream)
        first = next(texts)
        edgeassist_device.broker.stop(signal.SIGKILL)
        edgeassist_device.broker.start()
        assert first + "".join(texts) == "on and on " * 20


def test_texts_before_a_crash_are_not_an_answer(edgeassist_device: ScriptedDevice) -> None:
    edgeassist_device.answers = {"*": script("half of it", crash_after=2)}
    with edgeassist_device.client() as client, client.stream("Tell me") as stream:
        with pytest.raises(EngineCrashedError):
            list(stream)
        assert stream.text == "half"
