#!/usr/bin/env bash
# Fills a folder with all wheels that scripts/install.sh --wheelhouse needs, once for many boxes.
set -euo pipefail

usage() {
  cat <<'END'
Usage: scripts/wheelhouse.sh [OPTIONS] DIR

Fills DIR with EdgeAssist, llama.cpp compiled for a kind of machine, and all that they depend on, in the versions of
locks/, so that scripts/install.sh --wheelhouse DIR needs neither network nor compiler. What is there already stays: run it
again after an interruption, or after an update of this checkout.

  --for TARGET     native      this very CPU (the default)
                   x86-64-v3   PCs with AVX2: Intel since 2013, AMD since 2015
                   pi4         Raspberry Pi 4, 3 and Zero 2 W, and any other 64-bit ARM
                   pi5         Raspberry Pi 5, and other ARM boards with dotprod and fp16
                   A PC fills for the Pis too: it cross-compiles.
  --python LIST    3.11 (Debian 12), 3.13 (Debian 13), or 3.11,3.13. Without it: this machine's for native,
                   else all that can be compiled for here
  --with-onnx      ONNX Runtime GenAI as well
  --dry-run        print every step that would change something, and change nothing
  --help           this text

Needs Debian 12 or 13. Compiling takes 4 to 7 minutes on a PC. Settings of pip (pip.conf, PIP_*), CMAKE_ARGS,
CMAKE_BUILD_PARALLEL_LEVEL and TMPDIR are respected. docs/wheelhouse.md tells more.
END
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
program=wheelhouse
work=$root/build/wheelhouse
log=$work/log
tools=$work/tools
PATH=$PATH:/usr/sbin:/sbin

target=native pythons='' folder='' extras=llama dry_run=false

usage_error() { printf 'wheelhouse: %s\n\n' "$1" >&2; usage >&2; exit 2; }

parse() {
  while (($#)); do
    case $1 in
      --for | --python)
        [[ -n ${2-} ]] || usage_error "$1 needs a value"
        if [[ $1 == --for ]]; then target=$2; else pythons=$2; fi
        shift
        ;;
      --with-onnx) extras=llama,onnx ;;
      --dry-run) dry_run=true ;;
      --help | -h) usage; exit ;;
      -*) usage_error "unknown option $1" ;;
      *)
        [[ -z $folder ]] || usage_error "one folder, please: $folder or $1"
        folder=$1
        ;;
    esac
    shift
  done
  [[ -n $folder ]] || usage_error "which folder?"
  [[ $target =~ ^(native|x86-64-v3|pi4|pi5)$ ]] || usage_error "--for $target: native, x86-64-v3, pi4 or pi5"
  [[ -z $pythons || $pythons =~ ^3\.1[13](,3\.1[13])*$ ]] || usage_error "--python $pythons: 3.11, 3.13 or 3.11,3.13"
}

parse "$@"
# A dry run writes nothing, not even a log.
! $dry_run || log=/dev/null
# shellcheck source=scripts/lib/progress.sh
source "$root/scripts/lib/progress.sh"
# shellcheck source=scripts/lib/packages.sh
source "$root/scripts/lib/packages.sh"
# shellcheck source=scripts/lib/python.sh
source "$root/scripts/lib/python.sh"
# shellcheck source=scripts/lib/debian.sh
source "$root/scripts/lib/debian.sh"
# shellcheck source=scripts/lib/lock.sh
source "$root/scripts/lib/lock.sh"
# shellcheck source=scripts/lib/llama.sh
source "$root/scripts/lib/llama.sh"
# shellcheck source=scripts/lib/target.sh
source "$root/scripts/lib/target.sh"
# shellcheck source=scripts/lib/compile.sh
source "$root/scripts/lib/compile.sh"

# step WHAT COMMAND...: carries out one change. With --dry-run it only says so.
step() {
  if $dry_run; then printf 'would %s\n' "$1"; else say "$1"; "${@:2}"; fi
}

cleanup() {
  stop_watching
  [[ -z ${part-} ]] || rm -rf "$part"
  rm -rf "$work/tmp"
}

# --- Tools ----------------------------------------------------------------------------------

install_tools() {
  local packages=(g++ pkgconf python3-venv) missing
  ! $cross || packages=("g++-${triplet/_/-}" pkgconf python3-venv)
  ! find_python_quietly || packages=("${packages[@]/python3-venv/}")
  # shellcheck disable=SC2068 # without the empty word
  mapfile -t missing < <(missing_of ${packages[@]})
  if ((${#missing[@]} > 0)); then
    $dry_run || find_root "${missing[@]}"
    step "install Debian packages: ${missing[*]}" install_packages "${missing[@]}"
  fi
  $dry_run || make_tools
}

find_python_quietly() { (find_python && "$python" -c 'import ensurepip') 2>/dev/null; }

# A venv with what this script itself needs.
make_tools() {
  local lock=$work/tools.txt
  find_python
  { cat "$locks/pip.txt" && locked "$locks/build.txt" packaging wheel; } >"$lock"
  if ! "$tools/bin/python" -c 'import packaging, pip, wheel' 2>/dev/null || ! cmp -s "$lock" "$tools/lock.txt"; then
    "$python" -m venv --clear "$tools" >>"$log" 2>&1 || explain_and_fail "could not make a venv"
    logged "pip and wheel" "$tools/bin/python" -m pip install --require-hashes -r "$lock" ||
      explain_and_fail "pip could not install pip and wheel"
    mv "$lock" "$tools/lock.txt"
  fi
}

# --- Wheels ---------------------------------------------------------------------------------

# No function: `logged` would take a trap's words into the log with its output.
pip=("$tools/bin/python" -m pip --disable-pip-version-check)
hashed=(--require-hashes --no-deps --build-constraint "$locks/build.txt")
wheels() { "$tools/bin/python" "$root/scripts/lib/wheels.py" "$@"; }

# put_away: what lies in the part folder is whole, and moves to its place.
put_away() { mv -f "$part"/*.whl "$folder"; }

write_manifest() {
  wheels manifest "$folder" "$@" target="$target" machine="$machine" cpu="$cpu" pythons="$pythons" \
    extras="$extras" version="$version" llama_flags="$flags" source="$source"
}

source_hash() {
  (cd "$root" && find edgeassist pyproject.toml README.md LICENSE -type f ! -name '*.pyc' -print0 | sort -z |
    xargs -0 sha256sum) | sha256sum | cut -d' ' -f1
}

add_edgeassist() {
  if [[ $(manifest_value source) == "$source" ]] && compgen -G "$folder/edgeassist-$version-*.whl" >/dev/null; then
    return
  fi
  step "build EdgeAssist $version" build_edgeassist
}

build_edgeassist() {
  logged "EdgeAssist" "${pip[@]}" wheel --no-deps --build-constraint "$locks/build.txt" -w "$part" "$root" ||
    explain_and_fail "could not build EdgeAssist"
  # install.sh takes the newest, also after a step back.
  rm -f "$folder"/edgeassist-*.whl
  put_away
}

# missing PYTHON: what the folder lacks of the lock, one package a line, with its hashes.
missing() { wheels missing "$1" "$machine" "$folder" "$(lock_of "$extras")" "$locks/pip.txt"; }

# lacks NAME PYTHON [TAG]: whether the folder has no wheel of that package in its locked version. What it lacks is
# then in $work/needed.txt.
lacks() {
  local lacking name=${1//-/_} version
  if $dry_run; then
    version=$(constraints "$(lock_of "$extras")" | sed -n "s/^$1==\([^ ;]*\).*/\1/p")
    if compgen -G "$folder/$name-$version-${3-*}-*.whl" >/dev/null; then return 1; else return 0; fi
  fi
  lacking=$(missing "$2") || fail "$folder can't be read"
  grep "^$1==" <<<"$lacking" >"$work/needed.txt"
}

# Another build of the same version has the same name.
holds_other_llama() {
  [[ -e $folder/wheelhouse.json && $(manifest_value llama_flags)$(manifest_value cpu) != "$flags$cpu" ]] &&
    compgen -G "$folder/llama_cpp_python-*.whl" >/dev/null
}

add_llama() {
  local other=false
  if holds_other_llama; then
    other=true
    step "remove the llama.cpp that was compiled with other flags" rm -f "$folder"/llama_cpp_python-*.whl
  fi
  # From here on the folder is known to be for this target, also when the next step fails.
  $dry_run || write_manifest
  if { $dry_run && $other; } || lacks llama-cpp-python "${wanted[0]}"; then
    step "compile llama.cpp for $target ($flags)" build_llama
  fi
}

add_systemd() {
  local python
  for python in "${wanted[@]}"; do
    if lacks systemd-python "$python" "cp${python/./}"; then
      step "compile systemd-python for Python $python" build_systemd "$python"
    fi
  done
}

add_dependencies() {
  local python
  for python in "${wanted[@]}"; do
    if $dry_run; then
      # Without the tools nobody can tell.
      [[ -x $tools/bin/python && -z $(missing "$python") ]] || step "download what is missing for Python $python"
    else
      missing "$python" >"$work/needed.txt" || fail "$folder can't be read"
      [[ ! -s $work/needed.txt ]] || step "download wheels for Python $python" download "$python"
    fi
  done
}

download() {
  local python=$1 tags
  mapfile -t tags < <(wheels platforms "$python" "$machine" | sed 's/^/--platform=/')
  logged "downloading" "${pip[@]}" download "${hashed[@]}" --only-binary :all: -d "$part" --python-version "$python" \
    --implementation cp --abi "cp${python/./}" --abi abi3 --abi none "${tags[@]}" -r "$work/needed.txt" ||
    explain_and_fail "pip could not download all wheels"
  put_away
}

# --------------------------------------------------------------------------------------------

fill() {
  version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' "$root/edgeassist/__init__.py")
  source=$(source_hash)
  cpu=$(this_cpu)
  [[ $target == native ]] || cpu=any
  add_edgeassist
  add_llama
  add_systemd
  add_dependencies
  $dry_run || finish
}

# The versions for install.sh, by which it finds its wheels among older ones. Without hashes: what was compiled here
# has its own.
finish() {
  constraints "$(lock_of "$extras")" "$locks/pip.txt" >"$part/constraints.txt"
  mv "$part/constraints.txt" "$folder"
  write_manifest --complete
}

farewell() {
  $dry_run && return
  cat <<END
$folder is whole: $(find "$folder" -name '*.whl' | wc -l) wheels, $(du -sm "$folder" | cut -f1) MB, for $target with Python ${pythons//,/ or }.
Take it and this checkout to a box, and there:
  sudo ./scripts/install.sh --wheelhouse $(basename "$folder")$([[ $extras == llama ]] || echo " --with-onnx")
END
}

begin() {
  $dry_run && return
  mkdir -p "$work" "$folder"
  folder=$(realpath "$folder")
  exec 9>"$work/lock" 8<"$folder"
  flock -n 9 || { say "waiting for another wheelhouse to be filled"; flock 9; }
  flock -n 8 || { say "waiting until $folder is filled from elsewhere"; flock 8; }
  trap cleanup EXIT
  trap 'say "interrupted; what is whole stays, and the next run does the rest"; exit 130' INT
  trap 'exit 143' TERM HUP
  : >"$log"
  part=$folder/.part
  rm -rf "$part"
  mkdir "$part"
  prepare_build "$work/tmp"
}

choose_target
check_folder
choose_pythons
choose_flags
begin
install_tools
fill
farewell
