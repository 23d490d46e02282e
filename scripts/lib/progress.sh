# shellcheck shell=bash
# Running what takes long: into a log, with a word on how far it is. Sourced.

: "${program:?}" "${log:?}"

say() { printf '==> %s\n' "$*" >&2; }
warn() { printf '==> warning: %s\n' "$*" >&2; }
# What `fail` said, for a caller's EXIT trap: what, what to do, and the cause where it is `network` or `memory`.
failure=
failure_hint=
failure_cause=
# fail WHAT [WHAT TO DO]...: ends the script.
fail() {
  failure=$1 failure_hint=${*:2}
  { printf '%s: %s\n' "$program" "$1"; (($# < 2)) || printf '  %s\n' "${@:2}"; } >&2
  exit 1
}

# Says once a second on a terminal, else every progress_s, how far the command is that writes the log.
progress_s=30
show_progress() {
  local what=$1 begin=$SECONDS seconds step line before
  before=$(stat -c %s "$log")
  while sleep 1 && kill -0 $$ 2>/dev/null; do
    seconds=$((SECONDS - begin))
    [[ -t 2 ]] || ((seconds % progress_s == 0)) || continue
    step=$(tail -c "+$((before + 1))" "$log" | tail -c 50000 | tr '\r' '\n' | grep -aoE \
      '^ *(\[ *[0-9]+(%|/[0-9]+)\] .*[^:]$|(Collecting|Downloading|Building|Installing|Unpacking|Setting up) [^ ]+.*)' |
      tail -n 1 | sed 's/^ *//; s/^\[ *\([^]]*\)\].*[ /]/[\1] /') || step=
    line=$(printf '    %s %d:%02d  %s' "$what" $((seconds / 60)) $((seconds % 60)) "$step")
    if [[ -t 2 ]]; then printf '\r\e[K%.78s' "$line" >&2; else printf '%.100s\n' "$line" >&2; fi
  done
}

# logged WHAT COMMAND...: runs the command with its output in the log, and says how far it is.
logged() {
  local what=$1 status=0
  shift
  printf '\n### %s\n' "$*" 2>/dev/null >>"$log" || true
  show_progress "$what" 9>&- 8>&- &
  watcher=$!
  "$@" >>"$log" 2>&1 </dev/null || status=$?
  stop_watching
  return "$status"
}

# For the caller's EXIT trap too.
stop_watching() {
  if [[ -n ${watcher-} ]]; then
    kill "$watcher" 2>/dev/null || true
    wait "$watcher" 2>/dev/null || true
    watcher=
    [[ ! -t 2 ]] || printf '\r\e[K' >&2
  fi
}

# Then the log holds nothing of it.
disk_is_full() { (($(df -Pk "$log" 2>/dev/null | awk 'NR == 2 {print $4}') + 0 < 1024)); }

# explain_and_fail WHAT: shows the end of the log, and what it looks like.
explain_and_fail() {
  local hint="the whole log: $log" end
  tail -n 25 "$log" >&2
  end=$(tail -n 200 "$log" | tr -d '\0')
  if grep -qE 'Killed|[Oo]ut of memory|annot allocate memory' <<<"$end"; then
    failure_cause=memory
    hint="the machine ran out of memory. Try again with CMAKE_BUILD_PARALLEL_LEVEL=1, or with more swap"
  elif grep -q 'No space left on device' <<<"$end" || disk_is_full; then
    hint="the disk is full. EdgeAssist takes about 300 MB, and its build 500 MB in ${TMPDIR:-/tmp}, which TMPDIR can put"
    hint+=" elsewhere. Make room, and run the same command again"
  elif grep -q 'DO NOT MATCH THE HASHES' <<<"$end"; then
    hint="the index serves another file than the one in locks/: tell who runs it before you trust it (the log: $log)"
  elif grep -qE 'Could not (find a version|fetch URL|resolve)|Failed to fetch|Connection|Timeout' <<<"$end"; then
    failure_cause=network
    hint="if the network failed, run the same command again once it is back (the log: $log)"
  fi
  fail "$1." "$hint"
}
