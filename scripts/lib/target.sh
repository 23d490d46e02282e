# shellcheck shell=bash disable=SC2034,SC2154 # the variables are shared with wheelhouse.sh
# What a folder of wheels is for: machine, Pythons, flags. Sourced by wheelhouse.sh.

choose_target() {
  local here
  here=$(uname -m)
  case $target in
    native) machine=$here ;;
    x86-64-v3) machine=x86_64 ;;
    pi4 | pi5) machine=aarch64 ;;
  esac
  case $machine in
    x86_64) architecture=amd64 ;;
    aarch64) architecture=arm64 ;;
    *) fail "there is no EdgeAssist for $machine" ;;
  esac
  triplet=$machine-linux-gnu
  cross=false
  if [[ $machine != "$here" ]]; then
    [[ $machine == aarch64 ]] || fail "a folder for $target must be filled on a machine with such a processor"
    cross=true
  fi
  command -v apt-get >/dev/null || fail "needs Debian 12 or 13, or what is made of it, such as Raspberry Pi OS"
}

# What is compiled here needs this system's C library or a newer one.
choose_pythons() {
  local glibc python possible=() asked
  glibc=$(getconf GNU_LIBC_VERSION | grep -oE '[0-9]+$')
  ((glibc > 36)) || possible+=(3.11)
  ((glibc > 41)) || possible+=(3.13)
  ((${#possible[@]} > 0)) || fail "this system is newer than Debian 13, and what it compiles would not run there"
  if [[ -z $pythons && $target == native ]]; then
    pythons=$(this_python)
  fi
  asked=${pythons:-${possible[*]}},$(manifest_value pythons)
  mapfile -t wanted < <(tr ', ' '\n' <<<"$asked" | grep . | sort -u)
  for python in "${wanted[@]}"; do
    [[ " ${possible[*]} " == *" $python "* ]] ||
      fail "what is compiled on this system does not run on a Debian with Python $python: its C library is older." \
        "Fill the folder on a Debian of that release, or leave out --python $python"
  done
  pythons=$(IFS=, && echo "${wanted[*]}")
}

# Debian's own, which install.sh uses; not one that was installed beside it.
this_python() {
  local version
  version=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || version=none
  debian_release "$version" >/dev/null ||
    fail "which Debian is this for? /usr/bin/python3 here is $version. Say --python 3.11 or --python 3.13"
  echo "$version"
}

choose_flags() {
  if [[ $target == native ]]; then
    flags=${CMAKE_ARGS-$(llama_flags "$(this_board)")}
  else
    flags=$(llama_flags "$target")${CMAKE_ARGS:+ $CMAKE_ARGS}
  fi
  ! $cross || flags+=" -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=$machine -DCMAKE_C_COMPILER=$triplet-gcc -DCMAKE_CXX_COMPILER=$triplet-g++"
}

check_folder() {
  local manifest=$folder/wheelhouse.json other
  [[ ! -e $folder || -d $folder ]] || fail "$folder is not a folder"
  [[ -e $manifest ]] || return 0
  other=$(manifest_value target)
  [[ $other == "$target" ]] || fail "$folder was filled for $other: take another folder for $target, or delete it"
  # It stays whole for what it was whole for.
  [[ $(manifest_value extras) != *onnx* ]] || extras=llama,onnx
}

manifest_value() { sed -n "s/^  \"$1\": \"\(.*\)\",\$/\1/p" "$folder/wheelhouse.json" 2>/dev/null || true; }
