# shellcheck shell=bash disable=SC2034,SC2154 # the variables are shared with install.sh
# What the machine must be, and what it gets before EdgeAssist: packages, the user, folders. Sourced by install.sh.

prefix=/opt/edgeassist
state=/var/lib/edgeassist
models=$state/models
user=edgeassist

check_machine() {
  local architecture id='' like='' version=''
  command -v dpkg >/dev/null || fail "needs Debian 12 or 13, or what is made of it, such as Raspberry Pi OS"
  architecture=$(dpkg --print-architecture)
  case $architecture in
    amd64 | arm64) ;;
    armhf | armel)
      fail "this system is 32-bit ($architecture), and EdgeAssist needs a 64-bit one; a 64-bit kernel is not enough." \
        "Write the 64-bit image of Raspberry Pi OS to the card."
      ;;
    *) fail "there is no EdgeAssist for $architecture: only for amd64 and arm64" ;;
  esac
  id=$(os_release ID) like=$(os_release ID_LIKE) version=$(os_release VERSION_ID)
  if [[ $id != debian && $id != raspbian ]]; then
    [[ " $like " == *" debian "* ]] || fail "needs Debian 12 or 13; this is ${id:-unknown}"
    warn "this is $id, not Debian: tried on Debian 12 and 13 only"
  elif [[ $version =~ ^[0-9]+$ ]] && ((version < 12)); then
    fail "this is Debian $version, whose Python is too old: needs Debian 12 or 13"
  fi
  [[ $root/ != $prefix/* ]] || fail "this checkout lies in $prefix, where releases go: move it elsewhere"
  check_systemd
}

check_room() {
  check_memory
  check_disk
}

os_release() { sed -n "s/^$1=//p" /etc/os-release | tr -d '"'; }

check_systemd() {
  command -v systemctl >/dev/null || fail "needs systemd"
  $no_start || [[ -d /run/systemd/system ]] ||
    fail "systemd does not run here: in an image or a chroot, use --no-start"
  if ! $no_start && ! grep -qsw memory /sys/fs/cgroup/cgroup.controllers; then
    warn "the kernel limits no memory of services here, so that EdgeAssist could take all of it. On a Raspberry" \
      "Pi: add cgroup_enable=memory to /boot/firmware/cmdline.txt, and reboot"
  fi
}

check_memory() {
  local total most
  total=$(awk '/^MemTotal/ {print int($2 / 1024)}' /proc/meminfo)
  most=$(most_mb_for_build)
  if [[ -z $wheelhouse ]] && ! $follows && ((most < build_needs_mb)); then
    fail "compiling llama.cpp takes $build_needs_mb MB of memory and swap, and there are $most here." \
      "Fill a folder on another machine (scripts/wheelhouse.sh --help), and use --wheelhouse"
  fi
  ((total >= 900)) || warn "this machine has $total MB of memory: enough for very small models only"
}

check_disk() {
  # A release takes 300 MB, and the one before stays until it is ready; a build takes 500 more, and a compiler 300.
  local needed=500 free size
  [[ -n $wheelhouse ]] || $follows || needed=1500
  free=$(free_mb "$prefix")
  ((free >= needed)) || fail "needs $needed MB below /opt, and $free MB are free"
  if [[ -n $model && -e $model ]]; then
    size=$(du -smL "$model" | cut -f1)
    free=$(free_mb "$models")
    ((free >= size + 100)) || fail "the model takes $size MB, and below /var/lib $free MB are free"
  fi
}

# free_mb PATH: of the file system that holds it, or will.
free_mb() {
  local path=$1
  while [[ ! -e $path ]]; do path=$(dirname "$path"); done
  df -Pm "$path" | awk 'NR == 2 {print $4}'
}

check_options() {
  if [[ -n $model ]]; then
    model=$(realpath -e -- "$model" 2>/dev/null) || fail "--model: there is no $model"
    [[ -f $model || -f $model/genai_config.json ]] ||
      fail "--model: $model is neither a GGUF file nor a folder with genai_config.json"
    [[ $(basename "$model") =~ ^[A-Za-z0-9._+-]+$ ]] ||
      fail "--model: rename it, to letters, digits and . _ + - only: $(basename "$model")"
  fi
  if [[ -n $wheelhouse ]]; then
    wheelhouse=$(realpath -e -- "$wheelhouse" 2>/dev/null) || fail "--wheelhouse: there is no such folder"
    check_wheelhouse
  fi
  if $with_broker; then check_broker; fi
}

begin_packages() {
  local wanted=(python3 libgomp1) missing
  have_pip || wanted+=(python3-venv)
  [[ -n $wheelhouse ]] || wanted+=(python3-systemd)
  [[ -n $wheelhouse ]] || $follows || wanted+=(g++)
  ! $with_broker || wanted+=(mosquitto mosquitto-clients)
  $dry_run || remove_left_policy
  mapfile -t missing < <(missing_of "${wanted[@]}")
  if $dry_run; then
    ((${#missing[@]} == 0)) || echo "would install Debian packages: ${missing[*]}"
    return
  fi
  ((${#missing[@]} == 0)) || install_packages "${missing[@]}"
  /usr/bin/python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "needs Python 3.11 or newer, which Debian has since 12; /usr/bin/python3 is $(/usr/bin/python3 -V)"
  [[ -z $wheelhouse ]] || check_wheelhouse_python
}

have_pip() {
  compgen -G "${wheelhouse:-/nowhere}/pip-*.whl" >/dev/null ||
    /usr/bin/python3 -c 'import ensurepip' 2>/dev/null
}

make_user() {
  if ! id "$user" >/dev/null 2>&1; then
    step "make the system user $user" add_user
  fi
  # /dev/vcio, which tells of heat and under-voltage, is for the group video.
  if getent group video >/dev/null && [[ " $(id -Gn "$user" 2>/dev/null) " != *" video "* ]]; then
    step "let $user ask the firmware of a Raspberry Pi (group video)" usermod -aG video "$user"
  fi
}

add_user() {
  useradd --system --user-group --home-dir "$state" --no-create-home --shell /usr/sbin/nologin "$user"
}

make_folders() {
  local folder
  for folder in "$state" "$models"; do
    [[ -d $folder ]] || step "make the folder $folder" install -d -o "$user" -g "$user" -m 750 "$folder"
  done
}

place_model() {
  local target
  target=$models/$(basename "$model")
  if [[ $model != "$target" ]] && ! diff -rq "$model" "$target" >/dev/null 2>&1; then
    step "copy the model to $target" copy_model "$target"
  fi
  model=$target
}

# Beside its place first, so that nobody ever loads half of it.
copy_model() {
  local target=$1
  rm -rf "$target.part"
  cp -rL --reflink=auto -- "$model" "$target.part"
  chown -R "$user:$user" "$target.part"
  chmod -R u=rwX,go=rX "$target.part"
  [[ ! -d $target ]] || rm -rf "$target"
  mv -T "$target.part" "$target"
}
