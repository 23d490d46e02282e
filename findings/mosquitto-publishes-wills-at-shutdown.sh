#!/usr/bin/env bash
# Mosquitto publishes the wills of healthy clients when it is shut down.
#
# Seen with Mosquitto 2.0.11 (Debian 12) and paho-mqtt 2.2.0.
#
# A will announces that a client is gone. On SIGTERM (what `systemctl restart mosquitto` sends) Mosquitto publishes
# the will of a connected client before it closes the connections, though only the broker goes. With MQTT 5, a Will
# Delay Interval of 60 s does not hold the will back, though the session lasts an hour and the broker has persistence;
# nor is the watcher sent a DISCONNECT (0x8B, "Server shutting down"). On SIGKILL no will is published.
#
# For us: each planned restart of the broker looks like a device that went offline, an instant before the link itself
# breaks. A requester that gave up then would lose answers that the device goes on producing. So edgeassist/client.py
# gives an offline device RETURN_S to come back.
set -euo pipefail

seen="\
MQTT 3.1.1, SIGTERM: heard ['offline'], DISCONNECT packet: False
MQTT 3.1.1, SIGKILL: heard [], DISCONNECT packet: False
MQTT 5, SIGTERM: heard ['offline'], DISCONNECT packet: False
MQTT 5, SIGKILL: heard [], DISCONNECT packet: False"

PATH=$PATH:/usr/sbin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
timeout 300 "$work/venv/bin/pip" install -q --disable-pip-version-check paho-mqtt==2.2.0
mosquitto -h | sed -n 1p || true  # its help exits with 3
port=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
printf '%s\n' "listener $port 127.0.0.1" "allow_anonymous true" "user $(id -un)" \
  "persistence true" "persistence_location $work/" >"$work/broker.conf"

cat >"$work/watch.py" <<'PYTHON'
import queue, signal, subprocess, sys, time
from paho.mqtt.client import CallbackAPIVersion, Client, MQTTv5, MQTTv311
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that `finally` runs
session = Properties(PacketTypes.CONNECT)
session.SessionExpiryInterval = 3600
delay = Properties(PacketTypes.WILLMESSAGE)
delay.WillDelayInterval = 60

def connect(client):
    for _ in range(100):
        try:
            own = session if client.protocol == MQTTv5 else None
            client.connect("127.0.0.1", int(sys.argv[2]), properties=own)
            return client.loop_start()
        except ConnectionRefusedError:
            time.sleep(0.1)
    sys.exit("no broker")

def watch(version, how):
    heard, ready, closed = [], queue.Queue(), queue.Queue()
    device, watcher = (Client(CallbackAPIVersion.VERSION2, each, protocol=version, reconnect_on_failure=False)
                       for each in ("device", "watcher"))
    device.will_set("state", "offline", qos=1, properties=delay if version == MQTTv5 else None)
    device.on_connect = lambda *_: ready.put(True)
    watcher.on_connect = lambda *_: watcher.subscribe("state", qos=1)
    watcher.on_subscribe = lambda *_: ready.put(True)
    watcher.on_message = lambda _client, _data, message: heard.append(message.payload.decode())
    watcher.on_disconnect = lambda _client, _data, flags, *_: closed.put(flags.is_disconnect_packet_from_server)
    broker = subprocess.Popen(["mosquitto", "-c", sys.argv[1]], stderr=subprocess.DEVNULL)
    try:
        for client in (device, watcher):
            connect(client)
            ready.get(timeout=10)
        broker.send_signal(how)
        told = closed.get(timeout=10)  # comes last
        return f"{how.name}: heard {heard}, DISCONNECT packet: {told}"
    finally:
        broker.kill()
        broker.wait(timeout=10)

for name, version in (("MQTT 3.1.1", MQTTv311), ("MQTT 5", MQTTv5)):
    print(f"{name}, {watch(version, signal.SIGTERM)}")
    print(f"{name}, {watch(version, signal.SIGKILL)}")
PYTHON
timeout 120 "$work/venv/bin/python" "$work/watch.py" "$work/broker.conf" "$port" | tee "$work/output"
diff <(echo "$seen") "$work/output" || { echo "different from what is stated" >&2; exit 1; }
echo "as stated"
