#!/usr/bin/env bash
# Runs the checks: ruff, mypy, pytest with branch coverage. All of them run, whichever fails.
set -euo pipefail

if [[ ${1-} == --help || ${1-} == -h ]]; then
  cat <<'EOF'
Usage: scripts/test.sh [--fast] [OPTIONS AND FILES FOR pytest]

Makes .venv ready (see scripts/setup.sh --help), then runs the linters and the tests.
Ends with pytest's closing line; exits non-zero when any of the checks failed.

  --fast    linters, types and unit tests only, without coverage: under a minute on
            two quiet cores
  --help    this text

Tests run side by side, two for each core. For a debugger, add -n 0
EOF
  exit
fi

# Most tests wait for other processes: two for each core keep it busy. tests/distribution.py says what stays together.
tests=(--cov --cov-branch -n "$((2 * $(nproc)))" --dist loadscope --no-loadscope-reorder)
if [[ ${1-} == --fast ]]; then
  tests=(-o testpaths=tests/unit -n auto --dist worksteal)
  shift
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
check pytest "${tests[@]}" "$@"
((${#failed[@]} == 0))
