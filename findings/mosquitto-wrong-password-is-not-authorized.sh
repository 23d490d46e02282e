#!/usr/bin/env bash
# Mosquitto never says "bad user name or password" to a client with a wrong password, but "not authorized".
#
# Seen with Mosquitto 2.0.11 (Debian 12) with a password_file, and paho-mqtt 2.2.0.
#
# MQTT 5 has 0x86 (134, "the Server does not accept the User Name or Password") beside 0x87 (135, "not authorized to
# connect"); 3.1.1 has return code 4 beside 5. Whether the password is wrong, the user unknown or both are missing,
# Mosquitto answers 135 to MQTT 5 and 5 to 3.1.1, which paho reports as 135 too.
#
# For us: the code does not tell a typing error in the password from a client that the broker does not want, and a
# message that names the password for 134 only would never be seen. So edgeassist/broker/reasons.py names
# mqtt.username and mqtt.password for both codes, and the access control list too for 135.
set -euo pipefail

seen="\
MQTT 3.1.1: right 0, wrong password 135, unknown user 135, no user name 135
MQTT 5: right 0, wrong password 135, unknown user 135, no user name 135"

PATH=$PATH:/usr/sbin
work=$(mktemp -d)
broker=
trap '[[ -z $broker ]] || kill "$broker" || true; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
timeout 300 "$work/venv/bin/pip" install -q --disable-pip-version-check paho-mqtt==2.2.0
mosquitto -h | sed -n 1p || true  # its help exits with 3
port=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
mosquitto_passwd -b -c "$work/passwords" user right
printf '%s\n' "listener $port 127.0.0.1" "password_file $work/passwords" "user $(id -un)" >"$work/broker.conf"
mosquitto -c "$work/broker.conf" 2>/dev/null &
broker=$!

cat >"$work/clients.py" <<'PYTHON'
import queue, sys, time
from paho.mqtt.client import CallbackAPIVersion, Client, MQTTv5, MQTTv311

def answer(version, user, password):
    """The code of the CONNACK, as paho reports it."""
    codes = queue.Queue()
    client = Client(CallbackAPIVersion.VERSION2, protocol=version, reconnect_on_failure=False)
    client.username_pw_set(user, password)
    client.on_connect = lambda _client, _data, _flags, reason, _properties: codes.put(reason.value)
    for _ in range(100):
        try:
            client.connect("127.0.0.1", int(sys.argv[1]))
            break
        except ConnectionRefusedError:
            time.sleep(0.1)
    client.loop_start()
    code = codes.get(timeout=10)
    client.disconnect()
    client.loop_stop()
    return code

logins = {"right": ("user", "right"), "wrong password": ("user", "wrong"), "unknown user": ("nobody", "right"),
          "no user name": (None, None)}
for name, version in (("MQTT 3.1.1", MQTTv311), ("MQTT 5", MQTTv5)):
    print(f"{name}: " + ", ".join(f"{each} {answer(version, *login)}" for each, login in logins.items()))
PYTHON
timeout 120 "$work/venv/bin/python" "$work/clients.py" "$port" | tee "$work/output"
diff <(echo "$seen") "$work/output" || { echo "different from what is stated" >&2; exit 1; }
echo "as stated"
