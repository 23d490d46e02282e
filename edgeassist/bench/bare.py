"""A bare loop over llama.cpp's low-level API: the baseline of `bench`. Runs as a child process.

It shares no code with the engine, so overhead in the engine can't hide in the baseline. Two commands:

`python -m edgeassist.bench.bare loop MODEL THREADS CONTEXT BATCH` loads the model and writes a line of
facts. For each line `{"prompt_tokens": N, "steps": N, "seed": N}` on stdin it then writes a line
`{"ttft_s": …, "decode_s": …}`: seconds to the first token, and for the `steps` tokens after it. It ignores
end-of-turn tokens. All lines are JSON; llama.cpp logs to stderr.

`python -m edgeassist.bench.bare quantize SOURCE TARGET TYPE THREADS` writes a quantized copy; TYPE is
llama.cpp's file type number.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time
from typing import Any

import llama_cpp
import numpy as np

# Lower ids are bytes and control tokens in some vocabularies; all other tokens cost the same.
FIRST_WORD = 300


class BareLoop:
    """One sequence, greedy, one `llama_decode` per token.

    Args:
        path: A GGUF file.
        threads: For prefill and decode.
        context: The most tokens of prompt and answer together.
        batch: The most prompt tokens per `llama_decode`.
    """

    def __init__(self, path: str, threads: int, context: int, batch: int) -> None:
        model_params = llama_cpp.llama_model_default_params()
        model_params.load_mode = llama_cpp.LLAMA_LOAD_MODE_NONE
        model_params.n_gpu_layers = 0
        self._model = llama_cpp.llama_model_load_from_file(path.encode(), model_params)
        if not self._model:
            raise SystemExit(f"llama.cpp can't load {path}")
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = context
        params.n_batch = params.n_ubatch = batch
        params.n_threads = params.n_threads_batch = threads
        params.no_perf = True
        self._context = llama_cpp.llama_init_from_model(self._model, params)
        if not self._context:
            raise SystemExit(f"llama.cpp can't make a context of {context} tokens")
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._sampler = llama_cpp.llama_sampler_init_greedy()
        vocab = llama_cpp.llama_model_get_vocab(self._model)
        self._vocabulary = llama_cpp.llama_vocab_n_tokens(vocab)
        self._batch = batch
        self._make_batch(batch)

    def run(self, prompt_tokens: int, steps: int, seed: int) -> tuple[float, float]:
        """Prefill a random prompt and generate; return seconds to the first token and for the steps after it.

        Args:
            prompt_tokens: At least 1.
            steps: Tokens to generate after the first one.
            seed: Seed of the random prompt.
        """
        llama_cpp.llama_memory_clear(self._memory, True)  # noqa: FBT003 - ctypes takes no keywords
        prompt = np.random.default_rng(seed).integers(
            FIRST_WORD, self._vocabulary, prompt_tokens, dtype=np.int32
        )
        begun = time.perf_counter()
        for start in range(0, prompt_tokens, self._batch):
            part = prompt[start : start + self._batch]
            self._token[: len(part)] = part
            self._position[: len(part)] = self._count[: len(part)] + start
            self._wanted[:] = 0
            self._wanted[len(part) - 1] = start + len(part) == prompt_tokens
            self._decode(len(part))
        token = self._sample()
        first = time.perf_counter()
        self._wanted[0] = 1
        for position in range(prompt_tokens, prompt_tokens + steps):
            self._token[0] = token
            self._position[0] = position
            self._decode(1)
            token = self._sample()
        return first - begun, time.perf_counter() - first

    def _decode(self, tokens: int) -> None:
        self._struct.n_tokens = tokens
        status = llama_cpp.llama_decode(self._context, self._struct)
        if status != 0:
            raise SystemExit(f"llama_decode returned {status}")

    def _sample(self) -> int:
        return int(llama_cpp.llama_sampler_sample(self._sampler, self._context, -1))

    def _make_batch(self, size: int) -> None:
        self._count = np.arange(size, dtype=np.int32)
        self._token = np.zeros(size, np.int32)
        self._position = np.zeros(size, np.int32)
        self._wanted = np.zeros(size, np.int8)
        self._ones = np.ones(size, np.int32)
        self._zero = np.zeros(1, np.int32)
        # One pointer per token to its sequence ids; all tokens belong to sequence 0.
        self._sequence = np.full(size, self._zero.ctypes.data, np.uintp)
        self._struct = llama_cpp.llama_batch(
            n_tokens=0,
            token=_pointer(self._token, llama_cpp.llama_token),
            embd=None,
            pos=_pointer(self._position, llama_cpp.llama_pos),
            n_seq_id=_pointer(self._ones, ctypes.c_int32),
            seq_id=_pointer(self._sequence, ctypes.POINTER(llama_cpp.llama_seq_id)),
            logits=_pointer(self._wanted, ctypes.c_int8),
        )


def _pointer(array: np.ndarray[Any, Any], kind: Any) -> Any:
    return array.ctypes.data_as(ctypes.POINTER(kind))


def serve(path: str, threads: int, context: int, batch: int) -> None:
    """Load the model and answer measurement requests from stdin until it closes."""
    begun = time.perf_counter()
    loop = BareLoop(path, threads, context, batch)
    _say(
        load_s=time.perf_counter() - begun,
        binding=llama_cpp.__version__,
        system=llama_cpp.llama_print_system_info().decode().strip(" |\n"),
    )
    for line in sys.stdin:
        ttft, decode = loop.run(**json.loads(line))
        _say(ttft_s=ttft, decode_s=decode)


def quantize(source: str, target: str, file_type: int, threads: int) -> None:
    """Write a quantized copy of a model."""
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = file_type
    params.nthread = threads
    # Also from Q8_0, whose error is small beside that of four bits.
    params.allow_requantize = True
    status = llama_cpp.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(params))
    if status != 0:
        raise SystemExit(f"llama.cpp can't quantize {source} to file type {file_type}")


def _say(**facts: float | str) -> None:
    print(json.dumps(facts), flush=True)


def main() -> None:
    """Run the command named in `sys.argv`."""
    llama_cpp.llama_backend_init()
    match sys.argv[1:]:
        case ["loop", path, threads, context, batch]:
            serve(path, int(threads), int(context), int(batch))
        case ["quantize", source, target, file_type, threads]:
            quantize(source, target, int(file_type), int(threads))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
