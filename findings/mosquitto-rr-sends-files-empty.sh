#!/usr/bin/env bash
# Mosquitto: mosquitto_rr sends a request with -f FILE or -s (standard input) without its payload, and says nothing.
#
# Seen with Mosquitto's clients 2.0.11 (Debian 12).
#
# mosquitto_rr asks by MQTT 5's Response Topic and waits for the answer. Its manual and help name -m, -f and -s for what
# is sent, as those of mosquitto_pub do. With -m the text arrives. With -f and -s the file or the input is taken without
# an error, and a message of no bytes goes out. mosquitto_pub sends the same file and the same input whole.
#
# For us: a request in a file reaches the device as an empty prompt, which it refuses, and the person looks for the fault
# in the file. The examples in docs/ and examples/shell give mosquitto_rr its requests with -m, and docs/compatibility.md
# says why.
set -euo pipefail

seen="\
mosquitto_rr -m: 7 bytes
mosquitto_rr -f: 0 bytes
mosquitto_rr -s: 0 bytes
mosquitto_pub -f: 7 bytes
mosquitto_pub -s: 7 bytes"

PATH=$PATH:/usr/sbin
work=$(mktemp -d)
broker=
subscriber=
stop() { for each in $subscriber $broker; do kill "$each" && wait "$each" || true; done; }
trap 'stop; rm -rf "$work"' EXIT
mosquitto -h | sed -n 1p || true  # its help exits with 3
port=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
printf '%s\n' "listener $port 127.0.0.1" "allow_anonymous true" >"$work/broker.conf"
mosquitto -c "$work/broker.conf" 2>/dev/null &
broker=$!
# Retained, so that whoever subscribes knows that the broker is there.
timeout 20 bash -c "until mosquitto_pub -p $port -t up -r -m yes 2>/dev/null; do sleep 0.1; done"
mosquitto_sub -p "$port" -t up -t asked -F '%t %l' >"$work/arrived" &
subscriber=$!
timeout 20 bash -c "until grep -q up '$work/arrived'; do sleep 0.1; done"

printf 'seconds' >"$work/request"
ask() { mosquitto_rr -p "$port" -t asked -e answer -W 1 "$@" >/dev/null 2>&1 || true; }  # nobody answers
tell() { mosquitto_pub -p "$port" -t asked "$@"; }
ask -m seconds
ask -f "$work/request"
ask -s <"$work/request"
tell -f "$work/request"
tell -s <"$work/request"
timeout 20 bash -c "until [[ \$(grep -c asked '$work/arrived') == 5 ]]; do sleep 0.1; done"
paste -d' ' <(printf '%s\n' 'mosquitto_rr '-{m,f,s}: 'mosquitto_pub '-{f,s}:) \
  <(sed -n 's/^asked \(.*\)/\1 bytes/p' "$work/arrived") >"$work/output"
cat "$work/output"
diff <(echo "$seen") "$work/output" || { echo "different from what is stated" >&2; exit 1; }
echo "as stated"
