"""Whether the model can be loaded, fits, and is in a form that this processor is fast with. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgeassist.doctor.finding import Finding, ok, problem, skipped, warning

_AREA = "model"
_MIB = 1 << 20
# Daemon and engine without weights and KV memory, as measured.
_PROGRAMS_BYTES = 120 * _MIB
# Of what can be had; beyond, the smallest other program brings the OOM killer.
_BARELY = 0.8
# llama.cpp has no kernels with repacked weights for these on ARM (ggml/src/ggml-cpu/repack.cpp).
_SLOW_ON_ARM = frozenset({"Q5_0", "Q5_1"})
_ARM = frozenset({"aarch64", "arm64"})
_PACKAGES = {"llama": "edgeassist[llama]", "onnx": "edgeassist[onnx]"}


@dataclass(frozen=True, slots=True)
class ModelSnapshot:
    """What was found of the model; sizes in bytes, None is what is not known.

    Attributes:
        backend: That serves it: `llama`, `onnx` or `scripted`.
        machine: The processor's kind, as `uname -m` says.
        builtin: Whether it comes with the package.
        python: The interpreter that the packages are for.
        refusal: Why it can't be a model, in words that say what to do.
        user: As whom the service runs.
        readable: Whether that user may read it; None where that can't be told.
        hidden: Whether it is for the service's user, and not for who runs this.
        backend_installed: Whether the backend's package is there.
        size_bytes: Of the weights.
        kv_bytes_per_token: What KV memory takes for a token, over all layers.
        context: Tokens of `model.context`.
        trained_context: What it was trained for.
        quantization: As the file calls it.
        weights: The type of most of its weights.
        available_bytes: What can be had without swapping; what the running engine has counts as available.
        swap_bytes: How much swap there is.
    """

    path: Path
    backend: str
    machine: str
    builtin: bool = False
    python: str = "python"
    refusal: str | None = None
    user: str = ""
    readable: bool | None = None
    hidden: bool = False
    backend_installed: bool = True
    size_bytes: int = 0
    kv_bytes_per_token: int = 0
    context: int = 0
    trained_context: int = 0
    quantization: str = ""
    weights: str = ""
    available_bytes: int | None = None
    swap_bytes: int | None = None


def check_model(snapshot: ModelSnapshot) -> Iterator[Finding]:
    """Judge the model."""
    if snapshot.backend == "scripted":
        yield warning(
            _AREA,
            'model.backend is "scripted": prompts are answered with themselves',
            'set model.path to a model and model.backend to "auto"',
        )
        return
    if snapshot.hidden:
        yield skipped(
            _AREA, f"not checked: this user may not look at {snapshot.path}", "sudo edgeassist doctor"
        )
        return
    if not snapshot.backend_installed:
        package = _PACKAGES[snapshot.backend]
        yield problem(
            _AREA,
            f"the backend {snapshot.backend} is not installed",
            f"{snapshot.python} -m pip install '{package}'",
        )
    if snapshot.readable is False:
        yield problem(
            _AREA,
            f"the service's user {snapshot.user} may not read {snapshot.path}",
            f"sudo chmod a+r '{snapshot.path}', and a+x for the folders above it",
        )
    if snapshot.refusal is not None:
        yield problem(_AREA, snapshot.refusal, "edgeassist check-config --offline")
        return
    healthy = snapshot.backend_installed and snapshot.readable is not False
    if healthy:
        form = f"{snapshot.backend} {snapshot.quantization}".rstrip()
        limits = "; knows a home's commands and sensors only" if snapshot.builtin else ""
        yield ok(_AREA, f"{snapshot.path}: {form}, {snapshot.size_bytes // _MIB} MiB{limits}")
    yield from _check_memory(snapshot)
    yield from _check_form(snapshot)


def needed_bytes(snapshot: ModelSnapshot) -> int:
    """Return what daemon, engine, weights and one full context take."""
    tokens = min(snapshot.context, snapshot.trained_context or snapshot.context)
    return snapshot.size_bytes + snapshot.kv_bytes_per_token * tokens + _PROGRAMS_BYTES


def _check_memory(snapshot: ModelSnapshot) -> Iterator[Finding]:
    available = snapshot.available_bytes
    if available is None:
        return
    needed = needed_bytes(snapshot)
    told = (
        f"weights and {snapshot.context} tokens of context need {needed // _MIB} MiB, and "
        f"{available // _MIB} MiB"
    )
    if needed > available:
        yield problem(
            _AREA,
            f"{told} can be had",
            "lower model.context, or choose a smaller model: edgeassist recommend",
        )
    elif needed > _BARELY * available and not snapshot.swap_bytes:
        yield warning(
            _AREA,
            f"{told} can be had without any swap: little is left for everything else",
            "lower model.context, or add swap: sudo apt-get install zram-tools",
        )


def _check_form(snapshot: ModelSnapshot) -> Iterator[Finding]:
    # The default of `model.context` is more than the built-in model has: nobody has set anything wrong.
    if 0 < snapshot.trained_context < snapshot.context and not snapshot.builtin:
        yield warning(
            _AREA,
            f"model.context is {snapshot.context} and the model was trained for {snapshot.trained_context}, "
            "which is what it gets",
            f"set model.context to {snapshot.trained_context} or less",
        )
    if snapshot.machine in _ARM and snapshot.weights in _SLOW_ON_ARM:
        called = "" if snapshot.quantization == snapshot.weights else f" of this {snapshot.quantization} file"
        yield warning(
            _AREA,
            f"most weights{called} are {snapshot.weights}, for which llama.cpp has no fast kernel on ARM; "
            "Q4_0 has one",
            "choose the same model as Q4_0 (docs/models.md)",
        )
