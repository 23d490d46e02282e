#!/usr/bin/env bash
# Mosquitto's message_size_limit ends paho's MQTT 5 connections: one long message, sent again, ends each that follows.
#
# Seen with Mosquitto 2.0.11 (Debian 12), message_size_limit 1000, and paho-mqtt 2.2.0.
#
# A client publishes 2,000 bytes at QoS 1. Nobody gets them, which is what the setting is for. But
# - with MQTT 5 the limit is not announced (no Maximum Packet Size in CONNACK), and the answer is PUBACK with 0x95
#   ("packet too large"), a code that PUBACK may not have (MQTT 5, table 3-4).
# - paho takes that for a malformed packet and ends the connection: on_disconnect gets "Protocol error", on_publish is
#   not called, neither says which message. It connects again by itself and sends the message again, which ends this
#   connection too; it went on so for all three that we watched.
# - with 3.1.1 the PUBACK has no code: on_publish reports success.
# Mosquitto's max_packet_size, instead, is announced in MQTT 5.
#
# For us: one long answer would cost the device its connection, and every client its answers, for good. So
# `TolerantClient` in edgeassist/broker/client.py takes any code of a PUBACK and tells which message was refused.
set -euo pipefail

seen="\
MQTT 5, raw: CONNACK without Maximum Packet Size, PUBACK with 0x95
MQTT 5: on_connect Success, on_disconnect Protocol error, on_connect Success, on_disconnect Protocol error, \
on_connect Success, on_disconnect Protocol error; watcher heard ['short']
MQTT 3.1.1: on_connect Success, on_publish Success; watcher heard ['short']"

PATH=$PATH:/usr/sbin
work=$(mktemp -d)
broker=
trap '[[ -z $broker ]] || kill "$broker" || true; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
timeout 300 "$work/venv/bin/pip" install -q --disable-pip-version-check paho-mqtt==2.2.0
mosquitto -h | sed -n 1p || true  # its help exits with 3
port=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
printf '%s\n' "listener $port 127.0.0.1" "allow_anonymous true" "message_size_limit 1000" >"$work/broker.conf"
mosquitto -c "$work/broker.conf" 2>/dev/null &
broker=$!

cat >"$work/clients.py" <<'PYTHON'
import queue, socket, sys, time
from paho.mqtt.client import CallbackAPIVersion, Client, MQTTv5, MQTTv311
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

where = ("127.0.0.1", int(sys.argv[1]))
MAXIMUM_PACKET_SIZE = "MaximumPacketSize"

def raw():
    """What Mosquitto sends, without paho's client."""
    for _ in range(100):
        try:
            link = socket.create_connection(where, timeout=10)
            break
        except ConnectionRefusedError:
            time.sleep(0.1)
    with link, link.makefile("rb") as packets:
        def packet():
            kind, length = packets.read(2)  # all are short
            return kind, packets.read(length)

        link.sendall(b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00")
        kind, connack = packet()
        assert kind == 0x20 and connack[1] == 0
        announced = Properties(PacketTypes.CONNACK)
        announced.unpack(connack[2:])
        has = "with" if hasattr(announced, MAXIMUM_PACKET_SIZE) else "without"
        link.sendall(b"\x32\xd6\x0f\x00\x01a\x00\x01\x00" + 2000 * b"x")
        kind, puback = packet()
        assert kind == 0x40 and puback[:2] == b"\x00\x01"
        return f"CONNACK {has} Maximum Packet Size, PUBACK with {puback[2]:#x}"

def publish(version, callbacks):
    """The publisher's first callbacks, and what a watcher heard up to a short message by another client."""
    events, heard, ready = queue.Queue(), queue.Queue(), queue.Queue()
    watcher, other, publisher = (Client(CallbackAPIVersion.VERSION2, protocol=version) for _ in range(3))
    watcher.on_connect = lambda *_: watcher.subscribe("a", qos=1)
    watcher.on_subscribe = lambda *_: ready.put(True)
    watcher.on_message = lambda _client, _data, message: heard.put(message.payload.decode())
    publisher.on_connect = lambda _client, _data, _flags, reason, _: events.put(f"on_connect {reason}")
    publisher.on_disconnect = lambda _client, _data, _flags, reason, _: events.put(f"on_disconnect {reason}")
    publisher.on_publish = lambda _client, _data, _id, reason, _: events.put(f"on_publish {reason}")
    watcher.connect(*where)
    watcher.loop_start()
    ready.get(timeout=10)
    publisher.connect(*where)
    publisher.publish("a", "x" * 2000, qos=1)  # once
    publisher.loop_start()
    told = [events.get(timeout=10) for _ in range(callbacks)]
    other.connect(*where)
    other.loop_start()
    other.publish("a", "short", qos=1)
    got = list(iter(lambda: heard.get(timeout=10), "short")) + ["short"]
    for client in (watcher, other, publisher):
        client.disconnect()
        client.loop_stop()
    return f"{', '.join(told)}; watcher heard {got}"

print("MQTT 5, raw:", raw())
print("MQTT 5:", publish(MQTTv5, 6))
print("MQTT 3.1.1:", publish(MQTTv311, 2))
PYTHON
timeout 120 "$work/venv/bin/python" "$work/clients.py" "$port" | tee "$work/output"
diff <(echo "$seen") "$work/output" || { echo "different from what is stated" >&2; exit 1; }
echo "as stated"
