"""What llama.cpp allocates for models of metadata only: a program, since a failed assertion ends it.

Reads lines of JSON, `{path, tokens, sequences, rows, whole_windows, flash}`, and writes the MiB for each.
"""

from __future__ import annotations

import ctypes
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import llama_cpp

from edgeassist.models.kv import Manner
from tests.architectures import made_by_llama_cpp

_BUFFER = re.compile(r"(?:KV|RS) buffer size = +([\d.]+) MiB")


@dataclass(frozen=True)
class Case:
    """A model and how its KV cache is wanted."""

    path: str
    tokens: int
    sequences: int
    rows: int
    whole_windows: bool
    flash: bool


def case_of(path: Path, tokens: int, manner: Manner) -> Case:
    return Case(str(path), tokens, manner.sequences, manner.rows, manner.whole_windows, manner.flash)


def allocations(cases: Sequence[Case]) -> Iterator[float | None]:
    """Yield what each takes, in MiB; None where llama.cpp ends its process."""
    left = list(cases)
    while left:
        lines = "".join(json.dumps(asdict(case)) + "\n" for case in left)
        done = subprocess.run(
            [sys.executable, "-m", __name__], input=lines, capture_output=True, text=True, check=False
        )
        found = [float(line) for line in done.stdout.split()]
        yield from found
        left = left[len(found) :]
        if left:
            yield None
            left = left[1:]


def main() -> None:
    logged: list[str] = []
    callback = llama_cpp.llama_log_callback(lambda _level, text, _data: logged.append(text.decode("latin-1")))
    llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
    for line in sys.stdin:
        case = Case(**json.loads(line))
        logged.clear()
        with made_by_llama_cpp(Path(case.path)) as model:
            params = llama_cpp.llama_context_default_params()
            params.n_ctx, params.n_seq_max, params.kv_unified = case.tokens, case.sequences, True
            params.n_batch = params.n_ubatch = case.rows
            params.swa_full = case.whole_windows
            params.flash_attn_type = int(case.flash)
            context = llama_cpp.llama_init_from_model(model, params)
            assert context, logged[-4:]
            llama_cpp.llama_free(context)
        print(sum(float(size) for size in _BUFFER.findall("".join(logged))), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
