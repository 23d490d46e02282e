"""A device that is none of ours: it answers commands with whatever a test wants."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Event
from typing import Any

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edgeassist.sandbox import HOST
from tests.patience import PATIENCE_S


@contextmanager
def answering(port: int, device: str, data: Mapping[str, Any]) -> Iterator[Callable[[str, Any], None]]:
    """Be online under that name, and answer the commands that `data` has an answer for.

    An answer that is a function gets the command; one that is None is given by what is yielded: it waits for
    such a command, and answers the last one with a status and data.
    """
    root = f"edgeassist/{device}"
    listens, waits = Event(), Event()
    last: dict[str, str] = {}
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)

    def hear(_client: Client, _data: Any, message: MQTTMessage) -> None:
        name = message.topic.rpartition("/")[2]
        if name not in data or message.properties is None:
            return
        asked = json.loads(message.payload)
        topic: str = getattr(message.properties, "ResponseTopic")  # noqa: B009 - paho makes it as it comes
        last.update(topic=topic, id=asked["id"])
        found = data[name](asked) if callable(data[name]) else data[name]
        if found is None:
            waits.set()
        else:
            answer("ok", found)

    def tell(status: str, found: Any) -> None:
        assert waits.wait(PATIENCE_S)
        answer(status, found)

    def answer(status: str, found: Any) -> None:
        document = {"status": status, "data": found, "id": last["id"]}
        client.publish(last["topic"], json.dumps(document), qos=1, properties=Properties(PacketTypes.PUBLISH))

    client.on_message = hear
    client.on_subscribe = lambda *_: listens.set()
    client.connect(HOST, port)
    client.loop_start()
    try:
        client.subscribe(f"{root}/command/+", qos=1)
        assert listens.wait(PATIENCE_S)
        client.publish(f"{root}/status", "online", qos=1, retain=True).wait_for_publish(PATIENCE_S)
        yield tell
        client.publish(f"{root}/status", b"", qos=1, retain=True).wait_for_publish(PATIENCE_S)
    finally:
        client.disconnect()
        client.loop_stop()
