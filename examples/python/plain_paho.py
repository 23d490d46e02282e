"""Asks a device with paho-mqtt (2.0 or newer) and MQTT 5; nothing of EdgeAssist is needed here.

python plain_paho.py pi.local kitchen-pi "Turn on the kitchen light"
"""

import argparse
import json
import queue
import secrets
import sys
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

# The name on the prompt topic; with an access control list, it is the user's name.
CLIENT = "plain"
# The longest wait for the next event of an answer.
SILENCE_S = 60.0


def ask(host: str, port: int, device: str, prompt: str) -> dict[str, Any]:
    """Print the texts as they come, and return the event that ends the answer: `done` or `error`."""
    request = secrets.token_hex(6)
    topic = f"edgeassist/{device}/prompt/{CLIENT}"
    reply = f"edgeassist/{device}/reply/{CLIENT}/{request}"
    payload = json.dumps({"id": request, "prompt": prompt})
    properties = Properties(PacketTypes.PUBLISH)
    properties.ResponseTopic = reply
    properties.CorrelationData = request.encode()
    events: queue.Queue[dict[str, Any]] = queue.Queue()

    def connected(client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            events.put({"type": "error", "code": "unreachable", "message": str(reason), "retryable": False})
            return
        # After a lost connection too: the same bytes again are not run twice, and the end comes again.
        client.subscribe(reply, qos=1)
        client.publish(topic, payload, qos=1, properties=properties)

    def heard(_client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        if getattr(message.properties, "CorrelationData", None) == request.encode():
            events.put(json.loads(message.payload))

    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_connect = connected
    client.on_message = heard
    client.connect(host, port)
    client.loop_start()
    try:
        return follow(events)
    finally:
        client.disconnect()
        client.loop_stop()


def follow(events: "queue.Queue[dict[str, Any]]") -> dict[str, Any]:
    """Print the texts in their order, each once, and return the end."""
    shown, following = "", 0
    while True:
        try:
            event = events.get(timeout=SILENCE_S)
        except queue.Empty:
            text = f"nothing was heard for {SILENCE_S:g} s: is that the device's name?"
            return {"type": "error", "code": "unreachable", "message": text, "retryable": True}
        if event["type"] == "done":
            # It has all of the text: what was lost on the way, or came anew from a device that restarted.
            text = event["text"]
            print(text[len(shown) :] if text.startswith(shown) else f"\n{text}")
            return event
        if event["type"] == "error":
            return event
        if event["type"] == "accepted" and following:  # the device, or its engine, died, and begins anew
            shown, following = "", 0
            print()
        if event["seq"] != following:  # came twice, or after a gap: the end will tell
            continue
        following += 1
        if event["type"] == "chunk":
            shown += event["text"]
            print(event["text"], end="", flush=True)


def main() -> int:
    """Return the exit status: 0 done, 75 worth trying again, 1 not."""
    parser = argparse.ArgumentParser()
    parser.add_argument("host", help="the broker")
    parser.add_argument("device", help="the device's name")
    parser.add_argument("prompt")
    parser.add_argument("--port", type=int, default=1883)
    given = parser.parse_args()
    try:
        end = ask(given.host, given.port, given.device, given.prompt)
    except OSError as error:
        print(f"no connection to {given.host}:{given.port}: {error}", file=sys.stderr)
        return 1
    if end["type"] == "done":
        return 0
    print(f"{end['code']}: {end['message']}", file=sys.stderr)
    return 75 if end["retryable"] else 1


if __name__ == "__main__":
    sys.exit(main())
