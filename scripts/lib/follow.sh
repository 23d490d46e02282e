# shellcheck shell=bash disable=SC2034,SC2154 # the variables are shared with install.sh
# llama.cpp follows: the first release is made of wheels and answers with ONNX Runtime GenAI, while the unit
# edgeassist-llama compiles llama.cpp in the background and switches to a release that has it. Sourced by install.sh.

follow_name=edgeassist-llama
follow_unit=/etc/systemd/system/$follow_name.service
# The sources for the second stage, which must not need the checkout, and what became of it.
follow=$prefix/llama
follows=false
environment=
# Whether it is under way already, and whether it was stopped for this installation.
following=false
stopped_following=false
# How long somebody may keep it from switching, in seconds.
quiet_s=${EDGEASSIST_QUIET_S:-1800}
quiet_poll_s=3

# Decides `follows`. Who has llama.cpp never goes back; who says --wait, or has a model for it only, waits for it.
decide_stages() {
  environment=$(environment_here)
  if [[ -n $wheelhouse ]] || $wait || $no_start || has_llama; then return; fi
  if needs_llama; then
    say "the model is one for llama.cpp, which therefore is compiled first: this takes minutes, on a Raspberry Pi" \
      "up to an hour"
    return
  fi
  follows=true
}

has_llama() { grep -qs llama "$prefix/current/share/extras"; }

# Whether ONNX Runtime GenAI can't serve the model that is asked for, or that the settings name.
needs_llama() {
  if [[ -n $model ]]; then [[ -f $model ]]; return; fi
  [[ -e $settings ]] && /usr/bin/python3 - "$settings" 2>>"$log" <<'END'
import pathlib, sys, tomllib
model = tomllib.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")).get("model", {})
path, backend = str(model.get("path", "builtin:")), model.get("backend", "auto")
file = backend == "auto" and not path.startswith("builtin:") and not pathlib.Path(path).is_dir()
sys.exit(0 if backend == "llama" or file else 1)
END
}

# What the second stage must know of this one's environment, for bash to read.
environment_here() {
  local name
  printf 'ready_s=%q\n' "$ready_s"
  for name in HOME TMPDIR CMAKE_ARGS CMAKE_BUILD_PARALLEL_LEVEL CC CXX {http,https,no}_proxy {HTTP,HTTPS,NO}_PROXY \
    SSL_CERT_FILE REQUESTS_CA_BUNDLE EDGEASSIST_QUIET_S "${!PIP_@}"; do
    [[ -z ${!name+set} ]] || printf 'export %s=%q\n' "$name" "${!name}"
  done
}

# --- What install.sh does of it ----------------------------------------------------------------

# An installation goes before what still follows from an earlier one, unless it would be the same.
stop_following() {
  [[ -e $follow_unit ]] && systemctl -q is-active $follow_name 2>/dev/null || return 0
  if $follows && ! $upgrade && [[ $(cat "$follow/identity" "$prefix/current/share/identity" 2>/dev/null | uniq) == \
    "$(identity_here)" ]]; then
    following=true
    return
  fi
  step "stop the compilation of llama.cpp in the background" systemctl stop $follow_name
  stopped_following=true
}

# For the caller's EXIT trap: what was stopped for an installation that failed goes on.
resume_following() {
  ! $stopped_following || $dry_run || systemctl start $follow_name >>"$log" 2>&1 || true
}

settle_following() {
  if $following; then
    say "llama.cpp is being compiled in the background already"
  elif $follows; then
    step "let llama.cpp follow: compile it in the background, and switch to it when it is ready" let_llama_follow
  elif [[ -e $follow_unit || -e $follow ]]; then
    step "remove what would have compiled llama.cpp in the background" remove_following
  fi
  stopped_following=false
}

let_llama_follow() {
  rm -rf "$follow.new"
  install -d -m 755 "$follow.new"
  tar -C "$root" --exclude=__pycache__ -cf - \
    scripts/install.sh scripts/lib config systemd edgeassist locks pyproject.toml README.md LICENSE |
    tar -C "$follow.new" --no-same-owner -xf -
  identity_here >"$follow.new/identity"
  # An index's address may hold a password.
  (umask 077 && echo "$environment" >"$follow.new/environment")
  rm -rf "$follow"
  mv -T "$follow.new" "$follow"
  install -m 644 "$root/systemd/$follow_name.service" "$follow_unit"
  systemctl daemon-reload
  enable_unit $follow_name
  systemctl reset-failed $follow_name >>"$log" 2>&1 || true
  systemctl restart $follow_name >>"$log" 2>&1 || fail "systemd can't start $follow_name; see $log"
}

remove_following() {
  [[ ! -e $follow_unit ]] || systemctl disable $follow_name >>"$log" 2>&1 || true
  rm -rf "$follow_unit" "$follow" "$follow.new"
  $no_start || systemctl daemon-reload
}

# --- The second stage, as the unit runs it -------------------------------------------------------

second_stage() {
  [[ $root == "$follow" ]] || fail "--second-stage is for $follow_name.service only"
  # shellcheck source=/dev/null
  source "$follow/environment"
  progress_s=600
  trap 'end_second_stage $?' EXIT
  trap 'exit 143' TERM HUP INT
  rm -f "$follow/problem"
  enable_unit $follow_name
  if switch_was_cut_short; then
    prove_switch
  else
    check_room
    begin_packages
    make_release
    await_quiet
    take_lock 600
    lay_unit_and_start
  fi
  say "llama.cpp is in use: EdgeAssist runs release $release, compiled and tried in" \
    "$((SECONDS / 60)) min $((SECONDS % 60)) s; ONNX models are still served by ONNX Runtime GenAI"
  remove_following
}

# Whether the power failed while the new release was to show that it works.
switch_was_cut_short() {
  [[ -s $follow/switching ]] || return
  release=$(readlink "$prefix/current")
  release=${release#releases/}
  read -r previous answered <"$follow/switching"
  [[ $release != "$previous" ]]
}

prove_switch() {
  say "the switch to release $release was cut short: trying that again"
  take_lock 600
  switched_from=$previous
  start
}

# Waits until nobody waits for an answer; where the service can't answer, there is nothing to wait for.
await_quiet() {
  local end=$((SECONDS + quiet_s)) idle=0 silent=0
  say "release $release is made, and waits for a moment without requests"
  while ((SECONDS < end)); do
    case $(requests_now) in
      0) silent=0; ((++idle < 2)) || return 0 ;;
      none) idle=0; ((++silent < 10)) || return 0 ;;
      *) idle=0 silent=0 ;;
    esac
    sleep $quiet_poll_s
  done
  say "there was none for $quiet_s s: switching now. What is being answered is answered to its end"
}

# How many requests run or wait; none where it does not answer.
requests_now() {
  "$command" status --json 2>>"$log" | /usr/bin/python3 -c '
import json, sys
try:
    health = json.load(sys.stdin)["health"]
    print(health["running"] + health["queued"] if health["state"] in {"ready", "busy"} else "none")
except (ValueError, KeyError):
    print("none")'
}

# What failed for want of a network is tried again soon, what was interrupted at the next boot, and everything else
# when somebody has mended it.
end_second_stage() {
  local status=$1
  cleanup
  # What pulled the plug on this is no failure.
  ((status != 0 && status != 143)) || exit "$status"
  printf '%s\n' "${failure:-it ended with status $status}" "$failure_hint" >"$follow/problem"
  if [[ $failure_cause == memory && ${CMAKE_BUILD_PARALLEL_LEVEL-} != 1 ]]; then
    say "trying again later with one compiler at a time"
    echo "export CMAKE_BUILD_PARALLEL_LEVEL=1" >>"$follow/environment"
    exit 75
  fi
  [[ $failure_cause != network ]] || exit 75
  systemctl disable $follow_name >>"$log" 2>&1 || true
  say "EdgeAssist goes on without llama.cpp. To try again: sudo systemctl start $follow_name"
  exit "$status"
}
