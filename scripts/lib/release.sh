# shellcheck shell=bash disable=SC2034,SC2154 # the variables are shared with install.sh
# Releases: /opt/edgeassist/releases/<version>-<n>, each a venv of its own, and `current`, a link to the one in
# use. Sourced by install.sh.

releases=$prefix/releases
release=
previous=
unfinished=
onnx_runs=true

# What a folder of wheels must hold, and whether it is for a machine like this.
check_wheelhouse() {
  compgen -G "$wheelhouse/edgeassist-*.whl" >/dev/null ||
    fail "$wheelhouse holds no edgeassist wheel: fill it with scripts/wheelhouse.sh"
  ! grep -qs '"complete": false' "$wheelhouse/wheelhouse.json" ||
    fail "$wheelhouse was not filled to its end: run scripts/wheelhouse.sh for it again"
  check_wheelhouse_python
  local target cpu
  target=$(wheelhouse_says target)
  case $target in
    native)
      [[ $(uname -m) == "$(wheelhouse_says machine)" ]] ||
        fail "$wheelhouse was filled for $(wheelhouse_says machine), and this is $(uname -m)"
      cpu=$(wheelhouse_says cpu)
      [[ $cpu == "$(this_cpu)" ]] || warn "$wheelhouse was filled for the processor $cpu, and this is $(this_cpu):" \
        "if the engine dies with an illegal instruction, fill it with --for x86-64-v3, pi4 or pi5"
      ;;
    pi*) [[ $(uname -m) == aarch64 ]] || fail "$wheelhouse was filled for $target, and this is $(uname -m)" ;;&
    pi5)
      grep -qsw asimddp /proc/cpuinfo || $no_start ||
        fail "$wheelhouse was filled for pi5, and this CPU lacks what a Raspberry Pi 5 has: use one for pi4"
      ;;
    x86-64*)
      [[ $(uname -m) == x86_64 ]] || fail "$wheelhouse was filled for $target, and this is $(uname -m)"
      grep -qsw avx2 /proc/cpuinfo || fail "$wheelhouse was filled for $target, and this CPU has no AVX2"
      ;;
  esac
}

# Where there is no Python yet, there is nothing to say yet.
check_wheelhouse_python() {
  local python pythons
  pythons=$(wheelhouse_says pythons)
  python=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || return 0
  [[ -z $pythons || ,$pythons, == *,$python,* ]] ||
    fail "$wheelhouse was filled for Python $pythons, and this machine has $python: fill it with --python $python too"
}

# wheelhouse_says KEY: a value of the folder's manifest.
wheelhouse_says() { sed -n "s/^ *\"$1\": *\"\(.*\)\",\$/\1/p" "$wheelhouse/wheelhouse.json" 2>/dev/null || true; }

version_here() {
  local wheel
  if [[ -n $wheelhouse ]]; then
    wheel=$(newest_wheel edgeassist)
    wheel=${wheel##*/edgeassist-}
    echo "${wheel%%-*}"
  else
    sed -n 's/^__version__ = "\(.*\)"/\1/p' "$root/edgeassist/__init__.py"
  fi
}

newest_wheel() { compgen -G "$wheelhouse/$1-*.whl" | sort -V | tail -n 1; }

# The backends of the release that is made: both, but for what a folder of wheels lacks, or what follows.
extras() {
  if $follows; then
    echo onnx
  elif [[ -n $wheelhouse && $(wheelhouse_says extras) != *onnx* ]] && ! $with_onnx; then
    echo llama
  else
    echo llama,onnx
  fi
}

# What a release is made of: another identity is another release.
identity_here() {
  {
    /usr/bin/python3 -VV
    extras
    (cd "$root" && find config systemd -type f -print0 | sort -z | xargs -0 sha256sum)
    if [[ -n $wheelhouse ]]; then
      (cd "$wheelhouse" && find . -maxdepth 1 \( -name '*.whl' -o -name constraints.txt \) -print0 | sort -z |
        xargs -0 sha256sum)
    else
      echo "${CMAKE_ARGS-$(llama_flags "$(this_board)")}"
      (cd "$root" && find edgeassist locks pyproject.toml -type f ! -name '*.pyc' -print0 | sort -z | xargs -0 sha256sum)
    fi
  } 2>&1 | sha256sum | cut -d' ' -f1
}

make_release() {
  local version identity=''
  version=$(version_here)
  # The wheelhouse of a machine without Python has one by now, except in a dry run.
  identity=$(identity_here)
  previous=$(readlink "$prefix/current" 2>/dev/null) || previous=
  previous=${previous#releases/}
  if ! $upgrade && [[ $(cat "$prefix/current/share/identity" 2>/dev/null) == "$identity" ]] &&
    "$prefix/current/bin/edgeassist" --version >/dev/null 2>&1; then
    release=$previous
    say "EdgeAssist $version is there already, made from just this (--upgrade would make it anew)"
    return
  fi
  [[ $(extras) == *onnx* ]] || ! grep -qs onnx "$prefix/current/share/extras" ||
    warn "$wheelhouse has no ONNX Runtime GenAI: ONNX models will not load any more"
  release=$version-$(next_number "$version")
  step "make release $release, $(what_of)" build_release "$identity"
  if $follows && ! $onnx_runs; then
    say "ONNX Runtime GenAI does not run on this CPU: llama.cpp is compiled first"
    follows=false
    check_room
    begin_packages
    make_release
  fi
}

# How a release is made, for people.
what_of() {
  if [[ -n $wheelhouse ]]; then
    echo "from $wheelhouse"
  elif $follows; then
    echo "with ONNX Runtime GenAI"
  else
    echo "with a llama.cpp compiled for this CPU"
  fi
}

next_number() {
  local name most=0
  for name in "$releases/$1"-*; do
    name=${name##*-}
    [[ ! $name =~ ^[0-9]+$ ]] || ((name <= most)) || most=$name
  done
  echo $((most + 1))
}

build_release() {
  local made=$releases/$release wheel pip=(-m pip) cache=()
  remove_unfinished
  unfinished=$made
  mkdir -p "$releases"
  # pip knows a wheel in its cache by its source, not by the flags that it was compiled with.
  own_flags=${own_flags-${CMAKE_ARGS+set}}
  [[ -z $own_flags ]] || $follows || cache=(--no-cache-dir)
  [[ -n ${build-} ]] || build=$(mktemp -d /var/tmp/edgeassist.XXXXXX)
  prepare_build "$build"
  # Neither the wheelhouse's pip nor Debian's need one in the venv to begin with.
  wheel=$(first_pip) || wheel=
  /usr/bin/python3 -m venv ${wheel:+--without-pip} "$made" >>"$log" 2>&1 || explain_and_fail "could not make a venv"
  [[ -z $wheel ]] || pip=("$wheel/pip")
  if [[ -n $wheelhouse ]]; then
    # With its pip, at once: to start another one takes as long as half of the wheels.
    pip_install "the wheels" ${wheel:+pip} "edgeassist[$(extras)]==$(version_here)"
  else
    pip_install "pip" --require-hashes -r "$locks/pip.txt"
    pip=(-m pip)
    local left_out=(systemd-python) what="llama.cpp and all other Python packages"
    ! $follows || left_out+=(llama-cpp-python) what="the Python packages"
    not_locked "$(lock_of llama,onnx)" "${left_out[@]}" >"$build/lock.txt"
    pip_install "$what" "${cache[@]}" --require-hashes --build-constraint "$locks/build.txt" \
      --no-deps -r "$build/lock.txt"
    lay_systemd_python
    # No file of this checkout has a hash, so it goes by itself.
    pip_install "EdgeAssist" --no-deps --build-constraint "$locks/build.txt" "$root"
  fi
  byte_compile "$made"
  prove_release "$made"
  ! $follows || $onnx_runs || return 0
  mkdir -p "$made/share"
  install -m 644 "$root/systemd/edgeassist.service" "$root/systemd/backoff.conf" "$root/config/edgeassist.toml" \
    "$made/share"
  extras >"$made/share/extras"
  # Last: it says that the release is whole.
  echo "$1" >"$made/share/identity"
  unfinished=
}

# The wheel of a pip that is there before any was installed; nothing where ensurepip has its own.
first_pip() {
  if [[ -n $wheelhouse ]]; then newest_wheel pip; else compgen -G "/usr/share/python-wheels/pip-*.whl" | tail -n 1; fi
}

# The service can't write byte code. pip would compile all, half of which nobody imports: tests, tools, lexers.
byte_compile() {
  local unused='/(pip|tests|testing|lexers|styles|f2py|ma|polynomial|distutils|transformers|tools|quantization)/'
  unused+='|/onnxruntime_genai/models/|/pydantic/v1/'
  "$1/bin/python" -m compileall -q -x "$unused" "$1/lib" >>"$log" 2>&1 || explain_and_fail "could not compile byte code"
}

# pip_install WHAT ARGUMENT...: with the pip that `pip` names in Python's words.
pip_install() {
  local what=$1 offline=()
  if [[ -n $wheelhouse ]]; then
    offline=(--no-index --only-binary :all: --find-links "$wheelhouse")
    [[ ! -e $wheelhouse/constraints.txt ]] || offline+=(--constraint "$wheelhouse/constraints.txt")
  fi
  logged "$what" "$releases/$release/bin/python" "${pip[@]}" install -v --no-compile --disable-pip-version-check \
    "${offline[@]}" "${@:2}" || explain_and_fail "pip could not install $what"
}

# PyPI has it as source only, so Debian's, built for this very Python: no headers, and no compiler.
lay_systemd_python() {
  local made=$releases/$release source=/usr/lib/python3/dist-packages
  cp -r "$source/systemd" "$source"/systemd_python-*.egg-info \
    "$("$made/bin/python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')" >>"$log" 2>&1 ||
    explain_and_fail "Debian's package python3-systemd is not in $source"
}

# A native library for another CPU shows here, not in the service.
prove_release() {
  local made=$1 extras
  extras=$(extras)
  "$made/bin/edgeassist" --version >>"$log" 2>&1 || explain_and_fail "the new release does not run"
  [[ $extras != *onnx* ]] || prove_onnx "$made"
  [[ $extras != *llama* ]] || prove_llama "$made"
}

# Leaves in `onnx_runs` whether it does; llama.cpp is there for the rest.
prove_onnx() {
  onnx_runs=true
  ORT_DISABLE_TELEMETRY=1 "$1/bin/python" -c 'import onnxruntime_genai' >>"$log" 2>&1 || onnx_runs=false
  $onnx_runs || $follows || warn "ONNX Runtime GenAI does not run on this CPU: no ONNX models here; see $log"
}

prove_llama() {
  local made=$1 told status=0
  told=$("$made/bin/python" -c 'import llama_cpp; print(llama_cpp.llama_print_system_info().decode())' 2>>"$log") ||
    status=$?
  echo "llama.cpp: $told" >>"$log"
  ((status != 132)) || fail "llama.cpp was built for another CPU than this machine's"
  ((status == 0)) || explain_and_fail "llama.cpp does not load"
  if [[ $(uname -m) == aarch64 ]] && grep -qsw asimddp /proc/cpuinfo && [[ $told != *"DOTPROD = 1"* ]]; then
    warn "this CPU can compute dot products in one instruction, and the llama.cpp built here does not: answers" \
      "take longer. To build it for such CPUs: sudo CMAKE_ARGS='$(llama_flags pi5)' $0 --upgrade"
  fi
}

forget_unfinished() { [[ -z $unfinished ]] || rm -rf "$unfinished"; }

# What a power cut has left.
remove_unfinished() {
  local folder
  for folder in "$releases"/*/; do
    [[ -e $folder/share/identity || ! -d $folder ]] || rm -rf "$folder"
  done
}

# prune_releases KEEP...: removes all others.
prune_releases() {
  local folder
  for folder in "$releases"/*/; do
    folder=$(basename "$folder")
    [[ " $* " == *" $folder "* ]] || rm -rf "${releases:?}/$folder"
  done
}
