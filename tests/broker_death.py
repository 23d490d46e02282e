"""Kills a broker under prompts, and counts the ends that clients heard which never ask again.

`python -m tests.broker_death --kills 15 --clients 16 [--persistence]`, in minutes.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edgeassist.sandbox import HOST, PrivateBroker, PrivateDaemon
from tests.conftest import TOPICS, environ_of
from tests.patience import PATIENCE_S

# Seconds before a client tries again, the least and the most. SKETCH is what PubSubClient's examples wait.
PAHO, SKETCH, ESP_IDF, NODE_RED = (1, 120), (5, 5), (10, 10), (15, 15)
# The last time that ends are said again, and what a loaded machine needs beyond.
LONGEST_S = 130.0 + PATIENCE_S


class Asker:
    """A client with a clean session that asks once, connects again as its library does, and listens.

    Args:
        port: The broker's.
        name: The client's, and the id of its prompt.
        delays_s: Before it connects again.
        version: Of MQTT.
    """

    def __init__(self, port: int, name: str, delays_s: tuple[int, int], version: MQTTProtocolVersion) -> None:
        self.name = name
        self.events: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._online = False
        self._client = Client(CallbackAPIVersion.VERSION2, name, protocol=version)
        self._client.reconnect_delay_set(*delays_s)
        # The answer first: once the device's status comes, which is retained, both are heard.
        heard = [(TOPICS.reply(name, name), 1), (TOPICS.status, 1)]
        self._client.on_connect = lambda client, *_: client.subscribe(heard)
        self._client.on_message = self._take
        self._client.connect(HOST, port)
        self._client.loop_start()

    def ask(self, prompt: str) -> None:
        """Publish the prompt, once, to a device that is there."""
        assert self.until(lambda: self._online), "the device is not online"
        self._client.publish(TOPICS.prompt(self.name), json.dumps({"id": self.name, "prompt": prompt}), 1)

    def until(self, holds: Callable[[], bool], timeout_s: float = PATIENCE_S) -> bool:
        """Wait until something holds that its messages change; False if that takes too long."""
        with self._changed:
            return self._changed.wait_for(holds, timeout_s)

    @property
    def accepted(self) -> bool:
        """Whether it heard that it is answered."""
        return any(event["type"] == "accepted" for event in self.events)

    @property
    def ends(self) -> list[dict[str, Any]]:
        """All ends that it heard."""
        return [event for event in self.events if event["type"] in {"done", "error"}]

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def _take(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        with self._changed:
            if message.topic == TOPICS.status:
                self._online = message.payload == b"online"
            else:
                self.events.append(json.loads(message.payload))
            self._changed.notify_all()


@dataclass
class Tally:
    """What came of the prompts that were accepted.

    Attributes:
        doubled: Ends beyond the first that were not marked as repeats.
        wrong: Ends without the whole text.
        waits_s: From the broker's return until the end was heard, where it was not before.
    """

    accepted: int = 0
    unheard: int = 0
    doubled: int = 0
    repeats: int = 0
    wrong: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    waits_s: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        waits = sorted(self.waits_s) or [0.0]
        return (
            f"accepted {self.accepted}, unheard {self.unheard}, doubled unmarked {self.doubled}, "
            f"repeats {self.repeats}, wrong {self.wrong}, ends {dict(self.codes)}, heard after the broker's "
            f"return: median {waits[len(waits) // 2]:.1f} s, last {waits[-1]:.1f} s"
        )


@dataclass(frozen=True)
class Death:
    """One broker, one daemon, and how clients come back.

    Attributes:
        delays: Of the clients, in turns.
        away_s: How long the broker stays away, at most.
    """

    broker: PrivateBroker
    clients: int
    delays: tuple[tuple[int, int], ...]
    away_s: float
    dice: random.Random

    def kill(self, number: int, tally: Tally) -> None:
        """Ask, kill the broker, start it again, and count."""
        askers = [
            Asker(
                self.broker.port,
                f"k{number}c{each}",
                self.delays[each % len(self.delays)],
                MQTTProtocolVersion.MQTTv5 if each % 2 else MQTTProtocolVersion.MQTTv311,
            )
            for each in range(self.clients)
        ]
        texts = [self._text() for _ in askers]
        try:
            for asker, text in zip(askers, texts, strict=True):
                asker.ask(f"!script delay_ms=5\n{text}")
            for asker in askers:
                asker.until(lambda asker=asker: asker.accepted)  # type: ignore[misc]
            time.sleep(self.dice.uniform(0, 1.5))
            self.broker.stop(signal.SIGKILL)
            time.sleep(self.dice.uniform(0, self.away_s))
            self.broker.start()
            back = time.monotonic()
            for asker, text in zip(askers, texts, strict=True):
                missed = not asker.ends
                heard = asker.until(lambda asker=asker: bool(asker.ends), LONGEST_S)  # type: ignore[misc]
                if missed and heard:
                    tally.waits_s.append(time.monotonic() - back)
                self._count(asker, text, tally)
        finally:
            for asker in askers:
                asker.close()

    def _text(self) -> str:
        return " ".join(str(self.dice.randrange(10_000)) for _ in range(self.dice.randrange(4, 60)))

    def _count(self, asker: Asker, text: str, tally: Tally) -> None:
        tally.accepted += asker.accepted
        tally.unheard += asker.accepted and not asker.ends
        tally.repeats += sum("repeat" in end for end in asker.ends)
        tally.doubled += max(0, sum("repeat" not in end for end in asker.ends) - 1)
        if asker.ends:
            tally.wrong += asker.ends[0]["type"] == "done" and asker.ends[0]["text"] != text
            tally.codes[asker.ends[0].get("code", "done")] += 1


def count(
    folder: Path,
    *,
    kills: int,
    clients: int,
    delays: tuple[tuple[int, int], ...] = (PAHO, SKETCH, ESP_IDF, NODE_RED),
    away_s: float = 2.0,
    persistence: bool = False,
    seed: int = 1,
) -> Tally:
    """Kill a broker so often, and count over all.

    Args:
        folder: For both programs' files.
        kills: How often.
        clients: How many ask each time.
        delays: Before a client connects again, the least and the most; clients take them in turns.
        away_s: How long the broker stays away, at most.
        persistence: Whether it keeps sessions on disk; it writes them at every change.
        seed: Of all that is left to chance.
    """
    kept = (
        "persistence true",
        f"persistence_location {folder}/",
        "autosave_interval 1",
        "autosave_on_changes true",
    )
    settings = ("allow_anonymous true", *(kept if persistence else ()))
    tally = Tally()
    with PrivateBroker(folder, settings) as broker:
        ours = environ_of(broker.port, engine__slots=8, admission__queue=64, admission__per_client=64)
        with PrivateDaemon(folder, ours):
            death = Death(broker, clients, delays, away_s, random.Random(seed))  # noqa: S311 - no secret
            for number in range(kills):
                death.kill(number, tally)
    return tally


def main() -> None:
    """Count, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=15)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--persistence", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="broker-death") as folder:
        print(count(Path(folder), **vars(chosen)))  # noqa: T201 - a command


if __name__ == "__main__":
    main()
