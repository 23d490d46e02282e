# shellcheck shell=bash
# How llama.cpp is built. Sourced.

# llama_flags BOARD: the CMAKE_ARGS for native, x86-64-v3, pi4 or pi5.
llama_flags() {
  local portable="-DGGML_NATIVE=OFF"
  case $1 in
    # llama.cpp's own default.
    native) echo -DGGML_NATIVE=ON ;;
    x86-64-v3)
      echo "$portable -DGGML_SSE42=ON -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_BMI2=ON -DGGML_FMA=ON -DGGML_F16C=ON"
      ;;
    # Cortex-A72 and Cortex-A76.
    pi4) echo "$portable -DGGML_CPU_ARM_ARCH=armv8-a" ;;
    pi5) echo "$portable -DGGML_CPU_ARM_ARCH=armv8.2-a+dotprod+fp16" ;;
    *) return 1 ;;
  esac
}

# this_board: what this machine is, in llama_flags' words.
this_board() {
  local model=
  [[ ! -r /proc/device-tree/model ]] || model=$(tr -d '\0' </proc/device-tree/model)
  case $model in
    *"Raspberry Pi 5"* | *"Raspberry Pi Compute Module 5"*) echo pi5 ;;
    *"Raspberry Pi 3"* | *"Raspberry Pi 4"* | *"Raspberry Pi Zero 2"* | *"Raspberry Pi Compute Module "[34]*) echo pi4 ;;
    *) echo native ;;
  esac
}

# What one compiler takes at most (measured).
compiler_mb=620
# What a machine must have in all, memory and swap, for one compiler.
build_needs_mb=900

# free_mb_for_build [ROOT]: memory that a build can have: what the machine and every cgroup above leave. ROOT stands in
# for / in tests.
free_mb_for_build() {
  least_mb "$(awk '/^MemAvailable/ {print int($2 / 1024)}' "${1-}/proc/meminfo")" cgroup_leaves_mb "${1-}"
}

# most_mb_for_build [ROOT]: memory and swap in all, of the machine, and memory of the cgroups above.
most_mb_for_build() {
  local swap
  swap=$(awk '/^SwapTotal/ {print int($2 / 1024)}' "${1-}/proc/meminfo")
  echo $(($(least_mb "$(awk '/^MemTotal/ {print int($2 / 1024)}' "${1-}/proc/meminfo")" cgroup_has_mb "${1-}") + swap))
}

# least_mb MB COMMAND ROOT: the machine's MB, or what the command prints for a cgroup above, where that is less.
least_mb() {
  local least=$1 root=$3 folder limit
  folder=$(sed -n 's/^0:://p' "$root/proc/self/cgroup" 2>/dev/null)
  while [[ -n $folder ]]; do
    limit=$("$2" "$root/sys/fs/cgroup${folder%/}")
    ((${limit:-least} >= least)) || least=$limit
    [[ $folder != / ]] || break
    folder=${folder%/*}
    folder=${folder:-/}
  done
  echo "$least"
}

# cgroup_has_mb FOLDER: nothing where it has no limit.
cgroup_has_mb() {
  local most
  most=$(cat "$1/memory.max" 2>/dev/null) && [[ $most =~ ^[0-9]+$ ]] || return 0
  echo $((most / 1048576))
}

# cgroup_leaves_mb FOLDER: nothing where it has no limit. What was read from disk makes room when asked.
cgroup_leaves_mb() {
  local most used cached
  most=$(cat "$1/memory.max" 2>/dev/null) && [[ $most =~ ^[0-9]+$ ]] || return 0
  used=$(cat "$1/memory.current" 2>/dev/null) || return 0
  cached=$(awk '$1 == "inactive_file" {print $2}' "$1/memory.stat" 2>/dev/null)
  most=$(((most - used + ${cached:-0}) / 1048576))
  echo $((most > 0 ? most : 0))
}

# build_jobs CORES [ROOT]: how many compilers at once.
build_jobs() {
  local fit
  fit=$(($(free_mb_for_build "${2-}") / compiler_mb))
  ((fit >= 1)) || fit=1
  echo $((fit < $1 ? fit : $1))
}

# be_gentle: from here on this shell and what it starts take what nobody else wants of processors and disk. Without
# `nice`, the time would count as somebody's work, and the engine would make room for it. Without memory, this goes first.
# For a session of its own (setsid): the kernel shares processors between sessions first (autogroup in sched(7)), where
# neither `nice` nor the idle class counts.
be_gentle() {
  {
    echo 1000 >/proc/self/oom_score_adj
    echo 19 >/proc/self/autogroup
    renice -n 19 -p "$BASHPID"
    ionice -c 3 -p "$BASHPID"
    chrt --idle -p 0 "$BASHPID"
  } >/dev/null 2>&1 || true
}

# prepare_build FOLDER: the environment for a pip that compiles, with its temporary files in FOLDER.
prepare_build() {
  local here
  here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
  export CMAKE_ARGS=${CMAKE_ARGS-$(llama_flags "$(this_board)")}
  export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(build_jobs "$(nproc)")}
  # Of 127 files (178 with the vision library) 70 are compiled.
  export SKBUILD_CMAKE_DEFINE="CMAKE_PROJECT_llama_cpp_INCLUDE=$here/llama.cmake"
  export SKBUILD_BUILD_TARGETS=llama
  # llama.cpp takes it for a wish for a portable, slow build.
  unset SOURCE_DATE_EPOCH
  # /tmp lies in memory on Debian 13, and the build tree is large.
  export TMPDIR=${TMPDIR:-$1}
  mkdir -p "$TMPDIR"
}

# this_cpu: a name of this machine's processor; its code numbers on ARM, which has no other name.
this_cpu() {
  awk -F': *' '/^model name/ {name = $2; exit} /^CPU part/ {parts[$2]} END {
    for (part in parts) name = name (name ? " " : "") part
    print name ? name : "unknown"
  }' /proc/cpuinfo
}
