"""The system prompt gets into KV memory before the first request asks for it, from disk where it can."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from edgeassist.engine.backend import Backend
from edgeassist.engine.messages import ChatMessage, Load, ModelFacts, Sampling
from edgeassist.engine.prefixes import shared_length
from edgeassist.engine.scheduler import LEAST_SHARED, Scheduler
from edgeassist.engine.states import StateKey, StateStore
from edgeassist.errors import EdgeAssistError, StepAbortedError

log = logging.getLogger(__name__)

# Two questions that begin differently: what their prompts share is the system prompt, whatever the template.
_QUESTIONS = ("a", "1")


def prime(
    backend: Backend,
    scheduler: Scheduler,
    system: str,
    saved: tuple[StateStore, Callable[[list[int]], StateKey]] | None,
    on_step: Callable[[float], None],
) -> None:
    """Compute the KV entries of a system prompt, or restore them, and keep them.

    Nothing depends on it but the time to the first token: what goes wrong is logged.

    Args:
        backend: Loaded.
        scheduler: Nothing runs yet.
        system: The prompt's text.
        saved: Where its state is kept between runs, and under what key; None: nowhere.
        on_step: Told the fraction done, after each step.
    """
    try:
        tokens = _prefix(backend, system)
        if len(tokens) < LEAST_SHARED:
            return
        if saved is None:
            _compute(backend, scheduler, tokens, on_step)
            return
        store, key_of = saved
        key = key_of(tokens)
        if not _restore(backend, scheduler, tokens, store, key):
            slot = _compute(backend, scheduler, tokens, on_step)
            store.save(key, backend.snapshot(slot))
    except StepAbortedError:
        log.info("the engine is told to stop while it reads the system prompt")
    except EdgeAssistError as error:
        log.warning("model.system can't be read ahead: %s", error.message)


def state_form(options: Load, facts: ModelFacts) -> str:
    """Return all that decides what the bytes of a state mean, beside the model itself."""
    return f"{facts.state_format}; kv {options.kv_type}; flash attention {options.flash_attention}"


def digest_of(path: str) -> Future[str]:
    """Return a file's SHA-256 in time: a thread computes it while the model is loaded from the same pages.

    Args:
        path: Empty for a backend without a file.
    """
    executor = ThreadPoolExecutor(1, thread_name_prefix="digest")
    try:
        return executor.submit(_sha256, Path(path)) if path else executor.submit(str)
    finally:
        executor.shutdown(wait=False)


def key_maker(sha256: Future[str], form: str) -> Callable[[list[int]], StateKey]:
    """Return what makes the key of a state; it waits until the model's digest is known."""
    return lambda tokens: StateKey(sha256.result(), form, tokens)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _prefix(backend: Backend, system: str) -> list[int]:
    """Return the tokens that every prompt with that system prompt begins with."""
    one, other = (
        backend.encode([ChatMessage("system", system), ChatMessage("user", question)]).tokens
        for question in _QUESTIONS
    )
    return list(one[: shared_length(one, other)])


def _restore(
    backend: Backend, scheduler: Scheduler, tokens: list[int], store: StateStore, key: StateKey
) -> bool:
    state = store.load(key)
    if state is None:
        return False
    slot = scheduler.adopt(tokens)
    if backend.restore(slot, state):
        log.info("the system prompt's %d tokens are in KV memory, from %s", len(tokens), key.name)
        return True
    scheduler.disown(slot)
    store.discard(key, "the library does not take it")
    return False


def _compute(
    backend: Backend, scheduler: Scheduler, tokens: list[int], on_step: Callable[[float], None]
) -> int:
    """Prefill the tokens as a request would, and return the slot that keeps them."""
    sequence = scheduler.admit("system", tokens, max_tokens=1)
    backend.open(sequence.slot, Sampling(temperature=0))
    while not sequence.generated and sequence.rest:
        begun = time.monotonic()
        plan = scheduler.plan()
        scheduler.commit(plan, backend.step(plan), time.monotonic() - begun)
        on_step(sequence.computed / len(tokens))
    backend.close(sequence.slot)
    scheduler.remove(sequence, pinned=True)
    log.info("the system prompt's %d tokens are in KV memory", len(tokens))
    return sequence.slot
