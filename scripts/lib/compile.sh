# shellcheck shell=bash disable=SC2154 # the variables are shared with wheelhouse.sh
# The wheels that have to be compiled, for this machine or another. Sourced by wheelhouse.sh.

# The cache of pip knows a wheel by its source package, not by the flags it was compiled with: other builds
# must neither come from there nor go there.
build_llama() {
  local requirement=$1 from=("$1")
  if [[ $target != native || $flags != "$(llama_flags "$(this_board)")" ]]; then
    get_source "$requirement"
    from=(--no-cache-dir "$work"/source/llama_cpp_python-*.tar.gz)
  fi
  CMAKE_ARGS=$flags logged "compiling llama.cpp" "${pip[@]}" wheel -v --no-deps -w "$part" "${from[@]}" ||
    explain_and_fail "could not compile llama.cpp"
  tag "$part"/llama_cpp_python-*.whl
  put_away
}

# get_source REQUIREMENT: lays its source package into the folder `source`.
get_source() {
  local name=${1%%[^A-Za-z0-9_-]*}
  rm -rf "$work/source"
  logged "source of $name" "${pip[@]}" download --no-deps --no-binary "$name" -d "$work/source" "$1" ||
    explain_and_fail "could not get the source of $name"
}

# tag WHEEL [OPTION]...: names the platform that it was really compiled for.
tag() {
  "$tools/bin/python" -m wheel tags --remove --platform-tag "linux_$machine" "${@:2}" "$1" >>"$log" 2>&1 ||
    explain_and_fail "could not name the wheel"
}

# systemd-python is published as source only, and is an extension for one version of Python. The packages of the
# Debian that has this Python hold the headers: so every Python and machine goes the same way, and the one that
# runs this script lends its build tools only.
build_systemd() {
  local python=$1 requirement=$2 release headers no_branch_protection='' abi=cp${1/./}
  release=$(debian_release "$python")
  headers=$work/headers/$release-$architecture
  unpack_packages "$headers" "$release" "$architecture" libsystemd-dev libsystemd0 "libpython$python-dev"
  get_source "$requirement"
  # This Python's own flags come first, and may be for its processor only.
  ! $cross || no_branch_protection=-fcf-protection=none
  logged "systemd-python" env CC="$triplet-gcc" LDSHARED="$triplet-gcc -shared" \
    CFLAGS="-I$headers/usr/include -I$headers/usr/include/python$python $no_branch_protection" \
    PKG_CONFIG=pkgconf PKG_CONFIG_SYSROOT_DIR="$headers" PKG_CONFIG_LIBDIR="$headers/usr/lib/$triplet/pkgconfig" \
    SETUPTOOLS_EXT_SUFFIX=".cpython-${python/./}-$triplet.so" \
    "${pip[@]}" wheel -v --no-cache-dir --no-deps -w "$part" "$work"/source/systemd*python-*.tar.gz ||
    explain_and_fail "could not compile systemd-python"
  tag "$part"/systemd_python-*.whl --python-tag "$abi" --abi-tag "$abi"
  put_away
}
