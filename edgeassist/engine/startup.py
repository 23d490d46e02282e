"""From a model that is being loaded to what serves it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from queue import SimpleQueue

from edgeassist.engine.backends.base import Finish
from edgeassist.engine.encoder import Prompt
from edgeassist.engine.foresight import Foresight
from edgeassist.engine.kv.budget import Budget
from edgeassist.engine.kv.digest import ModelDigest
from edgeassist.engine.kv.keeping import Keeper
from edgeassist.engine.kv.prefixes import Prefixes
from edgeassist.engine.kv.states import StateStore
from edgeassist.engine.messages import Command, Event, Load, Loading, Ready
from edgeassist.engine.warmup import key_maker, state_form, warm_up
from edgeassist.engine.worker import Worker, scheduler_for
from edgeassist.models.files.digests import Digests

_LOADING_EVERY_S = 0.25


def start(
    options: Load,
    finish: Finish,
    emit: Callable[[Iterable[Event]], None],
    commands: SimpleQueue[Command | Prompt],
) -> Worker:
    """Load a model, read what is to be there before the first request, and say that it is ready.

    Args:
        options: What the daemon has told.
        finish: Of the load, which has begun.
        emit: Sends events.
        commands: Where the reader puts what the daemon sends.

    Raises:
        ModelError: It can't be loaded.
    """
    started = time.monotonic()
    said = started

    def progress(fraction: float) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said >= _LOADING_EVERY_S:
            said = now
            emit([Loading(fraction)])

    saves = bool(options.state_folder and options.state_bytes)
    store = _store(options) if saves else None
    digest = None if store is None else ModelDigest(options.path, Digests(store.folder))
    # If there is something to read, it is awaited; else it competes with nothing (`Keeper.rest`).
    if store is not None and digest is not None and (options.system or not store.empty):
        digest.begin(urgent=True)
    model = finish(progress)
    facts = model.facts
    scheduler = scheduler_for(options, facts)
    prefixes = Prefixes(facts.prefix_bytes, facts.reach)
    keeper = None
    if store is not None and digest is not None and facts.prefix_bytes and facts.state_format:
        keeper = Keeper(
            store,
            prefixes,
            model.codec,
            model_sha256=digest.future,
            compute=digest.begin,
            form=state_form(options, facts),
            spare_end=bool(model.codec.cut),
        )
        keeper.start()
    if options.system and facts.prefix_bytes:
        saved = None
        if store is not None and digest is not None and facts.state_format:
            saved = store, key_maker(digest.future, state_form(options, facts))
        warm_up(
            model,
            scheduler,
            prefixes,
            system=options.system,
            thinking=options.thinking,
            saved=saved,
            on_step=progress,
        )
    emit([Ready(facts, (time.monotonic() - started) * 1000)])
    return Worker(
        model,
        scheduler,
        prefixes,
        commands=commands,
        emit=emit,
        keeper=keeper,
        foresight=Foresight(None if store is None else store.folder),
    )


def _store(options: Load) -> StateStore:
    folder = Path(options.state_folder)
    return StateStore(folder, options.state_bytes, Budget(folder / "written.json", options.state_day_bytes))
