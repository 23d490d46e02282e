# shellcheck shell=bash
# How llama.cpp is built. Sourced.

# llama_flags BOARD: the CMAKE_ARGS for native, x86-64-v3, pi4 or pi5. The vision library is left out: nothing
# uses it, and it takes half of the time.
llama_flags() {
  local flags=-DLLAVA_BUILD=OFF portable="-DGGML_NATIVE=OFF"
  case $1 in
    native) ;;
    x86-64-v3)
      flags+=" $portable -DGGML_SSE42=ON -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_BMI2=ON -DGGML_FMA=ON -DGGML_F16C=ON"
      ;;
    # Cortex-A72 and Cortex-A76.
    pi4) flags+=" $portable -DGGML_CPU_ARM_ARCH=armv8-a" ;;
    pi5) flags+=" $portable -DGGML_CPU_ARM_ARCH=armv8.2-a+dotprod+fp16" ;;
    *) return 1 ;;
  esac
  echo "$flags"
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

# prepare_build FOLDER: the environment for a pip that compiles, with its temporary files in FOLDER.
prepare_build() {
  local jobs
  jobs=$(nproc)
  # One compiler takes up to 620 MB.
  (($(awk '/^MemTotal/ {print $2}' /proc/meminfo) >= 2000000)) || jobs=1
  export CMAKE_ARGS=${CMAKE_ARGS-$(llama_flags "$(this_board)")}
  export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$jobs}
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
