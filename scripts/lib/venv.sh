# shellcheck shell=bash disable=SC2154 # the variables are setup.sh's
# .venv, and the packages in it that need no compiler. Sourced by setup.sh.

: "${venv:?}" "${locks:?}"
unfinished=$venv/.unfinished
# What the index has as source only.
compiled=(llama-cpp-python systemd-python)

# What the first part was made from.
fingerprint() {
  { "$venv/bin/python" -VV && echo "$root" && cat "$root/pyproject.toml" "$locks"/*.txt; } 2>/dev/null | sha256sum
}

first_ready() {
  local now part
  [[ ! -e $unfinished ]] && now=$(fingerprint) || return 1
  for part in "${parts[@]}"; do
    [[ $(cat "$venv/.ready-$part" 2>/dev/null) == "$now" ]] || return 1
  done
}

# Half made, made by another Python, or moved here from another folder: not sound.
sound_venv() {
  [[ ! -e $unfinished ]] && grep -qsF "$venv/bin/" "$venv/bin/pip" &&
    "$venv/bin/python" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

install_wheels() {
  local lock stamp part
  if ! sound_venv; then
    say "making .venv with $("$python" -V)"
    "$python" -m venv --clear "$venv" >>"$log" 2>&1 || explain_and_fail "could not make .venv"
  fi
  llama_ready || remove_compiled
  rm -f "$venv"/.ready-run "$venv"/.ready-dev
  touch "$unfinished"
  # Now, not at the end: these files may change meanwhile.
  stamp=$(fingerprint)

  lock=$work/wheels.txt
  if [[ ${parts[*]} == *dev* ]]; then not_locked "$(lock_of dev)" "${compiled[@]}" >"$lock"
  else not_locked "$(lock_of llama,onnx)" "${compiled[@]}" >"$lock"; fi
  say "installing Python packages"
  if ! uv_install --require-hashes -r "$locks/pip.txt" -r "$lock"; then
    pip_install "updating pip" --require-hashes -r "$locks/pip.txt"
    pip_install "pip install" --require-hashes --no-deps --only-binary :all: -r "$lock"
  fi
  # No file of this checkout has a hash, so it goes by itself.
  pip_install "EdgeAssist" --no-deps --build-constraint "$locks/build.txt" -e "$root"

  for part in "${parts[@]}"; do echo "$stamp" >"$venv/.ready-$part"; done
  rm -f "$unfinished"
}

# Python compiles what it imports, when it does; all of it, here, would take longer than the rest.
pip_install() {
  local what=$1 status=0
  shift
  logged "$what" "$venv/bin/python" -m pip install -v --no-compile "$@" || status=$?
  ((status != 0)) || return 0
  # pip tidies up after its own failures, not after a signal: then .venv is made anew the next time.
  ((status > 128)) || rm -f "$unfinished"
  explain_and_fail "pip could not install ${*: -1}"
}

# uv_install ARGUMENT...: false where there is no uv, or it can't do what pip's settings ask for.
uv_install() {
  local said words
  command -v uv >/dev/null || return 1
  said=$("$venv/bin/python" -m pip config list | "$venv/bin/python" "$root/scripts/lib/uv.py" 2>&1) || {
    say "$said: using pip"
    return 1
  }
  mapfile -t words <<<"$said"
  logged "uv pip install" "${words[@]}" --python "$venv/bin/python" --no-deps --only-binary :all: "$@" && return
  say "uv could not do it (the log: $log): using pip"
  return 1
}
