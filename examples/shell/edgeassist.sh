# Settings and functions of ask.sh, stream.sh and cancel.sh, which read this file. Change what is on top.
# shellcheck shell=sh disable=SC2034

BROKER=localhost
PORT=1883
DEVICE=pi        # the daemon's device.name
CLIENT=shell     # this client's name; at a broker with passwords, its account
PASSWORD=        # empty: no account
LIMIT=60         # seconds from the question to the end of the answer

ROOT=edgeassist/$DEVICE
# An id of this request's own. After a lost answer, ask again with the same id and prompt (ID=… ./ask.sh '…'): the
# device sends the answer that it has, and does not work twice.
ID=${ID:-$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')}

# connected PROGRAM …: becomes one of Mosquitto's clients, with broker and account. Call it in (…), in $(…) or with &,
# where $! is then the client's own.
connected() {
  program=$1
  shift
  [ -z "$PASSWORD" ] || set -- -u "$CLIENT" -P "$PASSWORD" "$@"
  exec "$program" -V 5 -h "$BROKER" -p "$PORT" "$@"
}

# quoted TEXT: as the inside of a JSON string; control characters become spaces. Small systems have no jq.
quoted() {
  printf '%s' "$1" | tr '\001-\011\013-\037' ' ' | sed 's/\\/\\\\/g; s/"/\\"/g' |
    awk '{ printf "%s%s", (NR > 1 ? "\\n" : ""), $0 }'
}

# field NAME EVENT: a text of the event. No other key is taken for it: quotes within texts have a backslash.
# \001 stands for a backslash meanwhile.
field() {
  printf '%s\n' "$2" | sed -nE 's/.*"'"$1"'":"(([^"\\]|\\.)*)".*/\1/p' |
    awk '{ gsub(/\\\\/, "\001"); gsub(/\\"/, "\""); gsub(/\\n/, "\n"); gsub(/\\t/, "\t"); gsub(/\\[rbf]/, "")
           gsub(/\001/, "\\"); printf "%s", $0 }'
}

# request PROMPT MORE: the JSON to publish. The device gives up a second before we do: it never works for nobody.
request() {
  printf '{"id":"%s","prompt":"%s","timeout_s":%d%s}' "$ID" "$(quoted "$1")" $((LIMIT - 1)) "${2-}"
}

# finish EVENT: ends the program as the request ended. The statuses are those of `edgeassist ask`.
finish() {
  case $1 in
    *'"type":"done"'*) exit 0 ;;
    *'"type":"error"'*)
      code=$(field code "$1")
      echo "$code: $(field message "$1")" >&2
      case $code in
        invalid_request | too_large | context_overflow | unsupported) exit 2 ;;
        model_unavailable) exit 69 ;;
      esac
      case $1 in
        *'"retryable":true'*) exit 75 ;;
        *) exit 1 ;;
      esac ;;
  esac
  echo "no answer within $LIMIT s. Is $ROOT/status online? To ask again: ID=$ID $0 …" >&2
  exit 75
}
