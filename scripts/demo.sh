#!/usr/bin/env bash
# Shows EdgeAssist at work, on a machine that has nothing but Python.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
edgeassist=$root/.venv/bin/edgeassist

if [[ ${1-} == --help || ${1-} == -h ]]; then
  cat <<'EOF'
Usage: scripts/demo.sh [OPTIONS OF edgeassist demo]

Makes .venv ready as scripts/setup.sh --soon does and runs `edgeassist demo` from it. The first time, llama.cpp is
compiled in the background meanwhile, and takes over when it is ready.
EOF
  # Without a .venv, a set-up would come before the rest of the help.
  [[ -x $edgeassist ]] || exit 0
  echo
  exec "$edgeassist" demo "$@"
fi

status=0
"$root/scripts/setup.sh" --soon || status=$?
if ((status != 0)); then
  # An older set-up may be whole: after an update of this checkout without a network, for one.
  [[ $status == 1 && ! -e $root/.venv/.unfinished ]] && "$edgeassist" --version >/dev/null 2>&1 || exit "$status"
  echo "==> going on with what is there" >&2
fi
exec "$edgeassist" demo --compiling "$root/build/setup" "$@"
