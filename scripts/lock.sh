#!/usr/bin/env bash
# Makes the lock files in locks/: every Python package in one version, with the hashes of its files.
set -euo pipefail

usage() {
  cat <<'END'
Usage: scripts/lock.sh [OPTIONS]

Makes the files in locks/ from pyproject.toml. What is locked keeps its version as long as pyproject.toml allows
it, so without options this adds and removes only what a change of pyproject.toml asks for.

  --upgrade                 take the newest version of every package
  --upgrade-package NAME    take the newest version of this one; may be repeated
  --help                    this text

The result fits Linux, x86-64 and aarch64, and Python 3.11 and newer, whatever machine this runs on. Look at it
with git diff, run ./scripts/test.sh, and commit it.

It is made by uv, which pip installs into build/lock. uv does not read pip's settings: name another index or a
constraint with UV_DEFAULT_INDEX or UV_CONSTRAINT. Neither gets into the files.
END
}

# What resolves for other machines and Pythons than this one, which pip can't.
uv=uv==0.13.9

options=()
while (($#)); do
  case $1 in
    --upgrade) options+=(--upgrade) ;;
    --upgrade-package)
      [[ -n ${2-} ]] || { printf 'lock: --upgrade-package needs a name\n' >&2; exit 2; }
      options+=(--upgrade-package "$2")
      shift
      ;;
    --help | -h) usage; exit ;;
    *) printf 'lock: unknown option %s\n\n' "$1" >&2; usage >&2; exit 2 ;;
  esac
  shift
done

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
program=lock
work=$root/build/lock
log=$work/log
# shellcheck source=scripts/lib/progress.sh
source "$root/scripts/lib/progress.sh"
# shellcheck source=scripts/lib/python.sh
source "$root/scripts/lib/python.sh"

# compile NAME ARGUMENT...: locks what the arguments name, beginning with the versions that are locked now.
compile() {
  local file=$new/$1.txt
  logged "$1" "$work/venv/bin/uv" pip compile --no-config --universal --python-version 3.11 --fork-strategy fewest \
    --generate-hashes --no-annotate --custom-compile-command ./scripts/lock.sh \
    "${options[@]}" --output-file "$file" "${@:2}" || explain_and_fail "uv could not lock $1"
}

cd "$root"
rm -rf "$work/new"
mkdir -p "$work/new" locks
new=build/lock/new
: >"$log"
trap stop_watching EXIT
trap 'exit 130' INT
find_python
if [[ $("$work/venv/bin/uv" --version 2>/dev/null) != "uv ${uv#*==}"* ]]; then
  say "installing uv"
  "$python" -m venv --clear "$work/venv" >>"$log" 2>&1 || explain_and_fail "could not make a venv"
  logged "uv" "$work/venv/bin/python" -m pip install "$uv" || explain_and_fail "pip could not install $uv"
fi
cp locks/*.txt "$new" 2>/dev/null || true

say "locking"
# The first holds everything; the others take their versions from there.
compile all pyproject.toml --all-extras --group dev
compile llama pyproject.toml --extra llama -c "$new/all.txt"
compile llama-onnx pyproject.toml --extra llama --extra onnx -c "$new/all.txt"
compile dev pyproject.toml --extra llama --group dev -c "$new/all.txt"
compile build --group build
compile pip --group pip
mv "$new"/*.txt locks
say "done: git diff --stat locks"
