"""Start, readiness, stop: what signals and systemd see of the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgeassist.broker import Broker
from edgeassist.daemon import systemd
from edgeassist.daemon.condition import Condition
from edgeassist.errors import ExitStatus
from edgeassist.gateways.gateway import Gateway
from edgeassist.journal.journal import DiskJournal
from edgeassist.protocol.events import Done, Failed
from edgeassist.serving.caller import Caller
from edgeassist.serving.request import AnyRequest
from edgeassist.serving.requests import Requests
from edgeassist.supervision.supervisor import Phase, Supervisor

log = logging.getLogger(__name__)

# How long READY waits for what may never come: a broker that can be reached, or memory for the model.
READY_S = 10.0
FLUSH_S = 3.0
# How long a stop waits for the disk.
JOURNAL_S = 3.0
DRAIN_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class LifecycleOptions:
    """How long running answers may take at a stop, in seconds, and whether READY waits for the broker."""

    drain_s: float
    ready_without_broker: bool


class Lifecycle:
    """Sees the daemon from its start to its stop.

    Args:
        options: A reload replaces them.
        broker: The connection.
        supervisor: Has the engine.
        requests: What is to be drained.
        condition: Says how the device is.
        gateways: Started, told of connections, and closed, in this order.
        journal: Closed when the last end is with the broker.
        on_start: Called once messages can be published, and before any can come.
        on_hangup: Called at SIGHUP.
        on_stop: Called when the daemon begins to stop.
        settle: Waits for what is to be said still, such as the answers of commands, and not for long.
    """

    def __init__(
        self,
        options: LifecycleOptions,
        *,
        broker: Broker,
        supervisor: Supervisor,
        requests: Requests,
        condition: Condition,
        gateways: Sequence[Gateway],
        journal: DiskJournal | None,
        on_start: Callable[[], None],
        on_hangup: Callable[[], None],
        on_stop: Callable[[], None],
        settle: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        self._options = options
        self._broker = broker
        self._supervisor = supervisor
        self._requests = requests
        self._condition = condition
        self._gateways = gateways
        self._journal = journal
        self._on_start = on_start
        self._on_hangup = on_hangup
        self._on_stop = on_stop
        self._settle = settle
        self._stop = asyncio.Event()
        self._said_ready = False
        self._patient = True
        self._closed = False
        self._broker_problem: str | None = None
        self._status = ExitStatus.OK

    def apply(self, options: LifecycleOptions) -> None:
        """Go by other options from now on."""
        self._options = options

    async def run(self, tasks: Mapping[str, Callable[[], Coroutine[Any, Any, None]]]) -> ExitStatus:
        """Serve until SIGTERM, SIGINT or a setting that can't work; return how it ended.

        Args:
            tasks: Run beside the gateways' own, by name. One that raises takes the daemon with it, and
                systemd starts it anew.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop_signal)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup_signal)
        for gateway in self._gateways:
            gateway.start()
        self._broker.start()
        self._on_start()
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(each(), name=name) for name, each in tasks.items()]
            running += [group.create_task(each.run(), name=type(each).__name__) for each in self._gateways]
            running.append(group.create_task(self._feed_watchdog(), name="watchdog"))
            running.append(group.create_task(self._lose_patience(), name="patience"))
            await self._stop.wait()
            await self._shut_down()
            for task in running:
                task.cancel()
        return self._status

    def stop(self, status: ExitStatus = ExitStatus.OK) -> None:
        """Stop, and end with that status."""
        self._status = status
        self._stop.set()

    # --- what happens around us ----------------------------------------------------------------------------

    def broker_up(self) -> None:
        """The broker is there, again: let every gateway say what it has to, unless the last word is said."""
        if self._closed:
            return
        self._broker_problem = None
        self._tell(lambda gateway: gateway.connected(), "to act on a new connection")
        self._check_ready()
        self.say_status()

    def broker_down(self, reason: str) -> None:
        """The broker is gone, or could not be reached."""
        log.warning("%s", reason)
        self._broker_problem = reason
        self._tell(lambda gateway: gateway.disconnected(), "to note that the connection is gone")
        self.say_status()

    def engine_changed(self, phase: Phase) -> None:
        """The engine is in another phase; a model that never could be loaded ends the daemon."""
        if phase is Phase.UNUSABLE and not self._said_ready:
            self.stop(ExitStatus.CONFIGURATION)
        self._check_ready()
        self.say_status()

    def request_ended(self, caller: Caller, asked: AnyRequest | None, end: Done | Failed) -> None:
        """A request has ended: let every gateway note it."""
        self._tell(lambda gateway: gateway.ended(caller, asked, end), "to note the end of a request")

    def say_status(self) -> None:
        """Set the line of `systemctl status`."""
        systemd.notify(STATUS=self._words())

    def _words(self) -> str:
        """Return how it is; what keeps the broker away goes first: it hides all else."""
        if not self._broker.connected:
            return self._broker_problem or "connecting to the broker"
        state, reason = self._condition.state()
        return f"{state.value}: {reason or self._requests.model or 'no model'}"

    # -------------------------------------------------------------------------------------------------------

    def _tell(self, hook: Callable[[Gateway], None], what: str) -> None:
        """Call a hook of every gateway; a bug in one must not keep `online` or `offline` from being said."""
        for gateway in self._gateways:
            try:
                hook(gateway)
            except Exception:
                log.exception("%s failed %s", type(gateway).__name__, what)

    def _retreat(self, *, running: bool) -> None:
        self._tell(lambda gateway: gateway.retreat(running=running), "to take requests back")

    def _check_ready(self) -> None:
        """Tell systemd READY once the model is loaded and the broker is there.

        What is ordered after this service, and the boot, must not wait for ever: after READY_S the daemon
        counts as started without a broker (a setting waives that wait), and without a model that can't be
        had for now. But not while the first load goes on: a model that can't be used at all is to fail the
        start.
        """
        phase = self._supervisor.phase
        broker = self._broker.connected or self._options.ready_without_broker or not self._patient
        model = phase is Phase.READY or (phase is Phase.WAITING and not self._patient)
        if self._said_ready or not (broker and model):
            return
        self._said_ready = True
        if phase is Phase.READY and self._broker.connected:
            log.info("ready: publish a prompt on %s", self._condition.topics.prompt())
        else:
            log.warning("started, and can't answer yet: %s", self._words())
        systemd.notify(READY="1", STATUS=self._words())

    async def _lose_patience(self) -> None:
        """Wait for READY no longer than is good for those who wait for us."""
        await asyncio.sleep(READY_S)
        self._patient = False
        self._check_ready()

    async def _shut_down(self) -> None:
        """Say so, let running answers end within the drain time, and leave nothing behind."""
        self._condition.stopping = True
        log.info("stopping: %d answers are running", self._requests.running)
        systemd.notify(STOPPING="1", STATUS="stopping")
        self._on_stop()
        self._retreat(running=False)
        self._requests.close()
        self._tell(lambda gateway: gateway.stopping(), "to say that the daemon stops")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._options.drain_s):
                while self._requests.running:
                    await asyncio.sleep(DRAIN_POLL_S)
        # What the disk is about to have waits for the next start.
        if self._journal is not None:
            await self._journal.settle(JOURNAL_S)
        self._retreat(running=True)
        self._requests.abandon()
        await self._supervisor.stop()
        await self._settle()
        if self._journal is not None:
            await self._journal.settle(JOURNAL_S)
        self._closed = True
        self._tell(lambda gateway: gateway.close(), "to say the last word")
        await self._broker.flush(FLUSH_S)
        await self._broker.stop()
        if self._journal is not None:
            await self._journal.close(JOURNAL_S)
        log.info("stopped")

    def _on_stop_signal(self) -> None:
        """Stop; told twice, without waiting for running answers."""
        if self._stop.is_set():
            self._retreat(running=True)
            self._requests.abandon()
        self._stop.set()

    def _on_hangup_signal(self) -> None:
        if self._said_ready:
            systemd.notify(RELOADING="1", MONOTONIC_USEC=str(time.monotonic_ns() // 1000))
        self._on_hangup()
        if self._said_ready:
            systemd.notify(READY="1")

    async def _feed_watchdog(self) -> None:
        """Feed systemd's watchdog while this loop turns, and engine and broker are looked after."""
        interval = systemd.watchdog_interval_s()
        if interval is None:
            return
        while True:
            if self._supervisor.makes_progress and self._broker.alive:
                systemd.notify(WATCHDOG="1")
            else:
                log.error("the watchdog is not fed: no progress")
            await asyncio.sleep(interval)
