#!/usr/bin/env bash
# Runs every check: ruff, mypy, pytest with branch coverage. All of them run, whichever fails.
set -euo pipefail

if [[ ${1-} == --help || ${1-} == -h ]]; then
  cat <<'EOF'
Usage: scripts/test.sh [OPTIONS AND FILES FOR pytest]

Makes .venv ready (see scripts/setup.sh --help), then runs the linters and the tests.
Ends with pytest's closing line; exits non-zero when any of the checks failed.
EOF
  exit
fi

cd "$(dirname "${BASH_SOURCE[0]}")/.."
./scripts/setup.sh --dev

failed=()
check() {
  printf '==> %s\n' "$*"
  .venv/bin/python -m "$@" || failed+=("$*")
}

check ruff check
check ruff format --check
check mypy
for name in "${failed[@]}"; do printf '==> FAILED: %s (pytest follows)\n' "$name"; done
check pytest --cov --cov-branch "$@"
((${#failed[@]} == 0))
