#!/usr/bin/env bash
# Runs the checks: ruff, mypy, pytest. All of them run, whichever fails.
set -euo pipefail

if [[ ${1-} == --help || ${1-} == -h ]]; then
  cat <<'EOF'
Usage: scripts/test.sh [--fast | --coverage] [OPTIONS AND FILES FOR pytest]

Makes .venv ready (see scripts/setup.sh --help), then runs the linters and the tests;
mypy runs beside these. While llama.cpp is being compiled, the unit tests that do without
it run first, by themselves; otherwise all tests are one run. Ends with the closing line
of the last run of pytest, or with which checks have failed, and exits non-zero then.

  --fast        linters, types and unit tests only: less than a minute on two quiet cores
  --coverage    also tell which branches were taken, in every process that a test
                starts: half as much again of processor time
  --help        this text

Tests run side by side, three for each core where memory allows: most wait for other
processes. For a debugger, add -n 0
EOF
  exit
fi

# Three for each core, as far as there is a gigabyte for each: itself, and what its tests start.
processes() {
  local most=$(($(nproc) * 3)) room
  room=$(awk '/^MemAvailable/ {print int($2 / 1048576)}' /proc/meminfo)
  echo $((room < 1 ? 1 : room < most ? room : most))
}

# tests/distribution.py says what stays together.
tests=(-n "$(processes)" --dist loadscope --no-loadscope-reorder) first=() then=()
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

# mypy has one thread, and takes 20 s where the checkout is new: the tests have the other cores meanwhile.
types='' said=$(mktemp)
trap '[[ -z $types ]] || kill "$types" 2>/dev/null || true; rm -f "$said"' EXIT

check ruff check
check ruff format --check
echo '==> mypy, beside the tests'
.venv/bin/python -m mypy >"$said" 2>&1 &
types=$!
rest=()
# What somebody has chosen is one run: it may be a single file.
if (($# == 0)) && ! compiled; then
  check pytest "${tests[@]}" "${first[@]}" -m wheels tests/unit
  rest=("${then[@]}" -m "not wheels")
fi
./scripts/setup.sh --dev || failed+=("llama.cpp, which many tests need")
check pytest "${tests[@]}" "${rest[@]}" "$@"
if ! wait "$types"; then
  failed+=(mypy)
  cat "$said"
fi
types=
for name in "${failed[@]}"; do printf '==> FAILED: %s\n' "$name"; done
((${#failed[@]} == 0))
