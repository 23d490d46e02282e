"""Whether the model can be loaded, fits, and is in a form that this processor is fast with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from edgeassist.doctor.finding import ok, problem, skipped, warning
from edgeassist.models.fit import Demand, Memory, Misfit, Weights, judge, kept_bytes, kept_tokens
from edgeassist.protocol.findings import Finding

_AREA = "model"
_MIB = 1 << 20
# The share of free memory beyond which, without swap, a small other program brings the OOM killer.
_BARELY = 0.8
# llama.cpp has no kernels with repacked weights for these on ARM (ggml/src/ggml-cpu/repack.cpp).
_SLOW_ON_ARM = frozenset({"Q5_0", "Q5_1"})
_ARM = frozenset({"aarch64", "arm64"})
_PACKAGES = {"llama": "edgeassist[llama]", "onnx": "edgeassist[onnx]"}


@dataclass(frozen=True, slots=True)
class ModelSnapshot:
    """What the probe found about the model; None is what could not be told.

    Attributes:
        path: `model.path`, or what was chosen since.
        backend: The backend that serves it: `llama`, `onnx` or `scripted`.
        machine: The processor's kind, as `uname -m` says.
        demand: The settings that decide whether it fits.
        builtin: Whether it comes with the package.
        chosen: Whether it was chosen (`edgeassist models use`), and is not the configured one.
        note: Why a choice is not followed.
        python: The interpreter that the packages are for.
        refusal: Why it is not a model that can be loaded, and what to do.
        user: The user that the service runs as.
        readable: Whether that user may read it.
        barred: The file of it that this user may not read, where it is another than `path`.
        hidden: Whether the service's user may read it and the one who runs this may not.
        backend_installed: Whether the backend's package is installed.
        weights: What its memory follows from.
        quantization: As the file calls it.
        main_type: The type that most weights are stored as.
        memory: Free and in total; what the running engine has counts as free.
        swap_bytes: How much swap there is.
        template: `model.template`.
        template_refusal: Why that file can't be read, and what to do.
        has_template: Whether the model has a chat template of its own.
        state_bytes: `engine.state_mb` in bytes, which is the most that a prompt's state may take on disk.
        made_for: What else than a CPU it was built for; empty: nothing.
    """

    path: Path
    backend: str
    machine: str
    demand: Demand
    builtin: bool = False
    chosen: bool = False
    note: str | None = None
    python: str = "python"
    refusal: str | None = None
    user: str = ""
    readable: bool | None = None
    barred: Path | None = None
    hidden: bool = False
    backend_installed: bool = True
    weights: Weights | None = None
    quantization: str = ""
    main_type: str = ""
    memory: Memory = field(default_factory=Memory)
    swap_bytes: int | None = None
    template: Path | None = None
    template_refusal: str | None = None
    has_template: bool = True
    state_bytes: int = 0
    made_for: str = ""


def check_model(snapshot: ModelSnapshot) -> Iterator[Finding]:
    """Judge the model."""
    if snapshot.note is not None:
        yield warning(_AREA, snapshot.note, "edgeassist models use NAME, or edgeassist models use default")
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
        barred = snapshot.barred or snapshot.path
        yield problem(
            _AREA,
            f"the service's user {snapshot.user} may not read {barred}",
            f"sudo chmod a+r '{barred}', and a+x for the folders above it",
        )
    if snapshot.refusal is not None:
        yield problem(_AREA, snapshot.refusal, "edgeassist check-config --offline")
        return
    if (weights := snapshot.weights) is None:
        return
    healthy = snapshot.backend_installed and snapshot.readable is not False
    if healthy:
        form = f"{snapshot.backend} {snapshot.quantization}".rstrip()
        limits = "; knows a home's commands and sensors only" if snapshot.builtin else ""
        limits += "; chosen by edgeassist models use" if snapshot.chosen else ""
        yield ok(_AREA, f"{snapshot.path}: {form}, {weights.size_bytes // _MIB} MiB{limits}")
    yield from _check_template(snapshot)
    yield from _check_memory(snapshot, weights)
    yield from _check_form(snapshot, weights)


def _check_template(snapshot: ModelSnapshot) -> Iterator[Finding]:
    if snapshot.template_refusal is not None:
        yield problem(_AREA, snapshot.template_refusal, "edgeassist check-config --offline")
    elif snapshot.template is None and not snapshot.has_template:
        yield warning(
            _AREA,
            "the model has no chat template: it gets bare texts, and can't tell who said what",
            "set model.template to a file with its template (docs/models.md), or choose an instruct model",
        )


def _check_memory(snapshot: ModelSnapshot, weights: Weights) -> Iterator[Finding]:
    verdict = judge(weights, snapshot.demand, snapshot.memory)
    free = snapshot.memory.free
    if isinstance(verdict, Misfit):
        yield problem(_AREA, verdict.text, verdict.remedy)
    elif free is not None and verdict.needed_bytes > _BARELY * free and not snapshot.swap_bytes:
        yield warning(
            _AREA,
            f"weights, KV cache, daemon and engine need {verdict.needed_bytes // _MIB} MiB, and "
            f"{free // _MIB} MiB of memory are free, without any swap: little is left for everything else",
            "lower model.context, or add swap: sudo apt-get install zram-tools",
        )
    elif snapshot.backend == "llama" and snapshot.state_bytes:
        yield from _check_state(snapshot, weights, verdict.context)


def _check_state(snapshot: ModelSnapshot, weights: Weights, context: int) -> Iterator[Finding]:
    """A prompt that fills half of the context is an ordinary one: a home's, or a conversation."""
    kept = kept_tokens(weights, snapshot.demand, snapshot.state_bytes)
    if 2 * kept < context:
        yield warning(
            _AREA,
            f"engine.state_mb = {snapshot.state_bytes // _MIB} holds prompts of {kept} tokens of this model, "
            f"and the context holds {context}: longer ones are read again after each start",
            f"set engine.state_mb to {-(-kept_bytes(weights, snapshot.demand) // _MIB)}",
        )


def _check_form(snapshot: ModelSnapshot, weights: Weights) -> Iterator[Finding]:
    if snapshot.made_for:
        yield warning(
            _AREA,
            f"the model is a build for {snapshot.made_for}: on a CPU it is slow or fails",
            "take the build for CPUs, often in a folder cpu-int4-… (docs/models.md)",
        )
    # The default of `model.context` exceeds the built-in model's: that is no mistake of the user's.
    trained, context = weights.trained_context, snapshot.demand.context
    if 0 < trained < context and not snapshot.builtin:
        yield warning(
            _AREA,
            f"model.context is {context} and the model was trained for {trained}, which is what it gets",
            f"set model.context to {trained} or less",
        )
    if snapshot.machine in _ARM and snapshot.main_type in _SLOW_ON_ARM:
        called = (
            "" if snapshot.quantization == snapshot.main_type else f" of this {snapshot.quantization} file"
        )
        yield warning(
            _AREA,
            f"most weights{called} are {snapshot.main_type}, for which llama.cpp has no fast kernel on ARM; "
            "Q4_0 has one",
            "choose the same model as Q4_0 (docs/models.md)",
        )
