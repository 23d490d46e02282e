"""Warm-up: the system prompt is computed, or read from disk, before the first request needs it."""

from __future__ import annotations

import logging
import time
from array import array
from collections.abc import Callable
from concurrent.futures import Future

from edgeassist.engine.backends.base import Backend, LoadedModel
from edgeassist.engine.kv.prefixes import Kind, Prefix, Prefixes, shared_length
from edgeassist.engine.kv.states import Saved, StateKey, StateStore
from edgeassist.engine.kv.world import World
from edgeassist.engine.messages import AUTO, ChatMessage, Load, ModelFacts, Sampling, Thinking
from edgeassist.engine.prompting.codec import Codec
from edgeassist.engine.scheduler import LEAST_SHARED, Scheduler
from edgeassist.engine.signals import StepAbortedError
from edgeassist.errors import EdgeAssistError

log = logging.getLogger(__name__)

# Two questions that begin differently: their prompts share only what belongs to the system prompt.
_QUESTIONS = ("a", "1")
_GREEDY = Sampling(temperature=0)

KeyMaker = Callable[[list[int], World], StateKey]


def warm_up(
    model: LoadedModel,
    scheduler: Scheduler,
    prefixes: Prefixes,
    *,
    system: str,
    thinking: Thinking = AUTO,
    saved: tuple[StateStore, KeyMaker] | None,
    on_step: Callable[[float], None],
) -> None:
    """Compute the KV entries of a system prompt, or load them, and keep them.

    Only the time to the first token depends on it, so what fails is logged.

    Args:
        model: What serves.
        scheduler: Nothing runs yet.
        prefixes: Where the state is kept.
        system: The prompt's text.
        thinking: Whether the requests that follow let the model think.
        saved: Where its state is kept between runs, and what makes its key; None: nowhere.
        on_step: Called with the fraction done, after each step.
    """
    backend = model.backend
    try:
        tokens, world = _prefix(model.codec, system, thinking)
        if len(tokens) < LEAST_SHARED:
            return
        if saved is None:
            state: bytes | bytearray = _compute(backend, scheduler, tokens, world, on_step)
        else:
            store, key_of = saved
            key = key_of(tokens, world)
            found = _load(backend, store, key)
            state = _compute(backend, scheduler, tokens, world, on_step) if found is None else found
            if found is None:
                # There is one system prompt: a template that prints the date makes another of it each day.
                before = [each.key for each in store.known if _was_pinned(each, key)]
                store.save(Saved(key, Kind.PINNED, len(state)), state, before)
        prefixes.keep(Prefix(tokens, world, state, Kind.PINNED))
        log.info("the system prompt's %d tokens need not be read again", len(tokens))
    except StepAbortedError:
        log.info("the engine is told to stop while it reads the system prompt")
    except (EdgeAssistError, OSError) as error:
        log.warning("model.system can't be read ahead: %s", error)


def state_form(options: Load, facts: ModelFacts) -> str:
    """Return what decides the meaning of a state's bytes, beside the model itself."""
    return f"{facts.state_format}; kv {options.kv_type}; flash attention {options.flash_attention}"


def key_maker(sha256: Future[str], form: str) -> KeyMaker:
    """Return a function that makes the key of a state; it waits for the model's digest."""
    return lambda tokens, world: StateKey(sha256.result(), form, world, array("q", tokens))


def _prefix(codec: Codec, system: str, thinking: Thinking) -> tuple[list[int], World]:
    """Return the tokens that every prompt with that system prompt begins with, and their world."""
    one, other = (
        codec.encode([ChatMessage("system", system), ChatMessage("user", question)], thinking=thinking)
        for question in _QUESTIONS
    )
    return list(one.tokens[: shared_length(one.tokens, other.tokens)]), one.world


def _was_pinned(saved: Saved, key: StateKey) -> bool:
    """Whether a state is that of an earlier system prompt of the same model."""
    other = saved.key
    same = (other.model_sha256, other.form) == (key.model_sha256, key.form)
    return saved.kind is Kind.PINNED and same and other.tokens != key.tokens


def _load(backend: Backend, store: StateStore, key: StateKey) -> bytes | None:
    """Return a saved state; None if there is none that the backend accepts."""
    state = store.load(key)
    if state is None:
        return None
    backend.open(0, _GREEDY, key.world)
    taken = backend.restore(0, state, len(key.tokens))
    backend.close(0)
    if taken == len(key.tokens):
        log.info("found the state of the system prompt: %s", key.name)
        return state
    store.discard(key, "the library does not take it")
    return None


def _compute(
    backend: Backend,
    scheduler: Scheduler,
    tokens: list[int],
    world: World,
    on_step: Callable[[float], None],
) -> bytes | bytearray:
    """Prefill the tokens as a request would, and return the state."""
    sequence = scheduler.admit("system", tokens, max_tokens=1, world=world)
    backend.open(sequence.slot, _GREEDY, world)
    while sequence.rest and not sequence.generated:
        begun = time.monotonic()
        plan = scheduler.plan()
        scheduler.commit(plan, backend.step(plan), time.monotonic() - begun)
        on_step(sequence.computed / len(tokens))
    state = backend.snapshot(sequence.slot)
    backend.close(sequence.slot)
    scheduler.remove(sequence)
    return state
