#!/bin/sh
# Asks and prints the answer while it comes. Ctrl-C cancels it on the device, too.
#
#   ./stream.sh 'Tell me about tides'
#
# Exit status: 0 answered, 2 a wrong request, 69 no broker or model, 75 worth trying again, 1 cancelled
# or any other error.
set -u
. "$(dirname "$0")/edgeassist.sh"

[ $# -eq 1 ] || { echo "usage: $0 PROMPT" >&2; exit 2; }

folder=$(mktemp -d)
listener=
tidy() {
  [ -z "$listener" ] || kill "$listener" 2>/dev/null
  rm -rf "$folder"
}
cancel() {
  (connected mosquitto_pub -q 1 -t "$ROOT/command/cancel/$CLIENT" -m "$ID")
  exit 1
}
trap tidy EXIT
trap cancel INT TERM

# The subscription comes first (-E: leave once it stands), or the beginning would be missed. The broker keeps it, and
# what comes on it, for a client of this id (-c) that is away for up to two minutes (-x): between these two commands,
# or while the network is.
session() { connected mosquitto_sub -i "$CLIENT-$ID" -c -x 120 -q 1 -t "$ROOT/reply/$CLIENT/$ID" "$@"; }
(session -E -W 10) || exit 69
(connected mosquitto_pub -q 1 -t "$ROOT/prompt/$CLIENT" -m "$(request "$1")") || exit 69

mkfifo "$folder/events"
session -W "$LIMIT" >"$folder/events" &
listener=$!

event=
while IFS= read -r event; do
  case $event in
    *'"type":"chunk"'*) field text "$event" ;;
    *'"type":"done"'* | *'"type":"error"'*) break ;;
  esac
done <"$folder/events"
echo
finish "$event"
