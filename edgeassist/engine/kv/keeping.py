"""Which states outlive the engine: written while it has nothing to do, read when a prompt begins like one."""

from __future__ import annotations

import logging
import time
from array import array
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Protocol
from weakref import WeakKeyDictionary

from edgeassist.engine.kv.prefixes import Kind, Prefix, Prefixes, shared_length
from edgeassist.engine.kv.states import Saved, StateKey, StateStore
from edgeassist.engine.kv.world import World
from edgeassist.engine.prompting.transcripts import Transcript

log = logging.getLogger(__name__)

# It takes a core for as long as reading the file does: not while the first requests come.
DIGEST_IDLE_S = 2.0
# A session whose next turn comes sooner is written once, with that turn.
IDLE_S = 20.0
# What is asked once, as by a flow with new readings every minute, would take all that a day allows.
NEW_IDLE_S = 600.0
# At the end of the engine; the daemon waits for it somewhat longer.
FLUSH_S = 2.0
# Shorter prompts are computed in about a second.
LEAST = 64
# A state is written if at least such a part of it is on no disk yet, and read if it saves such a part of it.
_PART = 8
_AFTER_FAILURE_S = 600.0


class Remembers(Protocol):
    """What knows conversations by their tokens: a codec."""

    def transcript_of(self, tokens: Sequence[int]) -> Transcript | None:
        """Return the conversation that has these tokens, if it is known."""
        ...

    def retell(self, transcript: Transcript) -> None:
        """Remember a conversation."""
        ...


class Keeper:
    """Moves states between memory and disk. Used by one thread; it writes in another.

    Args:
        store: On disk.
        prefixes: In memory.
        codec: What has to recognise a conversation that goes on.
        model_sha256: Of the model's file, once it is known.
        form: As in `StateKey`.
        spare_end: Whether a session may go on from its last end but one, because answers are put otherwise
            in the next turn than they were sampled.
        compute: Has the digest computed, unless it is known or being computed.
    """

    def __init__(
        self,
        store: StateStore,
        prefixes: Prefixes,
        codec: Remembers,
        *,
        model_sha256: Future[str],
        form: str,
        spare_end: bool = False,
        compute: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._prefixes = prefixes
        self._codec = codec
        self._model_sha256 = model_sha256
        self._form = form
        self._spare_end = spare_end
        self._compute = compute
        # Prefixes that are on disk, by their keys there, and those that are not worth it.
        self._done: WeakKeyDictionary[Prefix, StateKey | None] = WeakKeyDictionary()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="states")
        self._writing: Future[bool] | None = None
        self._not_before = 0.0

    def start(self) -> None:
        """Look through what is on disk; waits for the model's digest if there is anything."""
        if self._store.empty:
            return
        self._store.scan()
        ours = self._ours
        for saved in ours:
            if saved.transcript is not None:
                self._codec.retell(saved.transcript)
        if ours:
            log.info("%d KV states of earlier runs are on disk", len(ours))

    @property
    def _ours(self) -> list[Saved]:
        """The saved states that this model takes."""
        known = [each for each in self._store.known if each.key.form == self._form]
        if not known:
            return []
        # Another engine may have written the first ones while this one was loading.
        self._compute()
        if self._model_sha256.exception() is not None:
            return []
        return [each for each in known if each.key.model_sha256 == self._model_sha256.result()]

    # --- disk → memory -------------------------------------------------------------------------------------

    def bring(self, prompt: Sequence[int], world: World, have: int) -> bool:
        """Read a state that begins like a prompt, if that saves much.

        Args:
            prompt: Token ids.
            world: Of the prompt.
            have: How many of its tokens need not be computed anyway.

        Returns:
            Whether there is now more of it in memory.
        """
        wanted = array("q", prompt)
        while (found := self._best(wanted, world, have)) is not None:
            state = self._store.load(found.key)
            if state is not None:
                prefix = Prefix(list(found.key.tokens), world, state, found.kind)
                self._done[prefix] = found.key
                self._prefixes.keep(prefix)
                return True
        return False

    def _best(self, wanted: array[int], world: World, have: int) -> Saved | None:
        best, longest = None, have
        for saved in self._ours:
            tokens = saved.key.tokens
            shared = self._shared(saved, wanted, world)
            worth = shared - have >= max(LEAST, len(tokens) // _PART)
            if worth and shared > longest and saved.bytes <= self._prefixes.most_bytes:
                best, longest = saved, shared
        return best

    def _shared(self, saved: Saved, wanted: array[int], world: World) -> int:
        """Return how many tokens of a prompt a saved state serves."""
        if saved.key.world != world:
            return 0
        shared = shared_length(saved.key.tokens, wanted)
        return shared if shared >= self._prefixes.least(len(saved.key.tokens)) else 0

    def used(self, prefix: Prefix) -> None:
        """Note that a prefix was used."""
        if (key := self._done.get(prefix)) is not None:
            self._store.touch(key)

    # --- memory → disk -------------------------------------------------------------------------------------

    def rest(self, idle_s: float) -> None:
        """Have a state written, unless one is being written; the engine has had nothing to do for so long."""
        if idle_s >= DIGEST_IDLE_S:
            self._compute()
        if idle_s < IDLE_S or (self._writing is not None and not self._writing.done()):
            return
        if self._writing is not None and not self._writing.result():
            # Such as a full disk, or one that can't be written.
            self._not_before = time.monotonic() + _AFTER_FAILURE_S
        self._writing = None
        self._write_next(idle_s)

    def flush(self, limit_s: float = FLUSH_S) -> None:
        """Write what is worth it, within some seconds; what is incomplete then goes with the next save."""
        deadline = time.monotonic() + limit_s
        if self._prefixes.recent:
            self._compute()
            wait([self._model_sha256], timeout=limit_s)
        while True:
            if self._writing is not None:
                wait([self._writing], timeout=max(0.0, deadline - time.monotonic()))
                if not self._writing.done() or not self._writing.result():
                    return
            if time.monotonic() >= deadline or not self._write_next(NEW_IDLE_S):
                return

    def _write_next(self, idle_s: float) -> bool:
        if time.monotonic() < self._not_before:
            return False
        if not self._model_sha256.done() or self._model_sha256.exception() is not None:
            return False
        for prefix in sorted(self._prefixes.recent, key=_is_new):
            if _is_new(prefix) and idle_s < NEW_IDLE_S:
                return False
            if prefix in self._done or not self._store.allows(len(prefix.state)):
                continue
            self._done[prefix] = None
            if self._is_worth(prefix):
                self._write(prefix)
                return True
        return False

    def _is_worth(self, prefix: Prefix) -> bool:
        length = len(prefix.tokens)
        if prefix.kind not in {Kind.END, Kind.FORK} or length < LEAST:
            return False
        if prefix.kind is Kind.END and not self._spare_end and self._goes_on(prefix):
            return False
        wanted = array("q", prefix.tokens)
        there = max((self._shared(saved, wanted, prefix.world) for saved in self._ours), default=0)
        return length - there >= max(LEAST, length // _PART)

    def _goes_on(self, prefix: Prefix) -> bool:
        ends = (each for each in self._prefixes.recent if each.kind is Kind.END and each is not prefix)
        return any(each.extends(prefix) for each in ends)

    def _write(self, prefix: Prefix) -> None:
        key = StateKey(self._model_sha256.result(), self._form, prefix.world, array("q", prefix.tokens))
        transcript = self._codec.transcript_of(prefix.tokens) if prefix.kind is Kind.END else None
        saved = Saved(key, prefix.kind, len(prefix.state), transcript)
        self._done[prefix] = key
        self._writing = self._executor.submit(self._store.save, saved, prefix.state, self._needless(saved))

    def _needless(self, new: Saved) -> list[StateKey]:
        """Return what a new state makes needless: what it serves as well, and a session's ends before."""
        first = self._prefixes.least(len(new.key.tokens))
        extended = [
            each
            for each in self._ours
            if each.kind is not Kind.PINNED
            and each.key.world == new.key.world
            and shared_length(each.key.tokens, new.key.tokens) == len(each.key.tokens)
        ]
        served = [each for each in extended if self._prefixes.least(len(each.key.tokens)) >= first]
        ends = [each for each in extended if each.kind is Kind.END and each not in served]
        if self._spare_end and ends:
            ends.remove(max(ends, key=lambda each: len(each.key.tokens)))
        return [each.key for each in served + ends]


def _is_new(prefix: Prefix) -> bool:
    """Whether nobody came back to it yet."""
    return prefix.kind is Kind.END and not prefix.goes_on
