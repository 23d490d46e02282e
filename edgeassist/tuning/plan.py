"""What to try with one model: stages by what it is, what is set already, and how fast it is. Sans-I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeassist.engine.messages import ModelFacts
from edgeassist.models.files.description import ModelFile
from edgeassist.models.fit import Demand, Memory, Misfit, judge
from edgeassist.tuning.options import (
    Sample,
    Stage,
    files_stage,
    kv_stage,
    load_stage,
    steps_stage,
    threads_stage,
)

# What a person may have set that is then not tried.
TRIED = frozenset(
    f"engine.{key}"
    for key in ("threads", "threads_max", "prefill_threads", "prefill_threads_max", "step_tokens")
) | {"engine.load_mode", "engine.kv_type"}
# How many times `engine.step_ms` a step of a lone prompt may take (engine/pacing).
_ALONE = 8
_SMALLER_KV = "q8_0"
# With room for fewer whole conversations, memory is short.
_FEW_CONVERSATIONS = 2


@dataclass(frozen=True, slots=True)
class Situation:
    """What decides what is tried.

    Attributes:
        model: The model.
        backend: That serves it.
        demand: What the settings ask of memory.
        memory: What there is.
        threads: What the device gives.
        step_tokens: `engine.step_tokens`.
        step_ms: `engine.step_ms`.
        taken: The keys that a person has set: these stay.
        files: Other quantizations of the model: type and path of each.
        path: Its own.
    """

    model: ModelFile
    backend: str
    demand: Demand
    memory: Memory
    threads: int
    step_tokens: int
    step_ms: int
    taken: frozenset[str]
    files: Sequence[tuple[str, str]]
    path: str


def kv_is_short(model: ModelFile, demand: Demand, memory: Memory) -> bool:
    """Whether a KV cache of f16 has room for fewer than two whole conversations."""
    sizes = judge(model, demand, memory)
    if isinstance(sizes, Misfit):
        return True
    return sizes.kv_tokens < _FEW_CONVERSATIONS * sizes.context


def names_of(situation: Situation) -> list[str]:
    """Return what will be tried, before anything is known of its speed."""
    found = []
    if situation.threads > 1 and not {"engine.threads", "engine.threads_max"} & situation.taken:
        found.append("threads")
    if situation.files:
        found.append("quantization")
    if situation.backend == "llama":
        keys = ["step_tokens", "load_mode", *(["kv_type"] if _SMALLER_KV in situation.model.kv_types else [])]
        found += [key for key in keys if f"engine.{key}" not in situation.taken]
    return found


def stages_of(situation: Situation, facts: ModelFacts, first: Sample) -> list[Stage]:
    """Return what to try, what matters most first.

    Args:
        situation: What decides.
        facts: Of the loaded model.
        first: Its first answer.
    """
    names = names_of(situation)
    stages: list[Stage | None] = []
    if "threads" in names:
        both = not {"engine.prefill_threads", "engine.prefill_threads_max"} & situation.taken
        stages.append(threads_stage(situation.threads, adjusts=facts.adjusts_threads, both=both))
    if "quantization" in names:
        own = (situation.model.quantization, situation.path)
        stages.append(files_stage([own, *situation.files]))
    wanted = kv_is_short(situation.model, situation.demand, situation.memory)
    kv = kv_stage(_SMALLER_KV, wanted=wanted) if "kv_type" in names else None
    if wanted:
        stages.append(kv)
    if "step_tokens" in names:
        stages.append(
            steps_stage(
                situation.step_tokens,
                prefill_rate=first.prefill_rate,
                step_s=_ALONE * situation.step_ms / 1000,
                context=facts.context,
            )
        )
    if "load_mode" in names:
        stages.append(load_stage())
    if not wanted:
        stages.append(kv)
    return [stage for stage in stages if stage is not None]
