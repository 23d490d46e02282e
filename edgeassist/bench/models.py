"""The random-weight models that `bench` measures, made once and kept in the user's cache.

They never end an answer by themselves, so streams last as long as a scenario needs.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from edgeassist.errors import ConfigurationError, ModelError
from edgeassist.models.files.gguf import FILE_TYPES
from edgeassist.trial_models.synthetic import SHAPES, Shape, write_gguf
from edgeassist.trial_models.vocabulary import Turns

_NUMBERS = {name.lower(): number for number, name in FILE_TYPES.items()}
_F16 = "f16"
# The quantization of an ONNX model folder.
INT4 = "int4"


def synthetic_models(
    folder: Path, shape: str, quantizations: Sequence[str], *, threads: int, on_step: Callable[[str], None]
) -> list[Path]:
    """Return a model file or folder for each quantization, making missing ones, which takes minutes.

    Args:
        folder: The cache; created if missing.
        shape: A key of `SHAPES`.
        quantizations: llama.cpp names such as `q4_k_m`, or `int4` for an ONNX Runtime GenAI folder.
        threads: Threads for quantizing.
        on_step: Called with a description before each slow step.

    Raises:
        ConfigurationError: A shape or quantization is unknown.
        ModelError: A model can't be written.
    """
    if shape not in SHAPES:
        raise ConfigurationError(f"--synthetic: {shape!r} is none of: {', '.join(SHAPES)}")
    unknown = [name for name in quantizations if name not in {*_NUMBERS, INT4}]
    if unknown:
        raise ConfigurationError(f"--quant: {unknown[0]!r} is none of: {', '.join([*_NUMBERS, INT4])}")
    suffixes = {INT4: "-onnx"}
    # By the number of weights, too: files of a shape that was corrected since are of no use.
    size = f"{SHAPES[shape].parameters // 1000}k"
    paths = {
        name: folder / f"{shape}-{size}-{Turns.ENDLESS}-{name}{suffixes.get(name, '.gguf')}"
        for name in quantizations
    }
    missing = {name: path for name, path in paths.items() if not path.exists()}
    if missing:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _make(folder, SHAPES[shape], missing, threads, on_step)
        except OSError as error:
            raise ModelError(
                f"can't write the models of the bench to {folder}: {error.strerror}: they need up to 4 bytes "
                "a weight there (another place: the environment variable XDG_CACHE_HOME)"
            ) from error
    return list(paths.values())


def _make(
    folder: Path, shape: Shape, missing: dict[str, Path], threads: int, on_step: Callable[[str], None]
) -> None:
    """Write missing models. GGUF files are quantized from the f16 one, which is kept only if asked for."""
    if INT4 in missing:
        from edgeassist.trial_models.synthetic_onnx import write_onnx  # noqa: PLC0415 - needs onnx, of an extra

        on_step(f"writing {shape.parameters / 1e6:,.0f} M random weights in blocks of four bits")
        write_onnx(missing.pop(INT4), shape, turns=Turns.ENDLESS)
    if not missing:
        return
    with tempfile.TemporaryDirectory(dir=folder, prefix=".bench.") as name:
        source = folder / f"{shape.name}-{shape.parameters // 1000}k-{Turns.ENDLESS}-{_F16}.gguf"
        if not source.exists():
            on_step(f"writing {shape.parameters / 1e6:,.0f} M random weights")
            source = missing.get(_F16, Path(name) / source.name)
            write_gguf(source, shape, turns=Turns.ENDLESS)
        for quantization, path in missing.items():
            if quantization != _F16:
                on_step(f"quantizing them to {quantization}")
                unfinished = Path(name) / path.name
                _quantize(source, unfinished, quantization, threads)
                unfinished.replace(path)


def _quantize(source: Path, target: Path, quantization: str, threads: int) -> None:
    arguments = ("quantize", str(source), str(target), str(_NUMBERS[quantization]), str(threads))
    done = subprocess.run(  # noqa: S603 - the command is ours
        [sys.executable, "-P", "-m", "edgeassist.bench.bare", *arguments],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise ModelError(f"quantizing to {quantization} failed: {lines[-1] if lines else done.returncode}")
