"""A month in a house, on simulated time: what is asked, what breaks, and what must not grow."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import tracemalloc
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from edgeassist.engine.kv.budget import Budget
from tests.fuzz.box import TOPICS
from tests.soak.house import House
from tests.soak.simulated import SimulatedLoop

DAY_S = 86_400.0
_CLIENTS = (None, None, *(f"client{number}" for number in range(40)))
_NIGHT_S = 6 * 3600.0
_STATE_BYTES = 5_000_000
_STATE_DAY_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class Day:
    """What there is at the end of one.

    Attributes:
        number: Which.
        memory: Bytes that Python has allocated.
        objects: That the garbage collector knows.
        tasks: Of the loop.
        planned: Calls that the loop makes later.
        retained: Topics on which something is retained.
    """

    number: int
    memory: int
    objects: int
    tasks: int
    planned: int
    retained: int


@dataclass
class Diary:
    """What happened.

    Attributes:
        asked: Requests.
        ends: By code.
        unended: Ids without an end.
        doubled: Ends beyond those that were owed.
        said_again: Ends marked as repeats that nobody asked for: what ended around a broken connection.
        written: Bytes of KV states by day.
    """

    asked: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    owed: Counter[str] = field(default_factory=Counter)
    doubled: int = 0
    said_again: int = 0
    days: list[Day] = field(default_factory=list)
    written: Counter[int] = field(default_factory=Counter)
    engines: int = 0
    losses: int = 0
    decisions_of_watches: int = 0
    messages: Counter[str] = field(default_factory=Counter)

    @property
    def unended(self) -> list[str]:
        return [*self.owed]

    def ask(self, request: str) -> None:
        self.asked += 1
        self.owed[request] += 1

    def repeat(self, request: str) -> None:
        """Note that a request is sent again: what has ended gets its end again, what runs has one only."""
        if request not in self.owed:
            self.ask(request)

    def end(self, request: str, code: str, repeated: bool) -> None:  # noqa: FBT001 - as `on_end` is called
        if repeated and request not in self.owed:
            self.said_again += 1
            return
        self.ends[code] += 1
        if request not in self.owed:
            self.doubled += 1
            return
        self.owed[request] -= 1
        if not self.owed[request]:
            del self.owed[request]


class Month:
    """Simulated days of one house.

    Args:
        days: How many.
        seed: Of all that happens by chance.
        pause_s: Between two requests, on average, by day.
        say: Told of each day.
    """

    def __init__(
        self, days: int, seed: int, pause_s: float, say: Callable[[Day], None] = lambda _day: None
    ) -> None:
        self._days = days
        self._random = Random(seed)  # noqa: S311 - it is to be repeatable
        self._pause_s = pause_s
        self._say = say
        self._next = 0
        self._last: tuple[str, bytes] | None = None
        self.diary = Diary()

    def run(self) -> Diary:
        """Live through it."""
        with asyncio.Runner(loop_factory=SimulatedLoop) as runner, TemporaryDirectory() as folder:
            loop = runner.get_loop()
            assert isinstance(loop, SimulatedLoop)
            # What is logged would be kept by those who gather it, such as pytest.
            logging.disable(logging.CRITICAL)
            tracemalloc.start()
            try:
                runner.run(self._live(loop, Path(folder)))
            finally:
                tracemalloc.stop()
                logging.disable(logging.NOTSET)
        return self.diary

    async def _live(self, loop: SimulatedLoop, folder: Path) -> None:
        house = House(loop, self._random)
        house.link.on_end = self.diary.end
        habits = (self._ask, self._sense, self._break, self._introduce, self._write)
        running = [loop.create_task(house.run(), name="house")]
        running += [loop.create_task(habit(house, folder), name=habit.__name__) for habit in habits]
        for number in range(1, self._days + 1):
            done, _ = await asyncio.wait(
                running, timeout=number * DAY_S - loop.time(), return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()
            self._note(number, house)
        for task in running[1:]:
            task.cancel()
        # The last ones come to their end.
        await asyncio.sleep(120)
        self.diary.engines, self.diary.losses = house.engine.lives, house.losses
        self.diary.messages = house.link.kinds
        running[0].cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _note(self, number: int, house: House) -> None:
        gc.collect()
        day = Day(
            number,
            tracemalloc.get_traced_memory()[0],
            len(gc.get_objects()),
            len(asyncio.all_tasks()),
            house.loop.planned,
            len(house.link.retained),
        )
        self.diary.days.append(day)
        self._say(day)

    # --- what goes on --------------------------------------------------------------------------------------

    async def _ask(self, house: House, _folder: Path) -> None:
        """Ask, now and then, and seldom at night."""
        random = self._random
        while True:
            night = house.loop.time() % DAY_S < _NIGHT_S
            await asyncio.sleep(random.expovariate(1 / (self._pause_s * (10 if night else 1))))
            if not house.link.connected:
                continue
            match random.choices(range(6), (70, 10, 10, 5, 3, 2))[0]:
                case 0:
                    self._prompt(house)
                case 1 if self._last is not None:
                    topic, payload = self._last
                    self.diary.repeat(json.loads(payload)["id"])
                    house.bring(topic, payload)
                case 2:
                    self._decide(house)
                case 3:
                    request = self._prompt(house)
                    await asyncio.sleep(random.random())
                    house.bring(TOPICS.command("cancel"), json.dumps({"request": request}).encode())
                case 4:
                    for _ in range(12):
                        self._prompt(house)
                case _:
                    request = self._name()
                    self.diary.ask(request)
                    house.bring(TOPICS.prompt(), b'{"id":"%s","promt":1}' % request.encode())

    def _name(self) -> str:
        self._next += 1
        return f"r{self._next}"

    def _prompt(self, house: House) -> str:
        random, request = self._random, self._name()
        fields: dict[str, object] = {"id": request, "prompt": f"Question {random.randrange(500)}?"}
        if random.random() < 0.4:
            fields["session"] = f"s{random.randrange(60)}"
        if random.random() < 0.3:
            fields["priority"] = random.choice(("low", "normal", "high"))
        if random.random() < 0.02:
            fields["timeout_s"] = 1
        client = random.choice(_CLIENTS)
        topic = TOPICS.prompt(client)
        payload = json.dumps(fields).encode()
        self._last = topic, payload
        self.diary.ask(request)
        house.bring(topic, payload)
        return request

    def _decide(self, house: House) -> None:
        request = self._name()
        question = {"type": "choice", "instructions": "Which?", "criteria": ["bath", "hall"]}
        fields = {"id": request, "state": "The hall is dark.", "questions": {"room": question}}
        self.diary.ask(request)
        house.bring(TOPICS.decide(), json.dumps(fields).encode())

    async def _sense(self, house: House, _folder: Path) -> None:
        """Say what sensors say; one of them is broken for some hours, sometimes."""
        random, broken_until = self._random, 0.0
        while True:
            now = house.loop.time()
            if (hour := now % DAY_S) < _NIGHT_S:
                await asyncio.sleep(_NIGHT_S - hour)
            await asyncio.sleep(random.uniform(20, 200) * max(1.0, self._pause_s / 60))
            now = house.loop.time()
            if random.random() < 0.002:
                broken_until = now + random.uniform(3600, 8 * 3600)
            if now > broken_until:
                water = {"water": random.randrange(30), "at": now}
                house.bring("house/cellar", json.dumps(water).encode())
            house.bring(f"house/door/{random.randrange(5)}", random.choice((b"open", b"closed")))
            house.bring("house/noise", str(random.randrange(20, 90)).encode())

    async def _break(self, house: House, _folder: Path) -> None:
        """Lose the broker every few hours, and an engine every other day."""
        random = self._random
        while True:
            lasted = random.expovariate(1 / (6 * 3600))
            await asyncio.sleep(lasted)
            await house.lose_connection(random.choice((1, 1, 2, 5, 12)), lasted)
            if random.random() < 0.12:
                self._prompt(house)
                house.engine.die()

    async def _introduce(self, house: House, _folder: Path) -> None:
        """Restart Home Assistant each day, and let somebody claim our name each week."""
        while True:
            await asyncio.sleep(DAY_S * 0.97)
            house.bring("homeassistant/status", b"online")
            house.bring(TOPICS.status, b"offline")
            if self._random.random() < 1 / 7:
                other = {"boot_id": f"t{house.loop.time()}", "connection": 1, "client_id": "box2", "pid": 9,
                         "host": "there", "address": None, "version": "1"}  # fmt: skip
                for _ in range(3):
                    house.bring(TOPICS.instance, json.dumps(other).encode())
                    await asyncio.sleep(60)

    async def _write(self, house: House, folder: Path) -> None:
        """Write KV states as an engine does, whenever its budget allows."""
        budget = Budget(folder / "written.json", _STATE_DAY_BYTES)
        while True:
            await asyncio.sleep(900)
            now = 1_700_000_000 + house.loop.time()
            if budget.allows(_STATE_BYTES, now) and budget.spend(_STATE_BYTES, now):
                self.diary.written[int(now // DAY_S)] += _STATE_BYTES
