#!/usr/bin/env bash
# mqtt.js sends what the broker has said that it won't take, loses the connection for it, and tells nobody why.
#
# Seen with mqtt.js 5.16.0 on Node.js 20 and Mosquitto 2.0.11 (Debian 12), max_packet_size 1000.
#
# With MQTT 5, Mosquitto announces the limit in CONNACK (Maximum Packet Size), and a client must not send a longer
# packet (MQTT 5, 3.2.2.3.6). mqtt.js shows the property to who looks at CONNACK, and goes by its own
# `maximumPacketSize` for what it receives; what it sends is not measured. A message of 2,000 bytes at QoS 1 goes out,
# Mosquitto ends the connection, and
# - the callback of `publish` is not called: it waits for a PUBACK,
# - mqtt.js connects again and sends the message again, which ends this connection too, and so on: seen three times,
# - a short message that is published behind it does not arrive either, as long as that goes on.
#
# For us: the console measures what it sends (`connection.js`), and says that a prompt is too long.
set -euo pipefail

seen="\
announced: 1000
connections ended: 3 of 3
the long one: no callback
the short one: not delivered"

PATH=$PATH:/usr/sbin
work=$(mktemp -d)
broker=
trap '[[ -z $broker ]] || kill "$broker" || true; rm -rf "$work"' EXIT
mosquitto -h | sed -n 1p || true  # its help exits with 3
echo "Node.js $(node --version)"
(cd "$work" && timeout 300 npm install --silent --no-audit --no-fund mqtt@5.16.0 >/dev/null)
port=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
printf '%s\n' "listener $port 127.0.0.1" "allow_anonymous true" "max_packet_size 1000" >"$work/broker.conf"
mosquitto -c "$work/broker.conf" 2>/dev/null &
broker=$!

cat >"$work/client.mjs" <<'JS'
import mqtt from "mqtt";

const url = `mqtt://127.0.0.1:${process.argv[2]}`;
const ends = 3;
const options = { protocolVersion: 5, reconnectPeriod: 200, connectTimeout: 10000 };
let announced, ended = 0, called = "no callback", delivered = "not delivered";

const watcher = await mqtt.connectAsync(url, options);
await watcher.subscribeAsync("a", { qos: 1 });
watcher.on("message", (_topic, payload) => {
  if (payload.toString() === "short") delivered = "delivered";
});
const publisher = mqtt.connect(url, { ...options, clientId: "publisher" });
publisher.on("connect", (packet) => (announced ??= packet.properties?.maximumPacketSize));
publisher.on("error", () => {});
await new Promise((resolve) => publisher.once("connect", resolve));
publisher.publish("a", "x".repeat(2000), { qos: 1 }, (error) => (called = `callback: ${error ?? "success"}`));
publisher.publish("a", "short", { qos: 1 });
await new Promise((resolve) => {
  publisher.on("close", () => {
    ended += 1;
    if (ended === ends) resolve();
  });
});
console.log(`announced: ${announced}`);
console.log(`connections ended: ${ended} of ${ends}`);
console.log(`the long one: ${called}`);
console.log(`the short one: ${delivered}`);
publisher.end(true);
watcher.end(true);
JS
timeout 60 node "$work/client.mjs" "$port" | tee "$work/output"
diff <(echo "$seen") "$work/output" || { echo "different from what is stated" >&2; exit 1; }
echo "as stated"
