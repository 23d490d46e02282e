# shellcheck shell=bash
# Which Python. Sourced after progress.sh.

# find_python: sets `python` to the first that can make a venv, else to the first that is new enough.
find_python() {
  local name check
  local new_enough='import sys; sys.exit(sys.version_info < (3, 11))'
  for check in "import ensurepip; $new_enough" "$new_enough"; do
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
      python=$(command -v "$name") && "$python" -c "$check" 2>/dev/null && return
    done
  done
  fail "needs Python 3.11 or newer, which Debian has since 12: apt-get install python3 python3-venv"
}
