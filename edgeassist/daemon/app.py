"""The composition root: makes the rooms, connects them, and sees them through start, run and stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable

from pydantic import JsonValue

from edgeassist import __version__
from edgeassist.broker import Broker
from edgeassist.daemon import logs, systemd
from edgeassist.daemon.condition import Condition
from edgeassist.device.sensors import Sensors
from edgeassist.engine.messages import Load
from edgeassist.errors import ConfigurationError, EdgeAssistError, ExitStatus, InvalidRequestError
from edgeassist.gateways.homeassistant.discovery import Discovery
from edgeassist.gateways.mqtt import commands
from edgeassist.gateways.mqtt.reporter import Reporter, status_message
from edgeassist.models.builtin import NEXT_MODEL, is_builtin
from edgeassist.models.choice import Choice, choose_model
from edgeassist.protocol.packets import Inbound, Subscription
from edgeassist.protocol.state import Availability, Info
from edgeassist.protocol.topics import CommandTopic, PromptTopic
from edgeassist.serving.dispatcher import Dispatcher
from edgeassist.settings import Loaded, merge
from edgeassist.supervision.supervisor import Phase, Supervisor
from edgeassist.supervision.threads import ThreadKeeper
from edgeassist.wiring import (
    broker_options,
    discovery_of,
    load_of,
    number_or_none,
    patience_of,
    policy_of,
    state_folder_of,
    topics_of,
)

log = logging.getLogger(__name__)

FLUSH_S = 3.0
DRAIN_POLL_S = 0.02
COMMANDS_AT_ONCE = 16


class App:
    """One daemon, from start to stop.

    Args:
        loaded: The settings.
        reload: Reads them again.
    """

    def __init__(self, loaded: Loaded, reload: Callable[[], Loaded]) -> None:
        self._settings = loaded.settings
        self._reload = reload
        self._topics = topics_of(self._settings)
        self._model = Choice(None, "")
        self._sensors = Sensors(state_folder_of(self._settings))
        self._stop = asyncio.Event()
        self._said_ready = False
        self._broker_problem: str | None = None
        self._status = ExitStatus.OK
        self._commands: set[asyncio.Task[None]] = set()
        self._supervisor = Supervisor(
            self._load,
            patience_of(self._settings),
            on_event=lambda event: self._dispatcher.engine_event(event),
            on_change=self._engine_changed,
            on_lost=lambda reason: self._dispatcher.engine_lost(reason),
        )
        self._threads = ThreadKeeper(
            self._supervisor,
            decode=number_or_none(self._settings.engine.threads),
            prefill=number_or_none(self._settings.engine.prefill_threads),
            running=lambda: self._dispatcher.running,
            on_change=self._threads_changed,
            flags=self._sensors.throttled,
        )
        self._broker = self._make_broker()
        self._dispatcher = Dispatcher(
            self._topics,
            policy_of(self._settings),
            self._supervisor,
            publish=self._broker.publish,
            congested=lambda: self._broker.congested,
            on_change=self._load_changed,
            on_end=lambda client, request, end: self._discovery.ended(client, request, end),
        )
        self._condition = Condition(
            self._topics,
            self._supervisor,
            self._dispatcher,
            self._broker,
            self._threads,
            self._sensors,
        )
        self._reporter = Reporter(
            self._topics,
            self._settings.daemon.telemetry_s,
            publish=self._broker.publish,
            connected=lambda: self._broker.connected,
            health=self._condition.health,
            telemetry=self._dispatcher.tally.report,
            info=self._info,
        )
        self._discovery = Discovery(
            self._topics,
            discovery_of(self._settings),
            publish=self._broker.publish,
            listen=self._broker.listen,
            connected=lambda: self._broker.connected,
            health=self._condition.health,
            say_state=self._reporter.everything,
        )

    async def run(self) -> ExitStatus:
        """Serve until SIGTERM, SIGINT or a setting that can't work; return how it ended.

        Raises:
            ConfigurationError: A setting can't work, and that shows before anything has started.
        """
        self._model = choose_model(self._settings.model.path, self._settings.model.backend)
        log.info("edgeassist %s starts as %s", __version__, self._topics.root)
        if is_builtin(self._settings.model.path) and self._model.path is not None:
            log.info("%s", NEXT_MODEL)
        self._threads.look()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop_signal)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        self._broker.start()
        self._discovery.start()
        # A task that dies takes the group, and so the daemon, with it; systemd starts it anew.
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._supervisor.run(), name="supervisor"),
                group.create_task(self._dispatcher.keep_time(), name="time-keeper"),
                group.create_task(self._threads.run(), name="thread-keeper"),
                group.create_task(self._reporter.run(), name="reporter"),
                group.create_task(self._feed_watchdog(), name="watchdog"),
                group.create_task(self._fingerprint(), name="fingerprint"),
            ]
            await self._stop.wait()
            await self._shut_down()
            for task in tasks:
                task.cancel()
        return self._status

    # --- start and stop ------------------------------------------------------------------------------------

    def _make_broker(self) -> Broker:
        settings = self._settings
        client_id = settings.mqtt.client_id or f"edgeassist-{settings.device.name}"
        will = status_message(self._topics, Availability.OFFLINE)
        # Commands at QoS 0 overtake prompts that wait for their acknowledgement.
        prompts = [Subscription(each, qos=1) for each in self._topics.prompt_filters]
        return Broker(
            broker_options(settings, client_id=client_id, will=will),
            subscriptions=[*prompts, Subscription(self._topics.command_filter, qos=0)],
            on_message=self._on_message,
            on_up=self._broker_up,
            on_down=self._broker_down,
        )

    def _load(self) -> Load:
        return load_of(self._settings, self._model, threads=self._threads.choice.threads)

    async def _shut_down(self) -> None:
        """Say so, let running answers end within the drain time, and leave nothing behind."""
        self._condition.stopping = True
        log.info("stopping: %d answers are running", self._dispatcher.running)
        systemd.notify(STOPPING="1", STATUS="stopping")
        self._dispatcher.close()
        self._reporter.say_health()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.daemon.drain_s):
                while self._dispatcher.running:
                    await asyncio.sleep(DRAIN_POLL_S)
        self._dispatcher.abandon()
        await self._supervisor.stop()
        self._discovery.close()
        self._reporter.status(Availability.OFFLINE)
        await self._broker.flush(FLUSH_S)
        await self._broker.stop()
        log.info("stopped")

    def _check_ready(self) -> None:
        """Tell systemd READY once the model is loaded and the broker is there (a setting waives that)."""
        broker = self._broker.connected or self._settings.daemon.ready_without_broker
        if not self._said_ready and self._supervisor.phase is Phase.READY and broker:
            self._said_ready = True
            log.info("ready: publish a prompt on %s", self._topics.prompt())
            systemd.notify(READY="1")

    # --- what happens around us ----------------------------------------------------------------------------

    def _on_message(self, message: Inbound) -> None:
        match self._topics.parse(message.topic):
            case PromptTopic(client=client):
                self._dispatcher.receive(message, client)
            case CommandTopic(name=name) if not message.retained:
                self._take_command(name, message)
            case _:
                if not self._discovery.take(message):
                    log.debug("ignored a message on %s", message.topic)

    def _broker_up(self) -> None:
        self._broker_problem = None
        self._discovery.introduce()
        self._check_ready()
        self._say_status()

    def _broker_down(self, reason: str) -> None:
        log.warning("%s", reason)
        self._broker_problem = reason
        self._say_status()

    def _engine_changed(self, phase: Phase) -> None:
        supervisor = self._supervisor
        match phase:
            case Phase.READY if supervisor.model is not None:
                model = supervisor.model
                log.info(
                    "loaded %s in %.0f ms: %s, context of %d tokens, slots: %d",
                    *(model.name, supervisor.load_ms, model.quantization, model.context, model.slots),
                )
                self._threads.apply()
                self._dispatcher.engine_ready(model.name, model.slots)
                self._reporter.say_info()
                self._check_ready()
            case Phase.UNUSABLE:
                self._dispatcher.engine_unusable(supervisor.problem or "unknown")
                if not self._said_ready:
                    self._status = ExitStatus.CONFIGURATION
                    self._stop.set()
        self._reporter.changed()
        self._say_status()

    def _load_changed(self) -> None:
        """Another number of requests waits or runs."""
        self._threads.apply()
        self._reporter.changed()

    def _threads_changed(self) -> None:
        self._dispatcher.hold_back(self._threads.held_back)
        self._reporter.changed()

    def _say_status(self) -> None:
        """Tell `systemctl status`: without a broker nobody hears of the rest."""
        state, reason = self._condition.state()
        status = f"{state.value}: {reason or self._dispatcher.model or 'no model'}"
        systemd.notify(STATUS=self._broker_problem or status)

    def _on_stop_signal(self) -> None:
        """Stop; told twice, without waiting for running answers."""
        if self._stop.is_set():
            self._dispatcher.abandon()
        self._stop.set()

    def _on_hangup(self) -> None:
        if self._said_ready:
            systemd.notify(RELOADING="1", MONOTONIC_USEC=str(time.monotonic_ns() // 1000))
        try:
            changes = self._apply()
        except ConfigurationError as error:
            log.error("the settings stay as they were: %s", error.message)  # noqa: TRY400 - its text says all
        else:
            log.info("reloaded: %s", changes)
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

    async def _fingerprint(self) -> None:
        await self._condition.fingerprint(self._model.path)
        self._reporter.say_info()

    def _info(self) -> Info:
        return self._condition.info(self._settings.public())

    # --- commands ------------------------------------------------------------------------------------------

    def _take_command(self, name: str, message: Inbound) -> None:
        if len(self._commands) >= COMMANDS_AT_ONCE:
            log.warning("ignored the command %s: %d are being carried out", name, len(self._commands))
            return
        task = asyncio.create_task(self._carry_out(name, message), name=f"command-{name}")
        self._commands.add(task)
        task.add_done_callback(self._commands.discard)

    async def _carry_out(self, name: str, message: Inbound) -> None:
        topic = self._topics.response(name)
        if message.response_topic is not None:
            prefixes = [*self._settings.mqtt.reply_prefixes, f"{self._topics.root}/response/"]
            try:
                topic = self._topics.check_reply(message.response_topic, prefixes=prefixes, client=None)
            except InvalidRequestError as error:
                log.warning("the command %s is answered on %s: %s", name, topic, error.message)
        handlers: dict[str, commands.Handler] = {
            "cancel": self._cancel,
            "ping": self._ping,
            "info": self._tell_info,
            "log_level": self._set_log_level,
            "reload": self._reload_settings,
        }
        response = await commands.answer(name, message, handlers)
        self._broker.publish(commands.respond(response, topic, message))

    async def _cancel(self, arguments: commands.CancelArguments) -> dict[str, JsonValue]:
        if arguments.all:
            return {"cancelled": self._dispatcher.cancel_all()}
        if not self._dispatcher.cancel(arguments.request or "", arguments.client):
            raise InvalidRequestError(f"cancel: no request {arguments.request!r} waits or runs")
        return {"cancelled": 1}

    async def _ping(self, _arguments: commands.NoArguments) -> dict[str, JsonValue]:
        state, _ = self._condition.state()
        return {"state": state.value, "uptime_s": self._condition.uptime_s()}

    async def _tell_info(self, _arguments: commands.NoArguments) -> dict[str, JsonValue]:
        return self._info().model_dump(mode="json")

    async def _set_log_level(self, arguments: commands.LogLevelArguments) -> dict[str, JsonValue]:
        logs.set_level(arguments.level)
        return {"level": arguments.level}

    async def _reload_settings(self, _arguments: commands.NoArguments) -> dict[str, JsonValue]:
        return self._apply()

    def _apply(self) -> dict[str, JsonValue]:
        """Read the settings again, go by what can change while running, and tell what can't.

        Raises:
            ConfigurationError: They can't be used; all stays as it was.
        """
        reloaded = merge(self._settings, self._reload().settings)
        self._settings = reloaded.settings
        self._dispatcher.apply(policy_of(self._settings))
        self._discovery.apply(discovery_of(self._settings))
        self._reporter.interval_s = self._settings.daemon.telemetry_s
        logs.set_level(self._settings.daemon.log_level.value)
        self._reporter.say_info()
        return {"applied": [*reloaded.applied], "restart_needed": [*reloaded.restart_needed]}


def serve(loaded: Loaded, reload: Callable[[], Loaded]) -> ExitStatus:
    """Run a daemon in this process until it is told to stop.

    Raises:
        EdgeAssistError: It could not start.
    """

    async def run() -> ExitStatus:
        return await App(loaded, reload).run()

    try:
        return asyncio.run(run())
    except* EdgeAssistError as group:
        raise group.exceptions[0] from None
