# shellcheck shell=bash disable=SC2154 # the variables are setup.sh's
# llama.cpp and systemd-python: compiled, and put into .venv in one step. Sourced by setup.sh.

: "${venv:?}" "${work:?}" "${locks:?}" "${compiled:?}"

llama_fingerprint() {
  { "$venv/bin/python" -VV && locked "$(lock_of llama)" "${compiled[@]}"; } 2>/dev/null | sha256sum
}

llama_ready() {
  [[ ! -e $unfinished && $(cat "$venv/.ready-llama" 2>/dev/null) == "$(llama_fingerprint)" ]]
}

# refuse_compiling HOW: says with `say` or `fail` why nothing can be compiled here; true where it can.
refuse_compiling() {
  local missing mb
  python=$venv/bin/python
  mb=$(most_mb_for_build)
  if ((mb < build_needs_mb)); then
    "$1" "llama.cpp can't be compiled here: it takes $build_needs_mb MB of memory and swap, and there are $mb here." \
      "ONNX Runtime GenAI serves instead"
    return 1
  fi
  mapfile -t missing < <(missing_for_compiler)
  if ((${#missing[@]} > 0)) && ! has_root; then
    "$1" "llama.cpp can't be compiled yet, and ONNX Runtime GenAI serves: only root can install what is missing:" \
      "sudo apt-get update && sudo apt-get install --no-install-recommends ${missing[*]}"
    return 1
  fi
}

# compile: does all of the second part. Whoever calls it has the lock 8.
compile() {
  local missing stamp
  python=$venv/bin/python
  stamp=$(llama_fingerprint)
  mapfile -t missing < <(missing_for_compiler)
  if ((${#missing[@]} > 0)); then
    find_root "${missing[@]}"
    (install_packages "${missing[@]}") ||
      fail "llama.cpp can't be compiled without these packages; ONNX Runtime GenAI serves, and the next run tries again"
  fi
  rm -rf "$work/tmp" "$work/compiled"
  prepare_build "$work/tmp"
  say "compiling llama.cpp, unless pip has it in its cache"
  locked "$(lock_of llama)" "${compiled[@]}" >"$work/compiled.txt"
  logged "compiling" "$python" -m pip wheel -v --require-hashes --no-deps --build-constraint "$locks/build.txt" \
    -w "$work/compiled" -r "$work/compiled.txt" ||
    explain_and_fail "llama.cpp could not be compiled; ONNX Runtime GenAI serves, and the next run tries again"
  put_in_place
  rm -rf "$work/tmp" "$work/compiled"
  say "llama.cpp is ready"
}

# Packages come within minutes, whatever the network is like.
lock_packages() { flock -w 3600 9 || fail "another set-up has not ended within an hour: $work/log"; }

# What imports these packages finds all of one or nothing of it, whenever this is interrupted.
put_in_place() {
  local site staged name versions
  exec 9>"$work/lock"
  lock_packages
  [[ $(llama_fingerprint) == "$stamp" ]] || fail "the lock has changed meanwhile: the next run compiles again"
  site=$(site_packages)
  staged=$site/.compiled
  rm -rf "$staged"
  mapfile -t versions < <(constraints "$work/compiled.txt")
  logged "installing" "$python" -m pip install -v --no-deps --no-index --find-links "$work/compiled" --target "$staged" \
    "${versions[@]}" || explain_and_fail "pip could not install what was compiled"
  remove_compiled
  # What decides whether llama.cpp is there comes last.
  for name in "$staged"/*; do
    name=${name##*/}
    [[ $name == llama_cpp ]] || place "$name"
  done
  place llama_cpp
  rm -rf "$staged"
  echo "$stamp" >"$venv/.ready-llama"
  exec 9>&-
}

place() {
  rm -rf "${site:?}/$1"
  mv -T "$staged/$1" "$site/$1"
}

# Those of another lock: a newer EdgeAssist beside an older llama.cpp is no pair that anybody has tried.
remove_compiled() {
  local site
  site=$(site_packages)
  rm -rf "$venv/.ready-llama" "$site"/llama_cpp "$site"/llama_cpp_python-*.dist-info "$site"/systemd \
    "$site"/systemd_python-*.dist-info
}

site_packages() { "$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))'; }
