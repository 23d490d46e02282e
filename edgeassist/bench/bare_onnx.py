"""A bare loop over ONNX Runtime GenAI: the baseline of `bench`. Runs as a child process.

It shares no code with the engine and leaves sampling to the library. Same protocol as `bench/bare`:
`python -m edgeassist.bench.bare_onnx loop FOLDER THREADS CONTEXT BATCH`. The prompt is appended in one call,
as in the library's examples; BATCH is ignored.
"""

from __future__ import annotations

import json
import os
import sys
import time

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import numpy as np
import onnxruntime_genai as genai

# Lower ids are bytes and control tokens in some vocabularies; all other tokens cost the same.
FIRST_WORD = 300
LAST_WORD = 30_000


class BareLoop:
    """One sequence, greedy.

    Args:
        path: A model folder.
        threads: For prefill and decode.
        context: The most tokens of prompt and answer together.
    """

    def __init__(self, path: str, threads: int, context: int) -> None:
        config = genai.Config(path)
        session = {"intra_op_num_threads": threads, "inter_op_num_threads": 1}
        config.overlay(json.dumps({"model": {"decoder": {"session_options": session}}}))
        self._model = genai.Model(config)
        self._params = genai.GeneratorParams(self._model)
        self._params.set_search_options(max_length=context, do_sample=False)
        with open(os.path.join(path, "genai_config.json"), encoding="utf-8") as file:  # noqa: PTH118, PTH123
            self._words = min(LAST_WORD, int(json.load(file)["model"]["vocab_size"]))

    def run(self, prompt_tokens: int, steps: int, seed: int) -> tuple[float, float]:
        """Prefill a random prompt and generate; return seconds to the first token and for the steps after it.

        Args:
            prompt_tokens: At least 1.
            steps: Tokens to generate after the first one.
            seed: Seed of the random prompt.
        """
        generator = genai.Generator(self._model, self._params)
        random = np.random.default_rng(seed)
        prompt = random.integers(FIRST_WORD, self._words, prompt_tokens, dtype=np.int32)
        begun = time.perf_counter()
        generator.append_tokens(prompt)
        generator.generate_next_token()
        first = time.perf_counter()
        for _ in range(steps):
            if generator.is_done():
                # The library stops at an end-of-turn token; appending a token costs the same.
                generator.append_tokens(prompt[:1])
            else:
                generator.generate_next_token()
        return first - begun, time.perf_counter() - first


def serve(path: str, threads: int, context: int) -> None:
    """Load the model and answer measurement requests from stdin until it closes."""
    begun = time.perf_counter()
    loop = BareLoop(path, threads, context)
    _say(load_s=time.perf_counter() - begun, binding=genai.__version__, system="")
    for line in sys.stdin:
        ttft, decode = loop.run(**json.loads(line))
        _say(ttft_s=ttft, decode_s=decode)


def _say(**facts: float | str) -> None:
    print(json.dumps(facts), flush=True)


def main() -> None:
    """Run the command named in `sys.argv`."""
    match sys.argv[1:]:
        case ["loop", path, threads, context, _batch]:
            serve(path, int(threads), int(context))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
