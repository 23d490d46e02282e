#!/usr/bin/env bash
# Makes .venv ready, on a Debian that has nothing but Python. demo.sh and test.sh call it first.
set -euo pipefail

usage() {
  cat <<'EOF'
Usage: scripts/setup.sh [--dev]

Installs the Debian packages that are missing, makes .venv, and installs EdgeAssist
into it (editable) with the llama.cpp backend, and Python packages in just the
versions of locks/ (see scripts/lock.sh --help). The first time compiles llama.cpp:
4 to 7 minutes on a PC, longer on a Raspberry Pi. Later runs end at once.

  --dev     also what the tests and linters need
  --help    this text

Settings of pip (pip.conf, PIP_*), CMAKE_ARGS and CMAKE_BUILD_PARALLEL_LEVEL are respected.
EOF
}

parts=(run)
case "${1-}" in
  "") ;;
  --dev) parts=(run dev) ;;
  --help | -h) usage; exit ;;
  *) usage >&2; exit 2 ;;
esac

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=$root/.venv
work=$root/build/setup
log=$work/log
unfinished=$venv/.unfinished
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

# --- Is there anything to do? ---------------------------------------------------------------

fingerprint() {
  { "$venv/bin/python" -VV && echo "$root" && cat "$root/pyproject.toml" "$locks"/*.txt; } 2>/dev/null | sha256sum
}

ready() {
  local now part
  [[ ! -e $unfinished ]] && now=$(fingerprint) || return 1
  for part in "${parts[@]}"; do
    [[ $(cat "$venv/.ready-$part" 2>/dev/null) == "$now" ]] || return 1
  done
}

cleanup() {
  stop_watching
  remove_policy
  rm -rf "$work/tmp"
}

# --- Debian packages ------------------------------------------------------------------------

# Half made, made by another Python, or moved here from another folder: not sound.
sound_venv() {
  [[ ! -e $unfinished ]] && grep -qsF "$venv/bin/" "$venv/bin/pip" &&
    "$venv/bin/python" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

missing_packages() {
  local version
  missing_of mosquitto mosquitto-clients g++ pkgconf libsystemd-dev libgomp1
  version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
  "$python" -c 'import ensurepip' 2>/dev/null || sound_venv || echo "$version-venv"
  "$python" -c 'import pathlib, sysconfig as s; (pathlib.Path(s.get_path("include")) / "Python.h").stat()' \
    2>/dev/null || echo "$version-dev"
}

# --- Python packages ------------------------------------------------------------------------

install_python_packages() {
  local lock stamp part
  if ! sound_venv; then
    say "making .venv with $("$python" -V)"
    "$python" -m venv --clear "$venv" >>"$log" 2>&1 || explain_and_fail "could not make .venv"
  fi
  rm -f "$venv"/.ready-*
  touch "$unfinished"
  # Now, not at the end: these files may change under the build.
  stamp=$(fingerprint)

  prepare_build "$work/tmp"

  lock=$(lock_of llama)
  [[ ${parts[*]} != *dev* ]] || lock=$(lock_of dev)
  pip_install "updating pip" --require-hashes -r "$locks/pip.txt"
  say "installing EdgeAssist and its Python packages (compiles llama.cpp unless pip has it in its cache)"
  pip_install "pip install" --require-hashes --build-constraint "$locks/build.txt" -r "$lock"
  # No file of this checkout has a hash, so it goes by itself.
  pip_install "EdgeAssist" --no-deps --build-constraint "$locks/build.txt" -e "$root"

  for part in "${parts[@]}"; do echo "$stamp" >"$venv/.ready-$part"; done
  rm -f "$unfinished"
}

pip_install() {
  local what=$1 status=0
  shift
  logged "$what" "$venv/bin/python" -m pip install -v "$@" || status=$?
  ((status != 0)) || return 0
  # pip tidies up after its own failures, not after a signal: then .venv is made anew the next time.
  ((status > 128)) || rm -f "$unfinished"
  explain_and_fail "pip could not install ${*: -1}"
}

# --------------------------------------------------------------------------------------------

if ready; then exit; fi

trap cleanup EXIT
trap 'say "interrupted; the next run starts afresh"; exit 130' INT
trap 'exit 143' TERM
mkdir -p "$work"
exec 9>"$work/lock"
flock -n 9 || { say "waiting for another set-up to end"; flock 9; }
if ready; then exit; fi

: >"$log"
rm -rf "$work/tmp"
if sound_venv; then python=$venv/bin/python; else find_python; fi
mapfile -t missing < <(missing_packages)
if ((${#missing[@]} > 0)); then
  find_root "${missing[@]}"
  install_packages "${missing[@]}"
  [[ " ${missing[*]} " != *" mosquitto "* ]] || say "mosquitto is installed; its service is neither started nor enabled"
fi
install_python_packages
say "ready after $((SECONDS / 60)) min $((SECONDS % 60)) s"
