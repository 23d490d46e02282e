#!/usr/bin/env bash
# Mosquitto: what overlapping subscriptions bring depends on the subscriber's protocol version, at too low a QoS.
#
# Seen with Mosquitto 2.0.11 (Debian 12) and paho-mqtt 2.2.0.
#
# A client subscribes to a/# at QoS 1 and to a/b at QoS 0; another publishes one message to a/b at QoS 1. The standard
# allows one copy or two, but the highest QoS of the matching subscriptions must be kept (MQTT-3.3.5-1 in 3.1.1).
# - With MQTT 5 two copies arrive, one for each subscription.
# - With 3.1.1 one copy arrives, at QoS 0, whichever filter was subscribed to first.
# - allow_duplicate_messages, which the manual describes without naming a protocol version, changes 3.1.1 only: true
#   brings two copies there, false leaves MQTT 5's two. The manual says "Defaults to true", but unset acts as false.
#
# For us: a handler may get a message twice, or, with the other protocol version, once but unprotected against loss.
# So filters of one connection should not overlap: `Broker.subscribe` in edgeassist/broker/connection.py says so.
# Routes of one filter share a subscription at the highest QoS (`Routes.merged` in edgeassist/broker/subscriptions.py).
set -euo pipefail

seen="\
allow_duplicate_messages unset: 3.1.1 gets QoS [0] or [0], 5 gets QoS [0, 1] or [0, 1]
allow_duplicate_messages false: 3.1.1 gets QoS [0] or [0], 5 gets QoS [0, 1] or [0, 1]
allow_duplicate_messages true: 3.1.1 gets QoS [0, 1] or [0, 1], 5 gets QoS [0, 1] or [0, 1]"

PATH=$PATH:/usr/sbin
work=$(mktemp -d)
broker=
stop() { [[ -z $broker ]] || { kill "$broker" && wait "$broker"; } || true; broker=; }
trap 'stop; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
timeout 300 "$work/venv/bin/pip" install -q --disable-pip-version-check paho-mqtt==2.2.0
mosquitto -h | sed -n 1p || true  # its help exits with 3
port=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')

cat >"$work/clients.py" <<'PYTHON'
import queue, sys, time
from paho.mqtt.client import CallbackAPIVersion, Client, MQTTv5, MQTTv311

def connect(client):
    for _ in range(100):
        try:
            client.connect("127.0.0.1", int(sys.argv[1]))
            return client.loop_start()
        except ConnectionRefusedError:
            time.sleep(0.1)
    sys.exit("the broker did not start")

def copies(version, filters):
    """QoS of each copy of one message, in the order of arrival."""
    ready, arrived = queue.Queue(), queue.Queue()
    subscriber = Client(CallbackAPIVersion.VERSION2, protocol=version)
    subscriber.on_connect = lambda *_: subscriber.subscribe([*filters, ("end", 1)])
    subscriber.on_subscribe = lambda *_: ready.put(True)
    subscriber.on_message = lambda _client, _data, message: arrived.put((message.topic, message.qos))
    connect(subscriber)
    ready.get(timeout=10)
    publisher = Client(CallbackAPIVersion.VERSION2)
    connect(publisher)
    for topic in ("a/b", "end"):
        publisher.publish(topic, "x", qos=1).wait_for_publish(timeout=10)
    got = list(iter(lambda: arrived.get(timeout=10), ("end", 1)))
    for client in (subscriber, publisher):
        client.disconnect()
        client.loop_stop()
    return [qos for _, qos in got]

filters = [("a/#", 1), ("a/b", 0)]
print(", ".join(f"{name} gets QoS {copies(version, filters)} or {copies(version, filters[::-1])}"
                for name, version in (("3.1.1", MQTTv311), ("5", MQTTv5))))
PYTHON
for value in unset false true; do
  printf '%s\n' "listener $port 127.0.0.1" "allow_anonymous true" >"$work/broker.conf"
  [[ $value == unset ]] || echo "allow_duplicate_messages $value" >>"$work/broker.conf"
  mosquitto -c "$work/broker.conf" 2>/dev/null &
  broker=$!
  echo "allow_duplicate_messages $value: $(timeout 60 "$work/venv/bin/python" "$work/clients.py" "$port")"
  stop
done >"$work/output"
cat "$work/output"
diff <(echo "$seen") "$work/output" || { echo "different from what is stated" >&2; exit 1; }
echo "as stated"
