"""Whatever happens, and in whatever order, every request ends in exactly one terminal event, its last."""

import asyncio
import json
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from edgeassist.engine.messages import (
    Cancel,
    Cancelled,
    Decide,
    Delta,
    Failed,
    Finish,
    Finished,
    Prefilled,
    Start,
)
from edgeassist.serving.admission import Limits
from tests.unit.conftest import ROOM, House, MakeHouse

TERMINAL = {"done", "error"}
ACTIONS = [
    *["ask"] * 6,
    *["decide"] * 3,
    "ask broken",
    "ask retained",
    "send again",
    *["ready"] * 3,
    *["prefilled", "piece", "piece", "finished", "finished", "failed"],
    *["answer cancel"] * 2,
    *["cancel"] * 3,
    *["cancel all", "lose engine", "no model", "time", "time", "much time", "close"],
]


class World:
    """A house, an engine that does what engines do, and what was asked; `pick` chooses among many."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.slots = 0
        self.told = 0
        self.jobs: dict[str, str] = {}
        self.decisions: set[str] = set()
        self.asked: dict[str, tuple[bytes, bool]] = {}

    async def act(self, action: str, pick: int) -> None:
        match action:
            case "decide" | "ask" | "ask broken" | "ask retained":
                self.ask(action.removeprefix("ask").strip(), pick)
            case "send again":
                self.send_again(pick)
            case "ready" | "lose engine" | "no model":
                self.change_engine(action, 1 + pick % 3)
            case "cancel":
                self.house.requests.cancel(f"i{pick % 4}")
            case "cancel all":
                self.house.requests.cancel_all()
            case "time" | "much time":
                await self.house.pass_time(pick % 3 if action == "time" else 40)
            case "close" if not pick % 4:
                self.house.requests.close()
            case _ if self.jobs:
                self.engine_says(action, sorted(self.jobs)[pick % len(self.jobs)])
        self.hear_commands()

    def ask(self, how: str, pick: int) -> None:
        """Send a request to a reply topic of its own, under one of a few ids."""
        topic = f"reply/{len(self.asked)}"
        request: dict[str, Any] = {"id": f"i{pick % 4}", "reply_to": topic}
        decide = how == "decide"
        if decide:
            request |= {"state": "x", "questions": ROOM}
        else:
            request |= {"prompt": "x", "stream": pick % 5 > 0}
            if pick % 3 == 0:
                request["session"] = f"s{pick % 2}"
        if pick % 7 == 0:
            request["timeout_s"] = 1
        if how == "broken":
            request["promt"] = "y"
        payload = json.dumps(request).encode()
        if how != "retained":
            self.asked[topic] = payload, decide
        self.house.receive(payload, decide=decide, retained=how == "retained")

    def send_again(self, pick: int) -> None:
        if self.asked:
            topic = sorted(self.asked)[pick % len(self.asked)]
            payload, decide = self.asked[topic]
            self.house.receive(payload, decide=decide)

    def change_engine(self, action: str, slots: int) -> None:
        if action == "ready" and not self.slots:
            self.slots = slots
            self.house.ready(slots)
        elif action == "lose engine" and self.slots:
            self.slots = 0
            self.jobs.clear()
            self.house.requests.engines.lost("it died", planned=False)
        elif action == "no model" and not self.slots:
            self.house.requests.engines.unusable("no such file")

    def engine_says(self, action: str, job: str) -> None:
        cancelled = self.jobs[job] == "cancelled"
        match action:
            case "prefilled" if job not in self.decisions:
                self.house.say(Prefilled(job, 1, 0, 2))
            case "piece" if job not in self.decisions:
                self.house.say(Delta(job, "a你"))
            case "finished":
                del self.jobs[job]
                if job in self.decisions:
                    self.house.decided(job, (0.0, 1.0, 2.0))
                else:
                    self.house.say(Finished(job, Finish.STOP, 3, 0, 2, 1, 1))
            case "failed":
                del self.jobs[job]
                self.house.say(Failed(job, "internal", "no"))
            case "answer cancel" if cancelled:
                del self.jobs[job]
                self.house.say(Cancelled(job))

    def hear_commands(self) -> None:
        """Take what the engine was told; it is never told of more jobs than it has slots."""
        commands = self.house.engine.commands
        for command in commands[self.told :]:
            match command:
                case Start(id=job) | Decide(id=job):
                    assert job not in self.jobs
                    if isinstance(command, Decide):
                        self.decisions.add(job)
                    self.jobs[job] = "runs"
                    assert len(self.jobs) <= self.slots
                case Cancel(id=job):
                    if job in self.jobs:
                        assert self.jobs[job] == "runs"
                        self.jobs[job] = "cancelled"
        self.told = len(commands)

    def streams(self) -> dict[str, list[dict[str, Any]]]:
        said: dict[str, list[dict[str, Any]]] = {topic: [] for topic in self.asked}
        for message in self.house.published:
            said[message.topic].append(json.loads(message.payload))
        return said


def check_stream(events: list[dict[str, Any]]) -> Counter[str]:
    """Check the events of one reply topic, and count how its streams ended.

    A request that is sent again begins a new stream after the end of the last, or hears that end again.
    """
    ends: Counter[str] = Counter()
    end: dict[str, Any] | None = None
    text = ""
    seq = 0
    for event in events:
        if event.get("repeat"):
            assert end is not None
            assert end["type"] == "done"
            assert event == {**end, "repeat": True}
            continue
        if end is not None:
            end, text, seq = None, "", 0
        assert event["seq"] == seq, events
        seq += 1
        if event["type"] == "chunk":
            text += event["text"]
        if event["type"] in TERMINAL:
            assert event["text"].startswith(text)
            end = event
            ends[event.get("code", "done")] += 1
    assert end is not None, f"no end: {events}"
    return ends


STEPS = st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 209)), min_size=5, max_size=60)


@given(steps=STEPS)
@settings(max_examples=250)
def test_every_request_ends_exactly_once_whatever_happens(
    make_house: MakeHouse, steps: list[tuple[str, int]]
) -> None:
    house = make_house(limits=Limits(queue=4, per_client=6, ageing_s=30), remember_s=1e9)
    world = World(house)

    async def live() -> None:
        for action, pick in steps:
            await world.act(action, pick)

    asyncio.run(live())
    house.requests.close()
    house.requests.abandon()
    ends: Counter[str] = Counter()
    for events in world.streams().values():
        ends += check_stream(events)
    assert (house.requests.queued, house.requests.running) == (0, 0)
    report = house.requests.tally.report()
    counted = {str(code): times for code, times in report.errors.items()}
    assert Counter({"done": report.done, **counted}) == Counter({"done": 0, **ends})


@given(steps=STEPS)
def test_no_slot_is_ever_lost(make_house: MakeHouse, steps: list[tuple[str, int]]) -> None:
    house = make_house(limits=Limits(queue=9, per_client=99, ageing_s=30), timeout_s=500)
    world = World(house)

    async def live() -> None:
        for action, pick in steps:
            if action != "close":
                await world.act(action, pick)

    asyncio.run(live())
    if not world.slots:
        world.slots = 2
        house.ready(2)
    house.requests.cancel_all()
    world.hear_commands()
    for job in sorted(world.jobs):
        world.engine_says("answer cancel", job)
    assert world.jobs == {}
    for number in range(world.slots):
        house.ask(f"last {number}")
    world.hear_commands()
    assert len(world.jobs) == world.slots
