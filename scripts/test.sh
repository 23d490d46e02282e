#!/usr/bin/env bash
# Runs the checks: ruff, mypy, pytest. All of them run, whichever fails.
set -euo pipefail

if [[ ${1-} == --help || ${1-} == -h ]]; then
  cat <<'EOF'
Usage: scripts/test.sh [--fast | --coverage] [OPTIONS AND FILES FOR pytest]

Makes .venv ready (see scripts/setup.sh --help), then runs the linters and the tests.
While llama.cpp is being compiled, the unit tests that do without it run first, by
themselves; otherwise all tests are one run. Ends with the closing line of the last
run of pytest; exits non-zero when any of the checks failed.

  --fast        linters, types and unit tests only: about a minute on two quiet cores
  --coverage    also tell which branches were taken, in every process that a test
                starts: half as much again of processor time
  --help        this text

Tests run side by side, two for each core: most wait for other processes. For a
debugger, add -n 0
EOF
  exit
fi

# tests/distribution.py says what stays together.
tests=(-n "$(($(nproc) * 2))" --dist loadscope --no-loadscope-reorder) first=() then=()
case ${1-} in
  --fast)
    tests=(-o testpaths=tests/unit -n auto --dist worksteal)
    shift
    ;;
  --coverage)
    tests+=(--cov --cov-branch) first=(--cov-report=) then=(--cov-append)
    shift
    ;;
esac

# Tests start hundreds of programs: what these import is compiled once.
unset PYTHONDONTWRITEBYTECODE

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
