#!/usr/bin/env bash
# Makes this machine an appliance: EdgeAssist as a service. Runs again without harm; an upgrade that fails
# leaves what ran before.
set -euo pipefail
umask 022

usage() {
  cat <<'END'
Usage: sudo scripts/install.sh [OPTIONS]

Installs EdgeAssist as a service on Debian 12 or 13 (Raspberry Pi OS): Debian packages, the system user
edgeassist, a release under /opt/edgeassist with the Python packages of locks/, settings in /etc/edgeassist, state and
models in /var/lib/edgeassist, the unit edgeassist.service, and the command /usr/local/bin/edgeassist. Run again it
changes what differs, and nothing else.

The service answers within minutes, with ONNX Runtime GenAI. llama.cpp, which is faster and reads GGUF files, is
compiled for this very CPU meanwhile, by the unit edgeassist-llama at the lowest priority, and taken over when nobody
waits for an answer.

What is installed
  --model PATH         a GGUF file or an ONNX folder: copied to /var/lib/edgeassist/models, and named in the
                       settings where nobody has changed those
  --with-broker        Mosquitto on this machine, with passwords, and clients kept apart
  --broker-port PORT   where it listens (default 1883)
  --with-onnx          with --wheelhouse: ONNX Runtime GenAI as well; else it is always installed
  --wheelhouse DIR     take all Python packages from a folder that scripts/wheelhouse.sh has filled: no
                       compiler, and no network

What is done instead, or how
  --wait               compile llama.cpp before the service starts, and end when it is in use
  --upgrade            make a new release even if nothing has changed here: for other CMAKE_ARGS, or a repair
  --add-client NAME    only add an account to the broker of --with-broker, and print its password
  --uninstall          remove the service, and say what stays
  --purge              remove settings, state, models, accounts and the user too
  --no-start           lay all files and start nothing: for images and chroots
  --ready-timeout S    how long a started service may take to get ready (default 300 seconds)
  --dry-run            print every step that would change something, and change nothing
  --second-stage       compile llama.cpp and switch to it: what the unit edgeassist-llama runs
  --help               this text

Settings of pip (pip.conf, PIP_*), CMAKE_ARGS and CMAKE_BUILD_PARALLEL_LEVEL are respected.
docs/installation.md tells more; the log of an installation is /var/log/edgeassist-install.log.
END
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
program=install
PATH=/usr/local/sbin:/usr/sbin:/sbin:$PATH

mode=install
model='' wheelhouse='' broker_port='' client='' ready_s=300
with_broker=false with_onnx=false wait=false upgrade=false no_start=false dry_run=false purge=false
# Something that a running service only reads at its start has changed.
restart_needed=false

usage_error() { printf 'install: %s\n\n' "$1" >&2; usage >&2; exit 2; }

parse() {
  while (($#)); do
    case $1 in
      --model | --wheelhouse | --broker-port | --add-client | --ready-timeout)
        [[ -n ${2-} ]] || usage_error "$1 needs a value"
        case $1 in
          --model) model=$2 ;;
          --wheelhouse) wheelhouse=$2 ;;
          --broker-port) broker_port=$2 ;;
          --add-client) mode=add-client client=$2 ;;
          --ready-timeout) ready_s=$2 ;;
        esac
        shift
        ;;
      --with-broker) with_broker=true ;;
      --with-onnx) with_onnx=true ;;
      --wait) wait=true ;;
      --upgrade) upgrade=true ;;
      --no-start) no_start=true ;;
      --dry-run) dry_run=true ;;
      --uninstall) mode=uninstall ;;
      --second-stage) mode=second-stage ;;
      --purge) mode=uninstall purge=true ;;
      --help | -h) usage; exit ;;
      *) usage_error "unknown option $1" ;;
    esac
    shift
  done
  [[ -z $broker_port || $broker_port =~ ^[1-9][0-9]{0,4}$ ]] || usage_error "--broker-port $broker_port is no port"
  ((${broker_port:-1} <= 65535)) || usage_error "--broker-port $broker_port is no port"
  [[ $ready_s =~ ^[0-9]{1,5}$ ]] || usage_error "--ready-timeout $ready_s is no number of seconds"
}

parse "$@"
log=/var/log/edgeassist-install.log
[[ $dry_run == false && $EUID == 0 && $mode != uninstall ]] || log=/dev/null
lib=$root/scripts/lib
# shellcheck source=scripts/lib/progress.sh
source "$lib/progress.sh"
# shellcheck source=scripts/lib/packages.sh
source "$lib/packages.sh"
# shellcheck source=scripts/lib/lock.sh
source "$lib/lock.sh"
# shellcheck source=scripts/lib/llama.sh
source "$lib/llama.sh"
# shellcheck source=scripts/lib/machine.sh
source "$lib/machine.sh"
# shellcheck source=scripts/lib/settings.sh
source "$lib/settings.sh"
# shellcheck source=scripts/lib/mosquitto.sh
source "$lib/mosquitto.sh"
# shellcheck source=scripts/lib/release.sh
source "$lib/release.sh"
# shellcheck source=scripts/lib/service.sh
source "$lib/service.sh"
# shellcheck source=scripts/lib/follow.sh
source "$lib/follow.sh"

# step WHAT COMMAND...: carries out one change. With --dry-run it only says so.
step() {
  if $dry_run; then printf 'would %s\n' "$1"; else say "$1"; "${@:2}"; fi
}

cleanup() {
  stop_watching
  switch_back
  remove_policy
  forget_unfinished
  resume_following
  [[ -z ${build-} ]] || rm -rf "$build"
}

begin() {
  $dry_run && return
  ((EUID == 0)) || fail "only root can do this: sudo $0 $*"
  take_lock 10
  trap cleanup EXIT
  trap 'stop_watching; say "interrupted"; exit 130' INT
  trap 'exit 143' TERM HUP
  { echo; date; echo "$0 $*"; } >>"$log"
}

# take_lock SECONDS: one installation at a time; the second stage takes it only for its switch.
take_lock() {
  exec 9>/run/edgeassist-install.lock
  flock -w "$1" 9 || fail "another installation is running"
}

install_everything() {
  check_machine
  check_options
  decide_stages
  check_room
  stop_following
  begin_packages
  make_user
  make_folders
  if $with_broker; then set_up_broker; fi
  if [[ -n $model ]]; then place_model; fi
  lay_settings
  make_release
  lay_unit_and_start
  settle_following
  farewell
}

case $mode in
  install) begin "$@"; install_everything ;;
  add-client) begin "$@"; add_client "$client" ;;
  uninstall) begin "$@"; uninstall ;;
  second-stage) second_stage ;;
esac
