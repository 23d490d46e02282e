# shellcheck shell=bash disable=SC2034,SC2154 # the variables are shared with install.sh
# The unit: laid, started, switched back, removed. Sourced by install.sh.

unit=/etc/systemd/system/edgeassist.service
drop_ins=$unit.d
switched_from=
# Whether it could answer before: only then it must now. Without a broker, nothing can.
answered=false
outcome=laid
problem=

lay_unit_and_start() {
  local was_ready=false changed=false
  ! systemctl -q is-active edgeassist 2>/dev/null || was_ready=true
  ! $was_ready || ! answers || answered=true
  if [[ $release != "$previous" ]]; then
    changed=true
    if $was_ready && ! $dry_run; then begin_switch; fi
    step "switch to release $release${previous:+ (from $previous)}" switch_to "$release"
  elif ! cmp -s "$prefix/current/share/edgeassist.service" "$unit"; then
    changed=true
    step "write $unit" lay_unit
  fi
  systemctl -q is-enabled edgeassist 2>/dev/null || step "let EdgeAssist start at boot" enable_unit edgeassist
  if $no_start; then
    $dry_run || prune_releases "$release" "$previous"
    return
  fi
  if $was_ready && ! $changed && ! $restart_needed; then
    outcome=ready
    return
  fi
  $dry_run || $was_ready || startable || return 0
  step "start EdgeAssist, and wait until it is ready (at most $ready_s s)" start
}

# From here on, until the new release has shown that it works, an end of this script means to switch back.
begin_switch() {
  switched_from=$previous
  [[ $mode != second-stage ]] || echo "$previous $answered" >"$follow/switching"
}

switch_to() {
  ln -sfn "releases/$1" "$prefix/.current"
  mv -T "$prefix/.current" "$prefix/current"
  lay_unit
}

lay_unit() {
  install -m 644 "$prefix/current/share/edgeassist.service" "$unit"
  # Debian 12's systemd does not know these settings, and would say so at every start.
  if (($(systemctl --version | awk 'NR == 1 {print int($2)}') >= 254)); then
    install -D -m 644 "$prefix/current/share/backoff.conf" "$drop_ins/10-backoff.conf"
  else
    rm -f "$drop_ins/10-backoff.conf"
  fi
  $no_start || systemctl daemon-reload
}

enable_unit() { systemctl enable "$1" >>"$log" 2>&1 || fail "systemctl could not enable $1; see $log"; }

# Whether the settings can work at all; without a model there is nothing to wait for. 69: what is missing, such as
# memory, may be there later, and the daemon tries again.
startable() {
  local said status=0
  said=$(runuser -u "$user" -- "$prefix/current/bin/edgeassist" check-config --offline 2>&1) || status=$?
  ((status != 0 && status != 69)) || return 0
  problem=$(sed -n 's/^\(wrong\|edgeassist\): //p' <<<"$said")
  outcome=unconfigured
  prune_releases "$release" "$previous"
  return 1
}

start() {
  if until_ready; then
    outcome=ready
    answers || { outcome=waiting && problem=$(status_text); }
    switched_from=
    prune_releases "$release"
    return
  fi
  problem=$(status_text)
  if [[ -n $switched_from ]]; then
    journalctl -u edgeassist -p warning -n 10 -o cat --no-pager >&2 || true
    switch_back
    fail "release $release did not get ready within $ready_s s${problem:+ ($problem)}." \
      "What ran before runs again: $previous. The new one's last words are above."
  fi
  outcome=failed
  # It waits for something, such as a broker, without having failed.
  if [[ $(systemctl show -p SubState --value edgeassist) =~ ^(start|running)$ ]] && (($(restarts) == 0)); then
    outcome=waiting
  fi
  prune_releases "$release" "$previous"
}

status_text() { systemctl show -p StatusText --value edgeassist; }

# systemd counts it as started without a broker too, so that no boot waits for one; its status tells.
answers() { [[ $(status_text) =~ ^(ready|busy): ]]; }

# Starts it, and waits until it can answer; false where that does not come, at once where it can't come any more.
until_ready() {
  logged "stopping" systemctl stop edgeassist || true
  systemctl reset-failed edgeassist >>"$log" 2>&1 || true
  systemctl start --no-block edgeassist
  logged "waiting until it is ready" poll_ready
}

poll_ready() {
  local end=$((SECONDS + ready_s)) state
  while ((SECONDS < end)); do
    state=$(systemctl show -p ActiveState --value edgeassist)
    case $state in
      active) if ! $answered || answers; then return 0; fi ;;
      failed) return 1 ;;
    esac
    # It crashes again and again.
    (($(restarts) < 2)) || return 1
    sleep 0.5
  done
  return 1
}

restarts() { systemctl show -p NRestarts --value edgeassist; }

# Also when somebody ends the installer while the new release starts.
switch_back() {
  local old=$switched_from
  [[ -n $old ]] || return 0
  switched_from=
  say "switching back to release $old"
  switch_to "$old"
  rm -f "$follow/switching"
  # The machine goes down, and starts it when it comes back.
  [[ $(systemctl is-system-running) != stopping ]] || return 0
  until_ready || warn "release $old does not get ready any more either: $(status_text)"
  prune_releases "$old"
}

farewell() {
  $dry_run && return
  local what device
  what="EdgeAssist ($release)"
  device=$(device_name)
  echo
  case $outcome in
    ready) echo "$what runs, and starts at boot. The first prompt, from this machine:" ;;
    laid) echo "$what is installed, and not started (--no-start); it starts at boot. Then, the first prompt:" ;;
    waiting) printf '%s\n' "$what starts, and is not ready yet${problem:+: $problem}." "Once it is, the first prompt:" ;;
    failed) echo "$what is installed, and does not start. Why: sudo journalctl -u edgeassist -n 20" ;;
    unconfigured)
      echo "$what is installed and starts at boot, but it can't answer yet:"
      echo "  ${problem:-its settings can not work; sudo edgeassist check-config tells more}"
      echo "Put that right in $settings, then: sudo systemctl restart edgeassist"
      echo "The first prompt, then:"
      ;;
  esac
  echo "  sudo edgeassist ask 'Hello'"
  ! $follows || printf '%s\n' \
    "llama.cpp, the faster backend and the one for GGUF files, is compiled in the background: minutes on a PC, up to" \
    "an hour on a Raspberry Pi. EdgeAssist switches to it by itself. How far it is: journalctl -u $follow_name -f"
  if ((${#advice[@]} > 0)); then
    echo "Your settings stay as you have written them. For what you asked for, write into $settings:"
    printf '  %s\n' "${advice[@]}"
  fi
  cat <<END
Prompts of devices go to edgeassist/$device/prompt/NAME, and answers to edgeassist/$device/reply/NAME/...
END
  if [[ -n ${daemon_password-} ]]; then
    echo "The broker's account for the daemon is $daemon_account, with the password $daemon_password (shown this once)."
  fi
  ! $with_broker || echo "An account for a device or a person: sudo $0 --add-client NAME"
  cat <<END
The log:      journalctl -u edgeassist -f
How it is:    sudo edgeassist status
Settings:     $settings; then sudo systemctl restart edgeassist
Another model: sudo edgeassist models list; it says how to get one
Documentation: docs/operations.md
END
  [[ $outcome != failed ]]
}

# --- The end ----------------------------------------------------------------------------------

uninstall() {
  if [[ -e $follow_unit ]]; then
    step "stop the compilation of llama.cpp in the background, and remove its unit" remove_background
  fi
  if [[ -e $unit ]]; then
    step "stop EdgeAssist, and remove its unit" remove_unit
  fi
  [[ ! -e $prefix ]] || step "remove $prefix" rm -rf "$prefix"
  [[ ! -e $command ]] || step "remove $command" rm -f "$command"
  if $purge; then remove_the_rest; fi
  say_what_stays
}

remove_background() {
  $no_start || systemctl stop $follow_name >>"$log" 2>&1 || true
  remove_following
}

remove_unit() {
  if $no_start; then
    systemctl disable edgeassist >>"$log" 2>&1 || true
  else
    systemctl disable --now edgeassist >>"$log" 2>&1 || true
  fi
  rm -f "$unit" "$drop_ins/10-backoff.conf"
  rmdir "$drop_ins" 2>/dev/null || true
  if ! $no_start; then
    systemctl daemon-reload
    systemctl reset-failed edgeassist >>"$log" 2>&1 || true
  fi
}

remove_the_rest() {
  local path
  for path in /etc/edgeassist "$state" "$drop_ins" "$secrets/edgeassist.mqtt.username" "$secrets/edgeassist.mqtt.password"; do
    [[ ! -e $path ]] || step "remove $path" rm -rf "$path"
  done
  if [[ -e $broker_conf ]]; then
    step "remove the broker's configuration and accounts (Mosquitto stays, as Debian configures it)" remove_broker
  fi
  ! id "$user" >/dev/null 2>&1 || step "remove the system user $user" userdel "$user"
  [[ ! -e /var/log/edgeassist-install.log ]] || step "remove the log of installations" rm -f /var/log/edgeassist-install.log
}

remove_broker() {
  rm -f "$broker_conf" "$broker_conf.new" "$broker_acl" "$broker_acl.new" "$accounts"
  $no_start || systemctl restart mosquitto || warn "Mosquitto does not start without it: journalctl -u mosquitto"
}

say_what_stays() {
  local path stays=()
  for path in /etc/edgeassist "$state" "$drop_ins" "$secrets"/edgeassist.mqtt.* "$broker_conf" "$broker_acl" "$accounts"; do
    [[ ! -e $path ]] || stays+=("$path")
  done
  $dry_run && return
  echo "EdgeAssist is removed. What stays: the Debian packages."
  ((${#stays[@]} == 0)) || {
    echo "And settings, state, models and accounts, with the user $user; --purge removes these too:"
    printf '  %s\n' "${stays[@]}"
  }
}
