#!/usr/bin/env bash
# Shows EdgeAssist at work, on a machine that has nothing but Python.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

if [[ ${1-} == --help || ${1-} == -h ]]; then
  cat <<'EOF'
Usage: scripts/demo.sh [OPTIONS OF edgeassist demo]

Makes .venv ready (see scripts/setup.sh --help) and runs `edgeassist demo` from it.
EOF
  # Without a .venv, five minutes of compiling would come before the rest of the help.
  [[ -x $root/.venv/bin/edgeassist ]] || exit 0
  echo
else
  "$root/scripts/setup.sh"
fi
exec "$root/.venv/bin/edgeassist" demo "$@"
