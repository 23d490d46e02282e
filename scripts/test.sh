#!/usr/bin/env bash
# Runs the checks: ruff, mypy, pytest with branch coverage. All of them run, whichever fails.
set -euo pipefail

if [[ ${1-} == --help || ${1-} == -h ]]; then
  cat <<'EOF'
Usage: scripts/test.sh [--fast] [OPTIONS AND FILES FOR pytest]

Makes .venv ready (see scripts/setup.sh --help), then runs the linters and the tests.
While llama.cpp is being compiled, the unit tests that do without it run first, by
themselves; otherwise all tests are one run. Ends with the closing line of the last
run of pytest; exits non-zero when any of the checks failed.

  --fast    linters, types and unit tests only, without coverage: under a minute on
            two quiet cores
  --help    this text

Tests run side by side, one for each core. For a debugger, add -n 0
EOF
  exit
fi

# tests/distribution.py says what stays together.
tests=(--cov --cov-branch -n "$(nproc)" --dist loadscope --no-loadscope-reorder)
first=(--cov-report=) then=(--cov-append)
if [[ ${1-} == --fast ]]; then
  tests=(-o testpaths=tests/unit -n auto --dist worksteal) first=() then=()
  shift
fi

cd "$(dirname "${BASH_SOURCE[0]}")/.."
./scripts/setup.sh --dev --soon

failed=()
check() {
  printf '==> %s\n' "$*"
  .venv/bin/python -m "$@" || failed+=("$*")
}

# Put in place both, or neither yet.
compiled() { .venv/bin/python -c 'import llama_cpp, systemd' 2>/dev/null; }

check ruff check
check ruff format --check
check mypy
rest=()
# What somebody has chosen is one run: it may be a single file.
if (($# == 0)) && ! compiled; then
  check pytest "${tests[@]}" "${first[@]}" -m wheels tests/unit
  rest=("${then[@]}" -m "not wheels")
fi
./scripts/setup.sh --dev || failed+=("llama.cpp, which many tests need")
for name in "${failed[@]}"; do printf '==> FAILED: %s (pytest follows)\n' "$name"; done
check pytest "${tests[@]}" "${rest[@]}" "$@"
((${#failed[@]} == 0))
