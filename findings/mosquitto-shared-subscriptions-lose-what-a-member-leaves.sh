#!/usr/bin/env bash
# Mosquitto: what stands in a member's session is nobody else's, and gone when that session ends.
#
# Seen with Mosquitto 2.0.11 (Debian 12), 2.0.21 (Debian 13) and 2.1.2, and paho-mqtt 2.2.0.
#
# Two clients share a subscription at QoS 1; one of them acknowledges nothing, with Receive Maximum 2. Twelve
# messages are published. The standard leaves to the broker how it chooses, and says that it SHOULD send what a
# session had not acknowledged when it ended to another member (MQTT 5, section 4.8.2).
# - They are dealt round robin whether a member is free, full or offline: six are for the one that takes two.
# - What it has, sent or queued, is given to no other member: not while it is full, not when its connection
#   breaks, and not when its session ends (a DISCONNECT with expiry 0, an expiry, a clean start). In these three
#   cases all six are lost, and their publisher was told success.
# - Who unsubscribes keeps what stands in the session: it is delivered as before, new ones go to the other.
# - Who connects with the client id of a member that is gone, without a clean start, gets all of it: first what
#   was on its way, with DUP and the same packet ids, then what was queued, and then its share of new ones.
#
# For us: a box acknowledges a prompt when its fate is safe, hands what it can't start to a box that has room, leaves
# a fleet by unsubscribing, and never by ending its session; and what a dead box leaves is taken over by its client
# id (edgeassist/gateways/fleet/adopting.py).
set -euo pipefail

seen="\
full member: sent 1 3, the other 2 4 6 8 10 12
connection broken, session kept: the other gets nothing more
session ended: the other gets nothing more, then all of 13 14 15
unsubscribed: still gets 5 7 9 11, of 13 14 15 nothing
taken over: 1dup 3dup 5 7 9 11, packet ids as before, then 13 15"

PATH=$PATH:/usr/sbin
work=$(mktemp -d)
broker=
stop() { [[ -z $broker ]] || { kill "$broker" && wait "$broker"; } || true; broker=; }
trap 'stop; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
timeout 300 "$work/venv/bin/pip" install -q --disable-pip-version-check paho-mqtt==2.2.0
mosquitto -h | sed -n 1p || true  # its help exits with 3
port=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')

cat >"$work/members.py" <<'PYTHON'
import queue, sys, time
from paho.mqtt.client import CallbackAPIVersion, Client, MQTTv5
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

QUIET_S = 1.0  # nothing more comes then

class Member(Client):
    """Acknowledges when told to; its session outlives it."""

    def __init__(self, name, maximum):
        super().__init__(CallbackAPIVersion.VERSION2, name, protocol=MQTTv5, manual_ack=True, reconnect_on_failure=False)
        self.ready, self.arrived = queue.Queue(), queue.Queue()
        self.on_connect = self.on_subscribe = self.on_unsubscribe = lambda *_: self.ready.put(True)
        self.on_message = lambda _client, _data, message: self.arrived.put(message)
        options = Properties(PacketTypes.CONNECT)
        options.SessionExpiryInterval = 3600
        options.ReceiveMaximum = maximum
        for _ in range(100):
            try:
                self.connect("127.0.0.1", int(sys.argv[1]), clean_start=False, properties=options)
                break
            except ConnectionRefusedError:
                time.sleep(0.1)
        self.loop_start()
        self.ready.get(timeout=10)

    def join(self, share):
        self.subscribe(share, 1)
        self.ready.get(timeout=10)
        return self

    def hear(self, acknowledge=True):
        heard = []
        try:
            while True:
                heard.append(self.arrived.get(timeout=QUIET_S))
                if acknowledge:
                    self.ack(heard[-1].mid, 1)
        except queue.Empty:
            return heard

    def break_off(self):
        self.loop_stop()
        self.socket().close()

def words(messages):
    return " ".join(f"{message.payload.decode()}{'dup' * message.dup}" for message in messages) or "nothing"

def publish(first, last):
    for number in range(first, last + 1):
        publisher.publish(topic, str(number), qos=1).wait_for_publish(timeout=10)

publisher = Member("publisher", 100)
lines = []
for name in ("broken", "ended", "unsubscribed", "taken"):
    topic = f"work/{name}"
    share = f"$share/{name}/{topic}"
    full, other = Member(f"{name}-full", 2).join(share), Member(f"{name}-other", 100).join(share)
    publish(1, 12)
    had, elsewhere = full.hear(acknowledge=False), other.hear()
    match name:
        case "broken":
            lines.append(f"full member: sent {words(had)}, the other {words(elsewhere)}")
            full.break_off()
            lines.append(f"connection broken, session kept: the other gets {words(other.hear())} more")
        case "ended":
            last = Properties(PacketTypes.DISCONNECT)
            last.SessionExpiryInterval = 0
            full.disconnect(properties=last)
            passed = words(other.hear())
            publish(13, 15)
            lines.append(f"session ended: the other gets {passed} more, then all of {words(other.hear())}")
        case "unsubscribed":
            full.unsubscribe(share)
            full.ready.get(timeout=10)
            for message in had:
                full.ack(message.mid, 1)
            kept = words(full.hear())
            publish(13, 15)
            lines.append(f"unsubscribed: still gets {kept}, of {words(other.hear())} {words(full.hear())}")
        case "taken":
            full.break_off()
            heir = Member(f"{name}-full", 100)
            got = heir.hear()
            same = [message.mid for message in got[:2]] == [message.mid for message in had]
            publish(13, 15)
            ids = "as before" if same else "new"
            lines.append(f"taken over: {words(got)}, packet ids {ids}, then {words(heir.hear())}")
print("\n".join(lines))
PYTHON
printf '%s\n' "listener $port 127.0.0.1" "allow_anonymous true" >"$work/broker.conf"
mosquitto -c "$work/broker.conf" 2>/dev/null &
broker=$!
timeout 100 "$work/venv/bin/python" "$work/members.py" "$port" | tee "$work/output"
diff <(echo "$seen") "$work/output" || { echo "different from what is stated" >&2; exit 1; }
echo "as stated"
