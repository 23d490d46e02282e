#!/bin/sh
# Asks and prints the whole answer: one request, one response (MQTT 5).
#
#   ./ask.sh 'Is the kitchen window open?'
#
# Exit status: 0 answered, 2 a wrong request, 69 no broker or model, 75 worth trying again, 1 any other
# error.
set -u
. "$(dirname "$0")/edgeassist.sh"

[ $# -eq 1 ] || { echo "usage: $0 PROMPT" >&2; exit 2; }

event=$(connected mosquitto_rr -q 1 -W "$LIMIT" -t "$ROOT/prompt/$CLIENT" -e "$ROOT/reply/$CLIENT/$ID" \
  -m "$(request "$1" ',"stream":false')")
status=$?
# 27: no response within -W.
[ $status -eq 0 ] || [ $status -eq 27 ] || exit 69

text=$(field text "$event")
[ -z "$text" ] || printf '%s\n' "$text"
finish "$event"
