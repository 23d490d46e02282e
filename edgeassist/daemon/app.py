"""The composition root: makes the rooms and connects them, and does nothing else.

Where a capability goes: docs/architecture.md.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from functools import partial

from edgeassist import __version__
from edgeassist.broker import Broker
from edgeassist.configured import configured_model, number_or_none, state_folder_of
from edgeassist.daemon import logs
from edgeassist.daemon.condition import Condition
from edgeassist.daemon.control import Control
from edgeassist.daemon.durability import Durability
from edgeassist.daemon.examining import Examining, doctor_command
from edgeassist.daemon.fleet import FleetRoom
from edgeassist.daemon.hashing import Hashing
from edgeassist.daemon.last_seen import LastSeen
from edgeassist.daemon.lifecycle import Lifecycle, LifecycleOptions
from edgeassist.daemon.models import Models
from edgeassist.daemon.pulling import Pulling
from edgeassist.daemon.sleeping import Sleeping
from edgeassist.daemon.switching import Prepared, Switching
from edgeassist.daemon.wiring import (
    asking_options_of,
    console_of,
    digests_of,
    discovery_of,
    journal_bounds_of,
    patience_of,
    policy_of,
    prepared_of,
    reply_prefixes_of,
    telemetry_interval_of,
    watches_of,
)
from edgeassist.device.sensors import Sensors
from edgeassist.errors import EdgeAssistError, ExitStatus
from edgeassist.folders import runtime_directory, state_directory
from edgeassist.former.register import Register
from edgeassist.gateways.console import Console
from edgeassist.gateways.former import FormerNames
from edgeassist.gateways.gateway import Gateway
from edgeassist.gateways.homeassistant.discovery import Discovery
from edgeassist.gateways.homeassistant.watched import watch_components
from edgeassist.gateways.mqtt.asking import Asking
from edgeassist.gateways.mqtt.commands import Commands
from edgeassist.gateways.mqtt.repeats import Repeats
from edgeassist.gateways.mqtt.reporter import Reporter, status_message
from edgeassist.gateways.mqtt.twins import Twins
from edgeassist.gateways.mqtt.watches import Watches
from edgeassist.loads import load_of
from edgeassist.models.builtin import NEXT_MODEL, is_builtin
from edgeassist.models.calibration import calibration_for
from edgeassist.models.library import Entry, Library
from edgeassist.models.progress import Progress
from edgeassist.models.selected import Named
from edgeassist.protocol.state import Availability
from edgeassist.serving.policy import Policy
from edgeassist.serving.requests import Requests
from edgeassist.settings import Loaded, Settings
from edgeassist.settings.reload import LiveRoom
from edgeassist.supervision.spawning import Spawned
from edgeassist.supervision.supervisor import Phase, Supervisor
from edgeassist.supervision.threads import ThreadKeeper
from edgeassist.wiring import (
    broker_options,
    client_id_of,
    library_of,
    page_config_of,
    places_of,
    topics_of,
)

log = logging.getLogger(__name__)


class App:
    """One daemon.

    Args:
        loaded: The settings.
        reload: Reads them again.
        spawned: The first engine, where it has begun already.

    Attributes:
        requests: Where another transport would submit its own.
        control: What it can be told to do.
        supervisor: Has the engine.
        switching: Which model it serves.
    """

    control: Control
    _lifecycle: Lifecycle

    def __init__(self, loaded: Loaded, reload: Callable[[], Loaded], spawned: Spawned | None = None) -> None:
        settings = loaded.settings
        topics = self._topics = topics_of(settings)
        sensors = Sensors(state_folder_of(settings))
        self.supervisor = Supervisor(
            lambda: load_of(
                self.control.settings,
                self.switching.choice,
                threads=self._threads.at_load,
                configured=not self.switching.selected.chosen,
            ),
            patience_of(settings),
            on_event=lambda event: self.requests.engines.hear(event),
            on_change=self._engine_changed,
            on_lost=lambda loss: self.requests.engines.lost(
                loss.reason, planned=loss.planned, leaving=loss.leaving
            ),
            spawned=spawned,
        )
        configured = configured_model(settings)
        self.switching = Switching(
            state_directory(),
            configured,
            supervisor=self.supervisor,
            requests=lambda: self.requests,
            prepare=self._prepare,
            drain_s=lambda: self.control.settings.daemon.drain_s,
            on_change=self._model_changes,
            on_end=self._switch_ended,
        )
        self._threads = ThreadKeeper(
            self.supervisor,
            decode=number_or_none(settings.engine.threads),
            prefill=number_or_none(settings.engine.prefill_threads),
            decode_most=number_or_none(settings.engine.threads_max),
            prefill_most=number_or_none(settings.engine.prefill_threads_max),
            running=lambda: self.requests.running,
            on_change=self._threads_changed,
            flags=sensors.throttled,
        )
        will = status_message(topics, Availability.OFFLINE)
        client_id = client_id_of(settings)
        options = broker_options(settings, client_id=client_id, will=will)
        self._last_seen = LastSeen(
            state_directory(),
            runtime_directory(),
            (options.address, client_id, topics.root),
            connected=lambda: broker.connected and broker.protocol == "3.1.1",
        )
        broker = Broker(
            options,
            on_up=lambda: self._lifecycle.broker_up(),
            on_down=lambda reason: self._lifecycle.broker_down(reason),
            away_s=self._last_seen.away_s(),
        )
        self._durability = Durability(
            state_directory(),
            topics.root,
            journal_bounds_of(settings),
            expires=settings.mqtt.session_expiry_s == 0,
            wanted=lambda: self.control.settings.admission.durable,
            returning=lambda: self.requests.returning,
            restore=lambda: self._asking.restore,
            # Rare: the disk is tried every ten seconds, and a full journal has to get roomy again.
            on_change=lambda: self._reporter.changed(at_once=True),
        )
        self.requests = Requests(
            topics.device,
            self._policy_of(settings),
            self.supervisor,
            ready_in=lambda: self.supervisor.ready_in_s,
            journal=self._durability.journal,
            on_change=self._load_changed,
            on_end=lambda caller, asked, end: self._lifecycle.request_ended(caller, asked, end),
        )
        self._sleeping = Sleeping(
            settings.model.sleep_idle_s,
            supervisor=self.supervisor,
            requests=self.requests,
            switches=lambda: self.switching.target is not None,
        )
        library = library_of(settings)
        self._pulling = Pulling(library, self._pull)
        self._examining = Examining(doctor_command(loaded.named_file))
        models = Models(configured, library=library, switching=self.switching, pulling=self._pulling)
        self._condition = Condition(
            topics,
            self.supervisor,
            self.requests,
            broker,
            self._threads,
            sensors,
            self._durability.problem,
            digests_of(settings),
        )
        self._hashing = Hashing(
            self._condition,
            lambda: self.switching.choice.path,
            on_known=lambda: self._reporter.say_info(),
        )
        reporter = self._reporter = Reporter(
            topics,
            telemetry_interval_of(settings),
            broker,
            health=self._condition.health,
            telemetry=self.requests.tally.report,
            info=lambda: self._condition.info(self.control.settings.public()),
        )
        discovery = Discovery(
            topics,
            discovery_of(settings),
            broker,
            health=self._condition.health,
            say_state=self._say_states,
            more=lambda: watch_components(topics, watches.questions, watches.gone),
        )
        watches = self._watches = Watches(
            topics, watches_of(settings), broker, self.requests, on_change=discovery.changed
        )
        twins = Twins(
            topics, lambda: self._condition.instance(client_id), broker, on_change=self._twin_changed
        )
        former = FormerNames(topics, self._condition.boot_id, Register(state_directory()), broker)
        repeats = Repeats(broker)
        asking = self._asking = Asking(topics, asking_options_of(settings), broker, self.requests, repeats)
        fleet = self._fleet = FleetRoom(settings, self._condition, lambda: asking.options)
        console = Console(console_of(settings), partial(page_config_of, settings))
        commands: Commands
        self.control = Control(
            settings,
            reload,
            condition=self._condition,
            requests=self.requests,
            rooms=(
                # A new `model.path` waits for the next start, and so does what follows from it.
                LiveRoom(self._policy_of, self.requests.apply),
                LiveRoom(lambda settings: settings.model.sleep_idle_s, self._sleeping.apply),
                LiveRoom(asking_options_of, asking.apply),
                LiveRoom(reply_prefixes_of, lambda prefixes: commands.apply(prefixes)),
                LiveRoom(discovery_of, discovery.apply),
                LiveRoom(lambda settings: settings.fleet.adopt_s, fleet.apply),
                LiveRoom(watches_of, watches.apply),
                LiveRoom(console_of, console.apply),
                LiveRoom(telemetry_interval_of, reporter.apply),
                LiveRoom(journal_bounds_of, self._durability.bound),
                LiveRoom(lambda settings: settings.admission.durable, self._durability.apply),
                LiveRoom(_lifecycle_of, lambda options: self._lifecycle.apply(options)),
                LiveRoom(lambda settings: settings.daemon.log_level.value, logs.set_level),
            ),
            model=models.handle,
            drain=fleet.drain,
            doctor=self._examining.handle,
            on_reload=reporter.say_info,
        )
        commands = Commands(topics, reply_prefixes_of(settings), broker, self.control.handlers)
        # In this order told of a connection: a name is noted before anything is published under it, and Home
        # Assistant wants discovery before availability and states.
        gateways: list[Gateway] = [
            former,
            discovery,
            asking,
            repeats,
            commands,
            reporter,
            watches,
            twins,
            console,
        ]
        gateways += [] if fleet.member is None else [fleet.member]
        self._lifecycle = Lifecycle(
            _lifecycle_of(settings),
            broker=broker,
            supervisor=self.supervisor,
            requests=self.requests,
            condition=self._condition,
            gateways=gateways,
            journal=self._durability.journal,
            on_start=self._durability.take_up,
            on_hangup=self.control.hang_up,
            on_stop=self._stop_work,
            settle=self._settle,
        )
        self._commands = commands

    async def run(self) -> ExitStatus:
        """Serve until a signal or a setting that can't work; return how it ended.

        Raises:
            ConfigurationError: A setting can't work, and that shows before anything has started.
        """
        self.switching.begin()
        self.requests.apply(self._policy_of(self.control.settings))
        log.info("edgeassist %s starts as %s", __version__, self._topics.root)
        if is_builtin(self.switching.selected.named.path) and self.switching.choice.path is not None:
            log.info("%s", NEXT_MODEL)
        self._threads.look()
        await self._durability.open()
        return await self._lifecycle.run(
            {
                "supervisor": self.supervisor.run,
                "time-keeper": self.requests.keep_time,
                "thread-keeper": self._threads.run,
                "sleep": self._sleeping.run,
                "model-hash": self._hashing.run,
                "last-seen": self._last_seen.run,
            }
        )

    def stop(self) -> None:
        """Stop as at SIGTERM."""
        self._lifecycle.stop()

    # --- one room's news are for several others ------------------------------------------------------------

    def _engine_changed(self, phase: Phase) -> None:
        supervisor = self.supervisor
        self._condition.target = self.switching.target
        match phase:
            case Phase.READY if supervisor.model is not None:
                model = supervisor.model
                log.info(
                    "loaded %s in %.0f ms: %s, context of %d tokens, slots: %d",
                    *(model.name, supervisor.load_ms, model.quantization, model.context, model.slots),
                )
                self._threads.apply()
                self.requests.engines.ready(
                    model.name,
                    model.slots,
                    constrains=model.constrains,
                    decides=model.decides,
                    calibration=calibration_for(model.name),
                )
                self._hashing.loaded()
                self._reporter.say_info()
            case Phase.SLEEPING:
                self.requests.engines.asleep()
            case Phase.UNUSABLE if self.switching.fall_back(supervisor.problem or "unknown"):
                return  # the next start, which is soon, is that of the configured model
            case Phase.UNUSABLE:
                self._fleet.unusable()
                self.requests.engines.unusable(supervisor.problem or "unknown")
        self._sleeping.engine_changed(phase)
        self._fleet.changed()
        self._lifecycle.engine_changed(phase)
        # An engine that dies again and again is started ever later, so this stays rare.
        self._reporter.changed(at_once=True)

    def _stop_work(self) -> None:
        self._pulling.close()
        self._examining.close()

    async def _settle(self) -> None:
        await asyncio.gather(self._commands.settle(), self._fleet.settle())

    def _say_states(self) -> None:
        self._reporter.say_all()
        self._watches.say_all()

    def _load_changed(self) -> None:
        """Another number of requests waits or runs."""
        self._threads.apply()
        self._sleeping.look()
        self._fleet.changed()
        self._reporter.changed()

    def _policy_of(self, settings: Settings) -> Policy:
        return policy_of(settings, builtin=is_builtin(self.switching.selected.named.path))

    def _model_changes(self) -> None:
        """Have what goes by the model go by another one, which is about to serve."""
        self._condition.sha256 = None
        self.requests.apply(self._policy_of(self.control.settings))

    def _prepare(self, named: Named, held_bytes: int) -> Prepared:
        threads = self._threads.choice.threads
        return prepared_of(
            self.control.settings,
            named,
            threads=threads,
            held_bytes=held_bytes,
            mapped_bytes=self.supervisor.mapped_bytes,
        )

    def _pull(
        self,
        source: str,
        library: Library,
        on_progress: Callable[[Progress], None],
        cancelled: threading.Event,
    ) -> Entry:
        # Most daemons never get a model, and have no use for what that needs.
        from edgeassist.models.pulling.pull import pull  # noqa: PLC0415

        return pull(source, library, on_progress, cancelled, places_of(self.control.settings))

    def _switch_ended(self) -> None:
        self._condition.target = None
        self._sleeping.look()
        self._reporter.changed(at_once=True)

    def _threads_changed(self) -> None:
        self.requests.engines.hold_back(self._threads.held_back)
        self._fleet.changed()
        self._reporter.changed()

    def _twin_changed(self, twin: str | None) -> None:
        self._condition.twin = twin
        self._lifecycle.say_status()
        self._reporter.changed()


def _lifecycle_of(settings: Settings) -> LifecycleOptions:
    return LifecycleOptions(settings.daemon.drain_s, settings.daemon.ready_without_broker)


def serve(loaded: Loaded, reload: Callable[[], Loaded], spawned: Spawned | None = None) -> ExitStatus:
    """Run a daemon in this process until it is told to stop.

    Args:
        loaded: The settings.
        reload: Reads them again.
        spawned: The first engine, where it has begun already.

    Raises:
        EdgeAssistError: It could not start.
    """

    async def run() -> ExitStatus:
        return await App(loaded, reload, spawned).run()

    try:
        return asyncio.run(run())
    except* EdgeAssistError as group:
        raise group.exceptions[0] from None
