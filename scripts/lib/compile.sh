# shellcheck shell=bash disable=SC2154 # the variables are shared with wheelhouse.sh
# The wheels that have to be compiled, for this machine or another. Sourced by wheelhouse.sh.

# The cache of pip knows a wheel by its source package, not by the flags it was compiled with: other builds have
# caches of their own.
build_llama() {
  local cache=()
  [[ $target == native && $flags == "$(llama_flags "$(this_board)")" ]] ||
    cache=(--cache-dir "${XDG_CACHE_HOME:-$HOME/.cache}/edgeassist/pip/$(sha256sum <<<"$flags $cpu" | cut -c1-16)")
  CMAKE_ARGS=$flags logged "compiling llama.cpp" "${pip[@]}" wheel -v "${cache[@]}" "${hashed[@]}" \
    --no-binary llama-cpp-python -w "$part" -r "$work/needed.txt" || explain_and_fail "could not compile llama.cpp"
  tag "$part"/llama_cpp_python-*.whl
  put_away
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
  local python=$1 release headers abi=cp${1/./}
  release=$(debian_release "$python")
  headers=$work/headers/$release-$architecture
  unpack_packages "$headers" "$release" "$architecture" libsystemd-dev libsystemd0 "libpython$python-dev"
  logged "systemd-python" env CC="$triplet-gcc" LDSHARED="$triplet-gcc -shared" \
    CFLAGS="-I$headers/usr/include -I$headers/usr/include/python$python" \
    PKG_CONFIG=pkgconf PKG_CONFIG_SYSROOT_DIR="$headers" PKG_CONFIG_LIBDIR="$headers/usr/lib/$triplet/pkgconfig" \
    SETUPTOOLS_EXT_SUFFIX=".cpython-${python/./}-$triplet.so" \
    "${pip[@]}" wheel -v --no-cache-dir "${hashed[@]}" --no-binary systemd-python -w "$part" -r "$work/needed.txt" ||
    explain_and_fail "could not compile systemd-python"
  tag "$part"/systemd_python-*.whl --python-tag "$abi" --abi-tag "$abi"
  put_away
}
