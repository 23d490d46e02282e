"""Clients that ask one thing after another, each in its own manner."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator
from random import Random

from edgeassist.protocol.topics import Topics
from tests.campaign.asking import Ask, ask
from tests.campaign.ledger import Entry, Ledger
from tests.campaign.link import Link, Message, compact
from tests.campaign.plan import Profile
from tests.campaign.rules import REFUSALS

# After so long without an end a client asks the next: the first stays on the ledger.
GO_ON_S = 10.0
# So many requests without an end may a client have before it waits for one.
MOST_OPEN = 6
# Only so many of its requests does a client ask again at once.
MOST_AGAIN = 12
# So long a client that was refused asks nothing.
REFUSED_S = 1.0
# After so long it asks again what was refused, or has failed, where it needs an answer.
AGAIN_S = 0.1


class Asker:
    """A client.

    Args:
        profile: What it is like.
        topics: The device's.
        ledger: Keeps account of what it asks and hears.
        port: The broker's, or a relay's.
        seed: The campaign's.
        reruns: Whether the device knows the field `on_crash`.
        keepalive_s: As in MQTT.
        watches: Whether it hears what the device says of its own state.

    Attributes:
        name: Its own.
        link: Its connection.
    """

    def __init__(
        self,
        profile: Profile,
        topics: Topics,
        ledger: Ledger,
        *,
        port: int,
        seed: int,
        reruns: bool = False,
        keepalive_s: int = 30,
        watches: bool = False,
    ) -> None:
        self.name = profile.name
        self._profile = profile
        self._topics = topics
        self._fleet = topics.device.startswith("fleet/")
        self._ledger = ledger
        self._seed = seed
        self._reruns = reruns
        self._random = Random(f"{seed}/{profile.name}/pauses")
        self._open: dict[str, Entry] = {}
        self._packets: dict[int, Entry] = {}
        self._news = asyncio.Event()
        # Whether the device may have missed what was asked.
        self._unsure = True
        self._up = asyncio.Event()
        self._going = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.link = Link(
            port,
            profile,
            [
                topics.status,
                f"{topics.root}/box/+",
                topics.reply("#", profile.name),
                *([topics.health] if watches else []),
            ],
            on_up=self._come,
            on_down=self._go,
            on_message=self._hear,
            on_acknowledged=self._acknowledge,
            keepalive_s=keepalive_s,
        )

    @property
    def waiting(self) -> int:
        """How many of its requests have no end yet."""
        return len(self._open)

    def start(self) -> None:
        """Connect; it asks from `resume` on."""
        self._tasks = [asyncio.create_task(self.link.run(), name=f"link-{self.name}")]
        self._tasks.append(asyncio.create_task(self._ask_on(), name=f"ask-{self.name}"))

    async def stop(self) -> None:
        """Disconnect.

        Raises:
            Exception: One of its tasks had failed.
        """
        await self.link.stop()
        self._tasks[1].cancel()
        await asyncio.wait(self._tasks, timeout=10)
        for task in self._tasks:
            if not task.done():
                task.cancel()
            elif not task.cancelled() and (error := task.exception()) is not None:
                raise error

    def pause(self) -> None:
        """Ask nothing new."""
        self._going.clear()

    def resume(self) -> None:
        """Ask on."""
        self._going.set()

    def publish(self, request: Ask) -> Entry:
        """Ask now."""
        entry = self._ledger.open(request, self._profile)
        self._open[request.id] = entry
        self._say(entry)
        return entry

    async def first_text(self, entry: Entry) -> float:
        """Wait for the first text of an answer; return when it came. What has failed is asked again."""
        while True:
            for each in entry.heard:
                if each.type in {"chunk", "done"}:
                    return each.at
            if sum(each.ends for each in entry.heard) == len(entry.asked):
                await asyncio.sleep(AGAIN_S)
                self._open[entry.ask.id] = entry
                self._say(entry)
            self._news.clear()
            await self._news.wait()

    async def _ask_on(self) -> None:
        for request in self._requests():
            await self._going.wait()
            await self._up.wait()
            entry = self.publish(request)
            async with asyncio.TaskGroup() as group:
                if request.cancel_after_s is not None:
                    group.create_task(self._cancel(entry, request.cancel_after_s))
                group.create_task(self._wait(entry))
            await asyncio.sleep(self._random.uniform(0, 0.3))
            if any(each.code in REFUSALS for each in entry.heard):
                await asyncio.sleep(REFUSED_S)

    def _requests(self) -> Iterator[Ask]:
        for number in itertools.count():
            yield ask(self._seed, self.name, number, reruns=self._reruns)

    async def _wait(self, entry: Entry) -> None:
        """Wait for the end, but not for ever."""
        until = asyncio.get_running_loop().time() + GO_ON_S
        while entry.ended_at is None:
            self._news.clear()
            try:
                async with asyncio.timeout_at(until):
                    await self._news.wait()
            except TimeoutError:
                if len(self._open) < MOST_OPEN or not self.link.up:
                    return
                until += GO_ON_S
                # What is lost for good holds nobody up.
                self._open.pop(next(iter(self._open)))

    async def _cancel(self, entry: Entry, after_s: float) -> None:
        await asyncio.sleep(after_s)
        if entry.ended_at is None and self.link.up:
            entry.cancelled = asyncio.get_running_loop().time()
            client = self.name if self._profile.named else None
            self.link.publish(self._topics.cancel(client), compact({"request": entry.ask.id}))

    def _say(self, entry: Entry) -> None:
        fields = entry.ask.fields
        client = self.name if self._profile.named else None
        topic = (self._topics.decide if entry.ask.decides else self._topics.prompt)(client)
        response = None
        if self._profile.response_topic:
            response = f"{self._topics.reply('rt', self.name)}/{entry.ask.id}"
        elif client is None:
            fields = {**fields, "reply_to": self._topics.reply(entry.ask.id, self.name)}
        entry.asked.append((asyncio.get_running_loop().time(), self.link.number))
        packet = self.link.publish(topic, compact(fields), response=response)
        self._packets[packet] = entry

    def _ask_again(self) -> None:
        if self._profile.asks_again:
            for entry in list(self._open.values())[-MOST_AGAIN:]:
                self._say(entry)

    def _come(self) -> None:
        self._up.set()
        self._ask_again()

    def _go(self) -> None:
        self._up.clear()
        self._unsure = True
        # paho publishes these again by itself.
        for entry in self._packets.values():
            entry.resent += 1

    def _acknowledge(self, packet: int) -> None:
        entry = self._packets.pop(packet, None)
        if entry is not None:
            entry.acknowledged.append(asyncio.get_running_loop().time())

    def _take_status(self, status: str, *, retained: bool) -> None:
        """Note how the device is, or one of a fleet."""
        if status == "offline":
            # What one box of a fleet had, another takes over by itself.
            self._unsure = self._unsure or not self._fleet
        elif status == "online" and self._unsure and not retained:
            # After the broker itself was away, the device may be back later than we.
            self._unsure = False
            self._ask_again()

    def _hear(self, message: Message) -> None:
        if message.topic == self._topics.status:
            self._take_status(message.payload.decode(), retained=message.retained)
            return
        if message.topic == self._topics.health:
            now = asyncio.get_running_loop().time()
            self._ledger.durable.append((now, json.loads(message.payload)["durable"]))
            return
        if message.topic.startswith(f"{self._topics.root}/box/"):
            if message.payload:
                self._take_status(json.loads(message.payload)["state"], retained=message.retained)
            return
        entry = self._ledger.hear(
            message.topic,
            message.payload,
            at=asyncio.get_running_loop().time(),
            link=message.link,
            dup=message.dup,
            client=self.name,
        )
        if entry is None:
            return
        if entry.ended_at is not None:
            self._open.pop(entry.ask.id, None)
        self._news.set()
