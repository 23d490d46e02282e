#!/bin/sh
# Cancels a request of this client's, by its id, wherever it is: waiting, being read, or being answered.
#
#   ./cancel.sh 93fd14f0c947
#
# Exit status: 0 cancelled, 1 there was no such request, 2 wrong use, 69 no broker, 75 no answer.
set -u
request=${1-}
. "$(dirname "$0")/edgeassist.sh"

[ $# -eq 1 ] || { echo "usage: $0 ID" >&2; exit 2; }

response=$(connected mosquitto_rr -W 10 -t "$ROOT/command/cancel/$CLIENT" -e "$ROOT/reply/$CLIENT/cancel-$ID" \
  -m "{\"request\":\"$(quoted "$request")\"}")
status=$?
[ $status -eq 0 ] || [ $status -eq 27 ] || exit 69
case $response in
  *'"status":"ok"'*) exit 0 ;;
  *'"status":"error"'*) field message "$response" >&2; echo >&2; exit 1 ;;
esac
echo "no answer within 10 s: is $ROOT/status online, and may $CLIENT cancel?" >&2
exit 75
