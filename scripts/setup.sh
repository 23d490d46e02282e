#!/usr/bin/env bash
# Makes .venv ready, on a Debian that has nothing but Python. demo.sh and test.sh call it first.
set -euo pipefail

usage() {
  cat <<'EOF'
Usage: scripts/setup.sh [--dev] [--soon]

Installs the Debian packages that are missing, makes .venv, and installs EdgeAssist
into it (editable) with both backends, and Python packages in just the versions of
locks/ (see scripts/lock.sh --help): first what needs no compiler, within a minute
or so, which is enough to answer through ONNX Runtime GenAI; then llama.cpp, which
is compiled: 2 to 4 minutes on a PC, longer on a Raspberry Pi. Later runs end at once.

  --dev     also what the tests and linters need
  --soon    return after the first part, and leave the second to a process in the
            background, which takes what nobody else wants of processors and disk.
            Its log is build/setup/llama.log; kill "$(cat build/setup/llama.pid)"
            ends it, and the next run goes on
  --help    this text

uv does the downloads where it is on the PATH, else pip. Settings of pip (pip.conf,
PIP_*), CMAKE_ARGS and CMAKE_BUILD_PARALLEL_LEVEL are respected.
EOF
}

parts=(run) mode=whole
for option in "$@"; do
  case $option in
    --dev) parts=(run dev) ;;
    --soon) mode=soon ;;
    # The background process of --soon.
    --compile) mode=compile ;;
    --help | -h) usage; exit ;;
    *) usage >&2; exit 2 ;;
  esac
done

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=$root/.venv
work=$root/build/setup
log=$work/log
PATH=$PATH:/usr/sbin:/sbin

program=setup
# shellcheck source=scripts/lib/progress.sh
source "$root/scripts/lib/progress.sh"
# shellcheck source=scripts/lib/packages.sh
source "$root/scripts/lib/packages.sh"
# shellcheck source=scripts/lib/python.sh
source "$root/scripts/lib/python.sh"
# shellcheck source=scripts/lib/lock.sh
source "$root/scripts/lib/lock.sh"
# shellcheck source=scripts/lib/llama.sh
source "$root/scripts/lib/llama.sh"
# shellcheck source=scripts/lib/venv.sh
source "$root/scripts/lib/venv.sh"
# shellcheck source=scripts/lib/compiled.sh
source "$root/scripts/lib/compiled.sh"

cleanup() {
  stop_watching
  remove_policy
  forget_compiler
}

forget_compiler() { [[ $(cat "$work/llama.pid" 2>/dev/null) != "$$" ]] || rm -f "$work/llama.pid"; }

# It may be somebody else's, or root's since a run with sudo.
check_place() {
  local said
  said=$({ mkdir -p "$work" && : >>"$work/lock"; } 2>&1) ||
    fail "this checkout can't be written to by $(id -un), and the set-up puts all it makes there:" "${said##*: line *: }" \
      "Use a copy of your own, or: sudo chown -R $(id -un) $(printf %q "$root")"
}

# --- Debian packages ------------------------------------------------------------------------

version_of_python() { "$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])'; }

missing_for_wheels() {
  missing_of mosquitto mosquitto-clients
  # Some tests run code that is confined.
  [[ " ${parts[*]} " != *" dev "* ]] || missing_of bubblewrap
  "$python" -c 'import ensurepip' 2>/dev/null || sound_venv || echo "$(version_of_python)-venv"
}

missing_for_compiler() {
  missing_of g++ pkgconf libsystemd-dev libgomp1
  "$python" -c 'import pathlib, sysconfig as s; (pathlib.Path(s.get_path("include")) / "Python.h").stat()' \
    2>/dev/null || echo "$(version_of_python)-dev"
}

has_root() { ((EUID == 0)) || sudo -n true 2>/dev/null; }
# Root's rights that a process without a terminal has too, and later.
lasting_root() { ((EUID == 0)) || sudo -k -n true 2>/dev/null; }

install_debian_packages() {
  local wanted compiler=()
  remove_left_policy
  mapfile -t wanted < <(missing_for_wheels)
  llama_ready || mapfile -t compiler < <(missing_for_compiler)
  # Who has to ask somebody else asks once.
  ((${#wanted[@]} == 0)) || find_root "${wanted[@]}" "${compiler[@]}"
  ((${#wanted[@]} == 0)) || install_packages "${wanted[@]}"
  [[ " ${wanted[*]} " != *" mosquitto "* ]] ||
    say "mosquitto is installed; its service is neither started nor enabled"
  # Nobody may be there to install the rest later. Without it the first part works all the same.
  if ((${#compiler[@]} > 0)) && has_root && ! lasting_root; then
    find_root "${compiler[@]}"
    (install_packages "${compiler[@]}") || say "going on without a compiler"
  fi
  install_browser
}

# For the tests of the console. It is 350 MB with what it needs, and not everywhere a package; without it they are skipped.
install_browser() {
  [[ " ${parts[*]} " == *" dev "* && -n $(missing_of chromium) ]] && has_root || return 0
  find_root chromium
  (install_packages chromium) || say "going on without Chromium: the console's tests are skipped"
}

# --- First: what comes as wheels ------------------------------------------------------------

make_first() {
  if first_ready; then return; fi
  exec 9>"$work/lock"
  flock -n 9 || { say "waiting for another set-up to end"; lock_packages; }
  if ! first_ready; then
    : >"$log"
    if sound_venv; then python=$venv/bin/python; else find_python; fi
    install_debian_packages
    install_wheels
    say "EdgeAssist is installed, after $SECONDS s"
  fi
  # Who compiles waits for it in the end, and would wait for us.
  exec 9>&-
}

# --- Then: what has to be compiled ----------------------------------------------------------

compile_here() {
  exec 8>"$work/llama.lock"
  if ! flock -n 8; then
    say "llama.cpp is being compiled by process $(cat "$work/llama.pid" 2>/dev/null), which writes $work/llama.log: waiting for it"
    wait_for_compiler
  fi
  if llama_ready; then return; fi
  refuse_compiling fail
  echo $$ >"$work/llama.pid"
  compile
}

# A Raspberry Pi 4 that has other work too.
most_wait_s=10800

# A line now and then shows that it goes on.
wait_for_compiler() {
  local begin=$SECONDS waited
  # Now somebody wants it. What it may not be told (by another user, in a container) it goes on without.
  { echo 0 >"/proc/$(cat "$work/llama.pid")/autogroup"; } 2>/dev/null || true
  until flock -w 30 8; do
    waited=$((SECONDS - begin))
    ((waited < most_wait_s)) || fail "llama.cpp is not ready after $((waited / 60)) minutes: $work/llama.log"
    say "waiting for llama.cpp since $((waited / 60)):$(printf %02d $((waited % 60)))$(how_far)"
  done
}

how_far() {
  local step
  step=$(tail -c 50000 "$work/llama.log" 2>/dev/null | grep -aoE '^ *\[ *[0-9]+/[0-9]+\]' | tail -n 1 | tr -d ' ') || return 0
  echo ", $step"
}

compile_in_background() {
  exec 8>"$work/llama.lock"
  if flock -n 8; then
    if llama_ready || ! refuse_compiling say; then return; fi
    # It inherits the lock, so that nobody finds it free in between. In a session of its own, neither Ctrl-C nor the
    # end of the terminal reaches it.
    : >"$work/llama.log"
    setsid "$root/scripts/setup.sh" --compile </dev/null >>"$work/llama.log" 2>&1 &
    echo $! >"$work/llama.pid"
  fi
  exec 8>&-
  say "llama.cpp is compiled in the background, at low priority: $work/llama.log"
}

compile_in_session() {
  local worker status=0
  log=$work/llama.log
  be_gentle
  # Somebody may start it by hand.
  { : >&8; } 2>/dev/null || exec 8>"$work/llama.lock"
  flock -n 8 || fail "llama.cpp is being compiled already"
  # The signal reaches the compilers at once, not when the one that runs is done.
  trap 'trap "" TERM; say "ended by a signal; the next run goes on"; kill -- -$$; wait; forget_compiler; exit 143' TERM
  (trap cleanup EXIT; compile) &
  worker=$!
  wait "$worker" || status=$?
  forget_compiler
  return "$status"
}

# --------------------------------------------------------------------------------------------

if [[ $mode != compile ]] && first_ready && llama_ready; then exit; fi
check_place
if [[ $mode == compile ]]; then
  compile_in_session
  exit
fi

trap cleanup EXIT
trap 'stop_watching; say "interrupted; the next run goes on"; exit 130' INT
trap 'exit 143' TERM
make_first
if llama_ready; then exit; fi
if [[ $mode == soon ]]; then
  compile_in_background
else
  compile_here
  say "ready after $((SECONDS / 60)) min $((SECONDS % 60)) s"
fi
