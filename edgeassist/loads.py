"""What an engine is told first, by the settings. Imports little: an engine waits for it at each start."""

from __future__ import annotations

from edgeassist.configured import configured_model, number_or_none, state_folder_of
from edgeassist.device.cores import choose_threads
from edgeassist.device.cpus import read_cpu_snapshot
from edgeassist.device.memory import available_memory_bytes, total_memory_bytes
from edgeassist.device.mounts import outlives_boots
from edgeassist.engine.messages import FlashAttention, KvType, Load, LoadMode, Thinking
from edgeassist.errors import ModelError
from edgeassist.folders import state_directory
from edgeassist.models.choice import Choice, choose_model
from edgeassist.models.selected import select
from edgeassist.settings import Settings


def thinking_of(settings: Settings) -> Thinking:
    """Return whether the model thinks where a request does not say."""
    return Thinking(
        {"auto": None, "on": True, "off": False}[settings.model.think],
        number_or_none(settings.sampling.reasoning_budget),
    )


def load_of(
    settings: Settings, model: Choice, *, threads: int, configured: bool = True, held_bytes: int = 0
) -> Load:
    """Return what an engine is told first; memory is looked at now.

    Args:
        settings: In force.
        model: What to load.
        threads: Of a step.
        configured: Whether `model.path` names it; `model.template` is for that one.
        held_bytes: Memory that is in use, and will be free once it serves.
    """
    engine = settings.engine
    free = available_memory_bytes()
    state_folder = state_folder_of(settings)
    return Load(
        backend=model.backend,
        path=str(model.path or ""),
        context=settings.model.context,
        threads=threads,
        step_tokens=engine.step_tokens,
        step_ms=engine.step_ms,
        slots=number_or_none(engine.slots),
        kv_tokens=number_or_none(engine.kv_tokens),
        prefix_bytes=None if engine.prefix_mb == "auto" else engine.prefix_mb << 20,
        kv_type=KvType(engine.kv_type),
        flash_attention=FlashAttention(engine.flash_attention),
        load_mode=LoadMode(engine.load_mode),
        speculate=engine.speculate,
        memory_bytes=0 if free is None else free + held_bytes,
        total_memory_bytes=total_memory_bytes() or 0,
        system=settings.model.system,
        thinking=thinking_of(settings),
        template=str(settings.model.template or "") if configured else "",
        state_folder=str(state_folder),
        state_bytes=engine.state_mb << 20 if outlives_boots(state_folder) else 0,
        state_day_bytes=engine.state_mb_per_day << 20,
    )


def first_load(settings: Settings) -> Load | None:
    """Return what the first engine will be told; None where the daemon has to say why there is none."""
    configured = configured_model(settings)
    selected = select(configured, state_directory())
    try:
        choice = choose_model(selected.named.path, selected.named.backend)
    except ModelError:
        return None
    engine = settings.engine
    fixed, most = number_or_none(engine.threads), number_or_none(engine.threads_max)
    threads = choose_threads(read_cpu_snapshot(), fixed).threads
    if fixed is None and most is not None:
        threads = min(threads, most)
    return load_of(settings, choice, threads=threads, configured=not selected.chosen)
