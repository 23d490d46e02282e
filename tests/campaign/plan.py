"""Who asks, and which faults come in which order. Sans-I/O: all of it follows from a seed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

# The shortest and the longest pause before a client connects again: a program of ours, paho by itself, a
# board whose sketch sleeps five seconds.
BACKOFFS = ((0.2, 1.0), (1.0, 8.0), (5.0, 5.0))


@dataclass(frozen=True, slots=True)
class Profile:
    """What a client is like.

    Attributes:
        clean: Whether the broker forgets it when it is away.
        asks_again: Whether it publishes what has no end yet again, as it was, when it or the device is back.
        named: Whether it asks on a topic of its own; else on the shared one, with `reply_to`.
        response_topic: Whether it says by MQTT 5's property where to answer.
        backoff: The shortest and the longest pause before it connects again, in seconds.
    """

    name: str
    protocol: Literal["5", "3.1.1"]
    clean: bool
    asks_again: bool
    named: bool = True
    response_topic: bool = False
    backoff: tuple[float, float] = BACKOFFS[0]

    @property
    def words(self) -> str:
        """What it is like, for a person."""
        parts = [
            f"MQTT {self.protocol}",
            "clean session" if self.clean else "kept session",
            "asks again" if self.asks_again else "asks once",
            f"connects again after {self.backoff[0]:g} to {self.backoff[1]:g} s",
        ]
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Round:
    """One fault.

    Attributes:
        number: From 0.
        pause_s: How long the load runs undisturbed before it.
        seed: For what the fault draws: how long it lasts, for instance.
    """

    number: int
    fault: str
    pause_s: float
    seed: str


def profiles(count: int) -> list[Profile]:
    """Return the clients: each mixture of protocol, session and asking again as often as any other."""
    return [
        Profile(
            name=f"c{index:02d}",
            protocol="5" if index % 2 == 0 else "3.1.1",
            clean=index // 2 % 2 == 0,
            asks_again=index // 4 % 2 == 0,
            named=index % 8 != 7,
            response_topic=index % 2 == 0 and index // 8 % 2 == 1,
            backoff=BACKOFFS[index // 4 % len(BACKOFFS)],
        )
        for index in range(count)
    ]


def rounds(
    seed: int, faults: Sequence[str], most: int | None = None, *, blocks: bool = False
) -> Iterator[Round]:
    """Yield the rounds: each fault once, in an order of chance, again and again.

    Args:
        seed: The campaign's.
        faults: Their names.
        most: How often each may come; None: without end.
        blocks: Whether all rounds of one fault come before those of the next.
    """
    random = Random(f"{seed}/rounds")
    for number, fault in enumerate(_order(faults, most, random, blocks=blocks)):
        yield Round(number, fault, round(random.uniform(0.3, 1.5), 2), f"{seed}/{number}")


def _order(faults: Sequence[str], most: int | None, random: Random, *, blocks: bool) -> Iterator[str]:
    cycles = itertools.count() if most is None else range(most)
    if blocks:
        yield from (fault for fault in faults for _ in cycles)
    else:
        for _ in cycles if faults else ():
            yield from random.sample(faults, len(faults))
