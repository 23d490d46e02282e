#!/usr/bin/env bash
# paho-mqtt answers a refusal of MQTT 3.1.1 with a connection of its own in MQTT 3.1, and hides the refusal.
#
# Seen with paho-mqtt 2.2.0, against a socket that answers as a broker without 3.1.1 must: CONNACK with return code 1
# ("unacceptable protocol version"), then it closes.
#
# - As it comes, `loop_read`, which only reads elsewhere, closes the socket, connects a new one (this blocks) and sends
#   a CONNECT with the protocol name MQIsdp, which is MQTT 3.1. on_connect reports success; that the protocol is not
#   the one asked for, no callback says. No reference documents it; the parameter that turns it off,
#   reconnect_on_failure, is described for `loop_forever` only.
# - With reconnect_on_failure=False it does not connect again, but on_connect, which gets all other refusals, is not
#   called: on_disconnect gets "Protocol error", as for bytes that are no MQTT.
#
# For us: an event loop would be blocked, and left watching a closed socket; the device would speak a protocol that it
# is not made for. So edgeassist/broker/wire.py sets reconnect_on_failure=False, and `explain_garble` in
# edgeassist/broker/reasons.py names both causes: another protocol version, or no broker.
set -euo pipefail

seen="\
reconnect_on_failure=True: after one loop_read a new socket; sent ['MQTT 4', 'MQIsdp 3']; on_connect Success
reconnect_on_failure=False: after one loop_read no socket; sent ['MQTT 4']; on_disconnect Protocol error"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
timeout 300 "$work/venv/bin/pip" install -q --disable-pip-version-check paho-mqtt==2.2.0

cat >"$work/refused.py" <<'PYTHON'
import select, socket, threading
from paho.mqtt.client import CallbackAPIVersion, Client, MQTTv311

def serve(listener, sent):
    """Refuse whatever is not MQTT 3.1; note protocol name and version of each CONNECT."""
    for _ in range(2):
        connection, _ = listener.accept()
        packet = connection.recv(1000)
        end = 4 + packet[3]
        sent.append(f"{packet[4:end].decode()} {packet[end]}")
        if packet[end] == 3:
            connection.sendall(b"\x20\x02\x00\x00")
            connection.recv(1)  # until the client goes
        else:
            connection.sendall(b"\x20\x02\x00\x01")
            connection.close()

def read(client):
    if client.socket() is not None and select.select([client.socket()], [], [], 10)[0]:
        client.loop_read()

def try_with(reconnect):
    sent, callbacks = [], []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener, sent), daemon=True).start()
        client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv311, reconnect_on_failure=reconnect)
        client.on_connect = lambda _client, _data, _flags, reason, _: callbacks.append(f"on_connect {reason}")
        client.on_disconnect = lambda _client, _data, _flags, reason, _: callbacks.append(f"on_disconnect {reason}")
        client.connect("127.0.0.1", listener.getsockname()[1])
        first = client.socket()
        read(client)
        after = {None: "no", first: "the same"}.get(client.socket(), "a new")
        read(client)
    print(f"reconnect_on_failure={reconnect}: after one loop_read {after} socket; sent {sent}; {', '.join(callbacks)}")

try_with(True)
try_with(False)
PYTHON
timeout 60 "$work/venv/bin/python" "$work/refused.py" | tee "$work/output"
diff <(echo "$seen") "$work/output" || { echo "different from what is stated" >&2; exit 1; }
echo "as stated"
