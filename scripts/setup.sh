#!/usr/bin/env bash
# Makes .venv ready, on a Debian that has nothing but Python. demo.sh and test.sh call it first.
set -euo pipefail

usage() {
  cat <<'EOF'
Usage: scripts/setup.sh [--dev]

Installs the Debian packages that are missing, makes .venv, and installs EdgeAssist
into it (editable) with the llama.cpp backend. The first time compiles llama.cpp:
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

say() { printf '==> %s\n' "$*" >&2; }
fail() { { printf 'setup: %s\n' "$1"; (($# < 2)) || printf '  %s\n' "${@:2}"; } >&2; exit 1; }

# --- Is there anything to do? ---------------------------------------------------------------

fingerprint() {
  { "$venv/bin/python" -VV && echo "$root" && cat "$root/pyproject.toml"; } 2>/dev/null | sha256sum
}

ready() {
  local now part
  [[ ! -e $unfinished ]] && now=$(fingerprint) || return 1
  for part in "${parts[@]}"; do
    [[ $(cat "$venv/.ready-$part" 2>/dev/null) == "$now" ]] || return 1
  done
}

# --- Running what takes long ----------------------------------------------------------------

# Says once a second on a terminal, else every 30 s, how far the command is that writes the log.
show_progress() {
  local what=$1 begin=$SECONDS seconds step line
  while sleep 1 && kill -0 $$ 2>/dev/null; do
    seconds=$((SECONDS - begin))
    [[ -t 2 ]] || ((seconds % 30 == 0)) || continue
    step=$(tail -c 50000 "$log" | tr '\r' '\n' | grep -aoE \
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
  printf '\n### %s\n' "$*" >>"$log"
  show_progress "$what" 9>&- &
  watcher=$!
  "$@" >>"$log" 2>&1 </dev/null || status=$?
  stop_watching
  return "$status"
}

stop_watching() {
  if [[ -n ${watcher-} ]]; then
    kill "$watcher" 2>/dev/null || true
    wait "$watcher" 2>/dev/null || true
    watcher=
    [[ ! -t 2 ]] || printf '\r\e[K' >&2
  fi
}

explain_and_fail() {
  local hint="the whole log: $log" end
  tail -n 25 "$log" >&2
  end=$(tail -n 200 "$log" | tr -d '\0')
  if grep -qE 'Killed|[Oo]ut of memory|annot allocate memory' <<<"$end"; then
    hint="the machine ran out of memory. Try again with CMAKE_BUILD_PARALLEL_LEVEL=1, or with more swap"
  elif grep -q 'No space left on device' <<<"$end"; then
    hint="the disk is full. The build needs about 500 MB in $work (or in TMPDIR, where that is set)"
  elif grep -qE 'Could not (find a version|fetch URL|resolve)|Failed to fetch|Connection|Timeout' <<<"$end"; then
    hint="if the network failed, run the same command again once it is back (the log: $log)"
  fi
  fail "$1." "$hint"
}

cleanup() {
  stop_watching
  [[ -z ${policy-} ]] || "${as_root[@]}" rm -f "$policy"
  rm -rf "$work/tmp"
}

# --- Debian packages ------------------------------------------------------------------------

# Takes the Python of a sound .venv, else the first that can make one, else the first new enough.
find_python() {
  local name check
  local new_enough='import sys; sys.exit(sys.version_info < (3, 11))'
  if sound_venv; then
    python=$venv/bin/python
    return
  fi
  for check in "import ensurepip; $new_enough" "$new_enough"; do
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
      python=$(command -v "$name") && "$python" -c "$check" 2>/dev/null && return
    done
  done
  fail "needs Python 3.11 or newer, which Debian has since 12: apt-get install python3 python3-venv"
}

# Half made, made by another Python, or moved here from another folder: not sound.
sound_venv() {
  [[ ! -e $unfinished ]] && grep -qsF "$venv/bin/" "$venv/bin/pip" &&
    "$venv/bin/python" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

missing_packages() {
  local package version
  for package in mosquitto mosquitto-clients g++ pkgconf libsystemd-dev libgomp1; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || echo "$package"
  done
  version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
  "$python" -c 'import ensurepip' 2>/dev/null || sound_venv || echo "$version-venv"
  "$python" -c 'import pathlib, sysconfig as s; (pathlib.Path(s.get_path("include")) / "Python.h").stat()' \
    2>/dev/null || echo "$version-dev"
}

install_packages() {
  local packages=("$@")
  if ((EUID == 0)); then
    as_root=(env)
  elif sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
  else
    fail "these Debian packages are missing, and only root can install them:" \
      "sudo apt-get update && sudo apt-get install --no-install-recommends ${packages[*]}" \
      "Then run the same command again. (Debian starts a mosquitto service with the package, on port 1883;" \
      "demo and tests do without: sudo systemctl disable --now mosquitto)"
  fi
  say "installing Debian packages: ${packages[*]}"
  # Debian would start the broker right away. An administrator's own policy stays as it is.
  if [[ " ${packages[*]} " == *" mosquitto "* && ! -e /usr/sbin/policy-rc.d ]]; then
    policy=/usr/sbin/policy-rc.d
    # shellcheck disable=SC2016 # the policy's own $*
    printf '#!/bin/sh\ncase "$*" in *mosquitto*) exit 101 ;; esac\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
  fi
  # An unrelated source that fails to update is no reason to stop: the install will tell.
  logged "apt-get update" "${as_root[@]}" apt-get update || true
  logged "apt-get install" "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get install -y \
    --no-install-recommends -o DPkg::Lock::Timeout=300 "${packages[@]}" ||
    explain_and_fail "apt-get could not install ${packages[*]}"
  if [[ -n ${policy-} ]]; then
    "${as_root[@]}" rm -f "$policy"
    policy=
    # Nor may it start at the next boot, unless somebody enables it.
    "${as_root[@]}" systemctl disable mosquitto.service >>"$log" 2>&1 || true
    say "mosquitto is installed; its service is neither started nor enabled"
  fi
}

# --- Python packages ------------------------------------------------------------------------

install_python_packages() {
  local packages=(-e "${root}[llama]") jobs stamp part
  if ! sound_venv; then
    say "making .venv with $("$python" -V)"
    "$python" -m venv --clear "$venv" >>"$log" 2>&1 || explain_and_fail "could not make .venv"
  fi
  rm -f "$venv"/.ready-*
  touch "$unfinished"
  # Now, not at the end: pyproject.toml may change under the build.
  stamp=$(fingerprint)

  jobs=$(nproc)
  # One compiler takes up to 620 MB.
  (($(awk '/^MemTotal/ {print $2}' /proc/meminfo) >= 2000000)) || jobs=1
  export CMAKE_ARGS=${CMAKE_ARGS--DLLAVA_BUILD=OFF}
  export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$jobs}
  # llama.cpp takes it for a wish for a portable, slow build.
  unset SOURCE_DATE_EPOCH
  # /tmp lies in memory on Debian 13, and the build tree is large.
  export TMPDIR=${TMPDIR:-$work/tmp}
  mkdir -p "$TMPDIR"

  if [[ ${parts[*]} == *dev* ]]; then
    packages+=(--group "$root/pyproject.toml:dev")
    # The first pip that knows --group.
    pip_install "updating pip" 'pip>=25.1'
  fi
  say "installing EdgeAssist and its Python packages (compiles llama.cpp unless pip has it in its cache)"
  pip_install "pip install" "${packages[@]}"

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
  explain_and_fail "pip could not install $*"
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
find_python
mapfile -t missing < <(missing_packages)
((${#missing[@]} == 0)) || install_packages "${missing[@]}"
install_python_packages
say "ready after $((SECONDS / 60)) min $((SECONDS % 60)) s"
