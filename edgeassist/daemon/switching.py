"""Which model is served, and how another takes its place while prompts come."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from edgeassist.engine.messages import Load
from edgeassist.errors import BusyError, EdgeAssistError, ModelError, ShuttingDownError
from edgeassist.gateways.commands import Say, Seldom
from edgeassist.models.choice import Choice, choose_model
from edgeassist.models.selected import Named, Selected, choose, forget, select
from edgeassist.serving.requests import Requests
from edgeassist.supervision.supervisor import Phase, Supervisor

log = logging.getLogger(__name__)

_POLL_S = 0.02
# How often the one who asked for it hears how far a load is.
_PROGRESS_S = 0.5


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a switch loads.

    Attributes:
        choice: The file or folder, and its backend.
        load: The first command for its engine.
        beside: Whether there is memory for it while the present one is loaded.
    """

    choice: Choice
    load: Load
    beside: bool


class Switching:
    """The model that is served.

    Args:
        folder: The state directory, where a choice is kept.
        configured: What the settings name.
        supervisor: Has the engine.
        requests: What waits, and what runs.
        prepare: Looks at a model and at memory, of which the second argument will be freed; blocks. Raises a
            ModelError where the model can't be loaded.
        drain_s: Returns how long answers may go on with the model whose place is taken.
        on_change: Called when another model is about to serve.
        on_end: Called when a switch has ended, well or not.

    Attributes:
        selected: What is served.
        choice: Its file or folder, and its backend.
    """

    def __init__(
        self,
        folder: Path,
        configured: Named,
        *,
        supervisor: Supervisor,
        requests: Callable[[], Requests],
        prepare: Callable[[Named, int], Prepared],
        drain_s: Callable[[], float],
        on_change: Callable[[], None],
        on_end: Callable[[], None],
    ) -> None:
        self._folder = folder
        self._configured = configured
        self._supervisor = supervisor
        self._requests = requests
        self._prepare = prepare
        self._drain_s = drain_s
        self._on_change = on_change
        self._on_end = on_end
        self._target: str | None = None
        self._seeing_off: asyncio.Task[None] | None = None
        self.selected = Selected(configured)
        self.choice = Choice(None, "")

    @property
    def target(self) -> str | None:
        """What is being switched to; None at other times."""
        return self._target

    def begin(self) -> None:
        """Find out which model to serve.

        Raises:
            ModelError: The configured one can't be served, and no other was chosen.
        """
        self.selected = select(self._configured, self._folder)
        if self.selected.note is not None:
            log.warning("%s", self.selected.note)
        if self.selected.stale:
            with contextlib.suppress(ModelError):  # it counts no more in any case
                forget(self._folder)
        if self.selected.chosen:
            try:
                self.choice = choose_model(self.selected.named.path, self.selected.named.backend)
            except ModelError as error:
                self._go_back(error.message)
            else:
                log.info("the model was chosen (edgeassist models use): %s", self.selected.named.path)
                return
        self.choice = choose_model(self._configured.path, self._configured.backend)

    def fall_back(self, reason: str) -> bool:
        """Go back to the configured model where the chosen one can't be used; return whether that was so.

        The choice is kept, for the next start: its file may be mended.
        """
        if not self.selected.chosen or self._target is not None:
            return False
        try:
            choice = choose_model(self._configured.path, self._configured.backend)
        except ModelError as error:
            log.error("%s", error.message)  # noqa: TRY400 - its text says all
            return False
        self._go_back(reason)
        self.choice = choice
        self._on_change()
        return True

    def _go_back(self, reason: str) -> None:
        log.error("the chosen model can't be used: %s; the configured one is", reason)
        self.selected = Selected(self._configured, note=reason)

    async def use(self, named: Named | None, say: Say) -> dict[str, JsonValue]:
        """Serve another model from now on, also after a restart; return what came of it.

        Args:
            named: The model; None: the configured one.
            say: Told how it goes on.

        Raises:
            BusyError: Another switch is under way.
            ModelError: The model can't be loaded; the one before serves on.
            ShuttingDownError: The daemon stops.
        """
        if self._target is not None:
            raise BusyError(f"the model is being switched to {self._target}: ask again when that has ended")
        named = self._configured if named is None else named
        self._target = str(named.path)
        try:
            return await self._use(named, say)
        finally:
            self._target = None
            if self._supervisor.phase is not Phase.SLEEPING:  # whatever has happened, an engine is to serve
                self._supervisor.resume()
            self._requests().engines.release()
            self._on_end()

    async def _use(self, named: Named, say: Say) -> dict[str, JsonValue]:
        begun = time.monotonic()
        before = self._supervisor.model
        if named == self.selected.named and self._supervisor.phase in {Phase.READY, Phase.SLEEPING}:
            return self._kept(named, {"model": before.name if before else "", "switched": False})
        if self._seeing_off is not None:  # of the switch before
            await asyncio.wait([self._seeing_off])
        held = self._supervisor.private_bytes
        try:
            prepared = await asyncio.to_thread(self._prepare, named, held)
            await self._load(named, prepared, say)
        except ShuttingDownError:
            raise
        except EdgeAssistError as error:
            stays = await self._settle()
            message = f"{named.path} can't be used: {error.message}; {stays}"
            log.error("%s", message)  # noqa: TRY400 - its text says all
            raise type(error)(message) from None
        model = self._supervisor.model
        answer: dict[str, JsonValue] = {
            "model": "" if model is None else model.name,
            "switched": True,
            "beside": prepared.beside,
            "took_ms": round((time.monotonic() - begun) * 1000),
        }
        return self._kept(named, answer)

    async def _load(self, named: Named, prepared: Prepared, say: Say) -> None:
        supervisor, requests = self._supervisor, self._requests()
        why = f"the model is switched to {named.path}"
        log.info("%s, %s the present one", why, "beside" if prepared.beside else "after")

        tell = Seldom(say, _PROGRESS_S)

        def told(fraction: float) -> None:
            tell({"step": "loading", "fraction": round(fraction, 2)})

        def take() -> None:
            self.selected = Selected(named, chosen=named != self._configured)
            self.choice = prepared.choice
            self._on_change()

        asleep = supervisor.phase is Phase.SLEEPING
        beside = prepared.beside and supervisor.phase is Phase.READY
        if not (beside or asleep):
            requests.engines.hold()
            await self._drain(lambda: requests.running, say)
            await supervisor.park(why)
        await supervisor.switch_to(prepared.load, on_ready=take, on_loading=told)
        requests.engines.release()
        if beside:
            self._seeing_off = asyncio.create_task(self._see_off(why), name="switch-drain")

    async def _see_off(self, why: str) -> None:
        """Let what runs with the model before end, within its time."""
        requests = self._requests()
        with contextlib.suppress(ShuttingDownError):  # which ends that engine, too
            await self._drain(lambda: requests.engines.leaving, _say_nothing)
            await self._supervisor.end_leaving(why)

    async def _drain(self, left: Callable[[], int], say: Say) -> None:
        """Wait until nothing is left, or its time is over.

        Raises:
            ShuttingDownError: The daemon stops.
        """
        tell = Seldom(say, _PROGRESS_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._drain_s()):
                while (running := left()) and not self._supervisor.stopping:
                    tell({"step": "draining", "running": running})
                    await asyncio.sleep(_POLL_S)
        if self._supervisor.stopping:
            raise ShuttingDownError("the device is shutting down: the model stays as it was")

    async def _settle(self) -> str:
        """See to it that the model before serves; return that in words."""
        supervisor = self._supervisor
        asleep = supervisor.phase is Phase.SLEEPING
        if not asleep:
            supervisor.resume()
            ends = {Phase.READY, Phase.WAITING, Phase.UNUSABLE, Phase.SLEEPING}
            # The supervisor gives up on one that loads no more, so this ends.
            await asyncio.sleep(0)
            while supervisor.phase not in ends and not supervisor.stopping:
                await asyncio.sleep(_POLL_S)
        if supervisor.phase in {Phase.READY, Phase.SLEEPING}:
            return f"{supervisor.model.name if supervisor.model else 'the model before'} serves on"
        if supervisor.phase is Phase.WAITING:
            return f"the model before is started again soon; its engine ended: {supervisor.problem}"
        return f"the model before can't be loaded any more either: {supervisor.problem}"

    def _kept(self, named: Named, answer: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """Keep the choice for the next start; return the answer, with what is wrong with that."""
        try:
            choose(named, self._configured, self._folder)
        except ModelError as error:
            log.warning("%s", error.message)
            return {**answer, "warning": f"until the next start only: {error.message}"}
        return answer


def _say_nothing(_said: dict[str, JsonValue]) -> None:
    pass
