"""A broker, a daemon and a client, and fixtures that are played with them."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from edgeassist.sandbox import HOST, PrivateBroker
from tests.patience import PATIENCE_S
from tests.preloaded import PrivateDaemon
from tests.wire.client import Heard, WireClient
from tests.wire.fixtures import Fixture, JsonObject, Received, Sent, Step

ROOT = "edgeassist/box"
# What is published whenever something changes: a fixture asks for it, instead of hearing it in its place.
STATES = tuple(f"{ROOT}/{name}" for name in ("status", "health", "telemetry", "info", "instance"))
# What a box of a fleet says of itself, and to itself.
OF_FLEETS = re.compile(r"edgeassist/fleet/[^/]+/(box|has|check)/.*")
# One request at a time, no prefix cache, and text in two chunks: the first token, and the rest.
DAEMON: JsonObject = {
    "device.name": "box",
    "mqtt.host": HOST,
    "model.backend": "scripted",
    "engine.slots": 1,
    "engine.threads": 1,
    "engine.speculate": False,
    "engine.prefix_mb": 0,
    # An end that waits for the disk may come behind the answer to a command that came later.
    "admission.durable": False,
    "stream.interval_ms": 10_000,
    "stream.progress_ms": 60_000,
}
# What the ids of the stage's own pings begin with.
_OWN = "stage-"


class StageError(Exception):
    """The daemon did not do what a fixture waits for."""


class Stage:
    """Everything that fixtures with the same settings need; started by its `with`.

    Args:
        folder: Empty, for what broker and daemon write.
        fixture: One of those that will be played.
    """

    def __init__(self, folder: Path, fixture: Fixture) -> None:
        self._folder = folder
        self._config = folder / "edgeassist.toml"
        self._fixture = fixture
        self._settings: JsonObject = {}
        self._stack = ExitStack()
        self._at = 0
        self._pings = 0
        self._up = False

    def __enter__(self) -> Self:
        """Start; the daemon is ready then."""
        with ExitStack() as stack:
            broker = ("allow_anonymous true", *self._fixture.broker)
            port = stack.enter_context(PrivateBroker(self._folder, broker)).port
            self._client = stack.enter_context(WireClient(port, self._fixture.client))
            for message in self._fixture.before:
                self._client.publish(message)
            state_folder = str(self._folder / "kv")
            self._settings = {**DAEMON, "mqtt.port": port, "engine.state_folder": state_folder}
            if self._fixture.answers:
                answers = self._folder / "answers.json"
                answers.write_text(json.dumps(self._fixture.answers))
                self._settings["model.path"] = str(answers)
            self._configure(self._fixture.daemon)
            self._daemon = stack.enter_context(PrivateDaemon(self._folder, {}, self._config))
            self._up = True
            self._search(f"{ROOT}/status", "online")
            while self._ping()[1].document()["data"]["state"] != "ready":
                time.sleep(0.02)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop all of it."""
        self._stack.close()

    def play(self, fixture: Fixture) -> Fixture:
        """Do what the fixture says, and return it with what was heard.

        Raises:
            StageError: What a step waits for did not come, or more came than its steps wait for.
        """
        steps = tuple(self._play(step) for step in fixture.steps)
        if self._up and (rest := self._barrier()):
            raise StageError(f"nobody waits for {rest}")
        return fixture.model_copy(update={"steps": steps})

    def _play(self, step: Step) -> Step:
        if step.configure:
            self._configure(step.configure)
        match step.signal:
            case "TERM":
                self._up = False
                os.kill(self._daemon.pid, signal.SIGTERM)
            case "KILL":
                self._up = False
                self._daemon.stop(signal.SIGKILL)
        for message in step.publish:
            self._client.publish(message.of_calls(self._calls()))
        if step.start:
            self._daemon.start()
            self._up = True
        received = self._receive(step)
        document = None
        if step.state is not None:
            document = self._search(step.state, step.when or {})[1].recorded(str(self._folder))
        return step.model_copy(update={"receive": received, "document": document})

    def _calls(self) -> list[str]:
        """Return the ids of the last answer's calls."""
        ends = (each.document() for each in reversed(self._client.heard))
        return next(([call["id"] for call in end["tool_calls"]] for end in ends if "tool_calls" in end), [])

    def _receive(self, step: Step) -> tuple[Received, ...]:
        if step.messages == 0:
            return self._barrier()
        heard: list[Heard] = []
        while not _complete(step, heard):
            heard.append(self._next(len(heard)))
        return tuple(each.recorded(str(self._folder)) for each in heard)

    def _barrier(self) -> tuple[Received, ...]:
        """Return what comes before the answer to a ping: the daemon takes one message after the other."""
        end, _ = self._ping()
        heard: list[Heard] = []
        while self._at < end:
            heard += self._take()
        return tuple(each.recorded(str(self._folder)) for each in heard)

    def _ping(self) -> tuple[int, Heard]:
        """Return the answer to a ping of our own, and its place in what was heard."""
        self._pings += 1
        name = f"{_OWN}{self._pings}"
        self._client.publish(Sent(topic=f"{ROOT}/command/ping", payload={"id": name}))
        return self._search(f"{ROOT}/response/ping", {"id": name})

    def _take(self) -> list[Heard]:
        """Return the next message that was heard, if it is in the order that a fixture has."""
        message = self._client.heard[self._at]
        self._at += 1
        own = str(message.document().get("id")).startswith(_OWN)
        of_state = message.topic in STATES or OF_FLEETS.fullmatch(message.topic)
        return [] if of_state or own else [message]

    def _next(self, got: int) -> Heard:
        """Return the next message of a step that has had `got` of them."""
        deadline = time.monotonic() + PATIENCE_S
        client = self._client
        with client.news:
            while True:
                while self._at < len(client.heard):
                    if message := self._take():
                        return message[0]
                if not client.news.wait(max(0.0, deadline - time.monotonic())):
                    raise StageError(f"nothing came after {got} messages; {self._log()}")

    def _search(self, topic: str, when: JsonObject | str) -> tuple[int, Heard]:
        """Return the last message on the topic that has these values, and its place; waits for one."""
        deadline = time.monotonic() + PATIENCE_S
        client = self._client
        with client.news:
            while True:
                for index, message in reversed([*enumerate(client.heard)]):
                    if message.topic == topic and _has(message.document() or message.payload.decode(), when):
                        return index, message
                if not client.news.wait(max(0.0, deadline - time.monotonic())):
                    raise StageError(f"nothing on {topic} has {when}; {self._log()}")

    def _configure(self, settings: JsonObject) -> None:
        self._settings |= settings
        lines = [f"{key} = {_toml(value)}" for key, value in self._settings.items()]
        self._config.write_text("\n".join(lines) + "\n")

    def _log(self) -> str:
        return f"the daemon's log ends with: {self._daemon.log.read_text()[-1500:]}"


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


def key_of(name: str, fixture: Fixture) -> str:
    """Return what is the same for fixtures that can share a stage."""
    if fixture.alone:
        return name
    return json.dumps([fixture.client, fixture.daemon, fixture.answers, fixture.broker], sort_keys=True)


def _complete(step: Step, heard: list[Heard]) -> bool:
    if step.messages is not None:
        return len(heard) >= step.messages
    if step.last is not None:
        return bool(heard) and _has(heard[-1].document(), step.last)
    return sum(_answers(each.document()) for each in heard) >= len(step.publish)


def _answers(document: dict[str, Any]) -> bool:
    return document.get("type") in {"done", "error"} or document.get("status") in {"ok", "error"}


def _has(document: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return not wanted or (
            isinstance(document, dict)
            and all(key in document and _has(document[key], each) for key, each in wanted.items())
        )
    return bool(document == wanted)
