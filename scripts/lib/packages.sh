# shellcheck shell=bash
# Debian packages. Sourced after progress.sh; as_root is the way to root.

: "${log:?}"

as_root=(env)
policy_file=/usr/sbin/policy-rc.d
# shellcheck disable=SC2016 # the policy's own $*
policy_line='case "$*" in *mosquitto*) exit 101 ;; esac'

# missing_of PACKAGE...: those that are not installed, one a line.
missing_of() {
  local package
  for package in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || echo "$package"
  done
}

# find_root PACKAGE...: becomes able to install them, or ends with the command for somebody who is.
find_root() {
  local packages=("$@") note=()
  if ((EUID == 0)); then
    as_root=(env)
policy_file=/usr/sbin/policy-rc.d
# shellcheck disable=SC2016 # the policy's own $*
policy_line='case "$*" in *mosquitto*) exit 101 ;; esac'
  elif sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
  else
    [[ " ${packages[*]} " != *" mosquitto "* ]] || note=(
      "(Debian starts a mosquitto service with the package, on port 1883; demo and tests do without:"
      "sudo systemctl disable --now mosquitto)")
    fail "these Debian packages are missing, and only root can install them:" \
      "sudo apt-get update && sudo apt-get install --no-install-recommends ${packages[*]}" \
      "Then run the same command again." "${note[@]}"
  fi
}

# install_packages PACKAGE...: installs them with apt; Mosquitto is neither started nor enabled.
install_packages() {
  local packages=("$@")
  say "installing Debian packages: ${packages[*]}"
  # Debian would start the broker right away. An administrator's own policy stays as it is.
  if [[ " ${packages[*]} " == *" mosquitto "* && ! -e $policy_file ]]; then
    policy=$policy_file
    printf '#!/bin/sh\n%s\n' "$policy_line" | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
  fi
  # What an interrupted installation leaves, and apt refuses to work beside.
  if compgen -G '/var/lib/dpkg/updates/*' >/dev/null; then
    logged "dpkg" "${as_root[@]}" DEBIAN_FRONTEND=noninteractive dpkg --force-confdef --force-confold --configure -a || true
  fi
  # An unrelated source that fails to update is no reason to stop: the install will tell.
  logged "apt-get update" "${as_root[@]}" apt-get update || true
  logged "apt-get install" "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get install -y \
    --no-install-recommends -o DPkg::Lock::Timeout=300 "${packages[@]}" ||
    explain_and_fail "apt-get could not install ${packages[*]}"
  if [[ -n ${policy-} ]]; then
    remove_policy
    # Nor may it start at the next boot, unless somebody enables it.
    "${as_root[@]}" systemctl disable mosquitto.service >>"$log" 2>&1 || true
  fi
}

# What a set-up has left that was killed: no Mosquitto would ever start again.
remove_left_policy() {
  grep -qsxF "$policy_line" "$policy_file" || return 0
  if ((EUID == 0)); then rm -f "$policy_file"; else sudo -n rm -f "$policy_file" 2>/dev/null || true; fi
}

# For the caller's EXIT trap too.
remove_policy() {
  [[ -z ${policy-} ]] || "${as_root[@]}" rm -f "$policy"
  policy=
}
