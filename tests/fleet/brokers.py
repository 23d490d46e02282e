"""What a broker does with shared subscriptions: `python -m tests.fleet.brokers PORT`, an answer to each.

The broker runs on loopback, takes anonymous clients, and nobody else uses it. docs/fleet.md has some answers.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

from tests.fleet.members import GoneError, Member, Message

# Long enough for a session to expire: brokers look after that once in some seconds.
EXPIRED_S = 12.0


class Trial:
    """A group of its own on one topic, with a publisher; what was opened is closed at its end."""

    def __init__(self, port: int, version: int) -> None:
        self.port = port
        self.version = version
        self.name = uuid.uuid4().hex[:8]
        self.topic = f"trial/{self.name}"
        self.filter = f"$share/{self.name}/{self.topic}"
        self._stack = ExitStack()
        self._numbers = itertools.count(1)
        self._opened: list[str] = []
        self.publisher = self.open("publisher", clean=True)

    def open(
        self,
        name: str,
        *,
        version: int | None = None,
        clean: bool = False,
        expiry_s: int = 3600,
        receive_maximum: int | None = None,
    ) -> Member:
        """Connect with the session of that name."""
        client_id = f"{self.name}-{name}"
        self._opened.append(client_id)
        return self._stack.enter_context(
            Member(
                self.port,
                client_id,
                version or self.version,
                clean=clean,
                expiry_s=expiry_s,
                receive_maximum=receive_maximum,
            )
        )

    def member(self, name: str, *, receive_maximum: int | None = None, version: int | None = None) -> Member:
        """Connect, and subscribe as a member of the group."""
        member = self.open(name, receive_maximum=receive_maximum, version=version)
        granted = member.subscribe(self.filter)
        if granted >= 0x80:
            raise GoneError(f"SUBACK {granted:#x}")
        return member

    def publish(self, count: int, *, expires_s: int | None = None) -> range:
        """Publish the next numbers."""
        first = next(self._numbers)
        numbers = range(first, first + count)
        self._numbers = itertools.count(first + count)
        self.publisher.publish(self.topic, numbers, expires_s=expires_s)
        return numbers

    def close(self) -> None:
        """Break everything off, and end the sessions."""
        self._stack.close()
        for client_id in dict.fromkeys(self._opened):
            Member(self.port, client_id, self.version, clean=True).leave()


def availability(trial: Trial) -> str:
    """Are shared subscriptions granted?"""
    member = trial.open("a")
    granted = member.subscribe(trial.filter)
    trial.publish(1)
    heard = member.listen(1.0, acknowledge=True)
    said = "" if trial.version == 4 else f", CONNACK says {'yes' if member.shared else 'no'}"
    return f"SUBACK {granted:#x}{said}; 1 message: {len(heard)} delivered"


def spread(trial: Trial) -> str:
    """How are 12 messages spread over three members that acknowledge at once?"""
    members = [trial.member(name) for name in "abc"]
    trial.publish(12)
    return _who(members, acknowledge=True)


def resubscribed(trial: Trial) -> str:
    """Does a member that subscribes three times (as clients do after a reconnect) get more of 12 messages?"""
    members = [trial.member("a"), trial.member("b")]
    for _ in range(2):
        members[0].subscribe(trial.filter)
    trial.publish(12)
    return _who(members, acknowledge=True)


def window(trial: Trial) -> str:
    """A member with Receive Maximum 2 acknowledges nothing, another does: who gets 12 messages?"""
    full = trial.member("full", receive_maximum=2)
    free = trial.member("free")
    trial.publish(12)
    before = full.listen()
    elsewhere = free.listen(acknowledge=True)
    for message in before:
        full.acknowledge(message)
    after = full.listen(acknowledge=True)
    return (
        f"full one {_list(before)}, free one {_list(elsewhere)}; once the full one has acknowledged, it gets "
        f"{_list(after)}"
    )


def largest_window(trial: Trial) -> str:
    """How many of 200 messages are unacknowledged at a member without a Receive Maximum of its own?"""
    member = trial.member("a")
    trial.publish(200)
    return f"{len(member.listen())} of 200"


def wide_window(trial: Trial) -> str:
    """How many of 200 messages are unacknowledged at a member with Receive Maximum 150?"""
    member = trial.member("a", receive_maximum=150)
    trial.publish(200)
    return f"{len(member.listen())} of 200"


def out_of_order(trial: Trial) -> str:
    """PUBACKs out of order, Receive Maximum 4, 8 messages: the third is acknowledged first."""
    member = trial.member("a", receive_maximum=4 if trial.version == 5 else None)
    trial.publish(8)
    first = member.listen(most=4)
    member.acknowledge(first[2])
    then = member.listen()
    member.break_off()
    again = trial.open("a", receive_maximum=100).listen()
    return f"{_list(first)}, then {_list(then)}; after a reconnect {_list(again)}"


def offline_one(trial: Trial) -> str:
    """One of two members is offline, its session kept: who gets 12 messages?"""
    online, offline = trial.member("a"), trial.member("b")
    offline.break_off()
    _let_it_notice()
    trial.publish(12)
    elsewhere = online.listen(acknowledge=True)
    back = trial.open("b").listen(acknowledge=True)
    return f"online {_list(elsewhere)}; the other, back, {_list(back)}"


def offline_all(trial: Trial) -> str:
    """All members are offline, their sessions kept: what becomes of 6 messages?"""
    for member in (trial.member("a"), trial.member("b")):
        member.break_off()
    _let_it_notice()
    trial.publish(6)
    back = [trial.open("a"), trial.open("b")]
    refusals = [f"{each:#x}" for each in trial.publisher.refusals]
    return f"{_who(back, acknowledge=True)}, publisher told {', '.join(refusals) or 'yes'}"


def broken_off(trial: Trial) -> str:
    """A member's connection breaks with 2 unacknowledged and more queued; its session is kept."""
    broken, other = trial.member("a", receive_maximum=2), trial.member("b")
    trial.publish(12)
    unacknowledged = broken.listen()
    other.listen(acknowledge=True)
    broken.break_off()
    passed = other.listen(1.5, acknowledge=True)
    back = trial.open("a", receive_maximum=2)
    again = back.listen(acknowledge=True)
    same = [each.packet_id for each in again[: len(unacknowledged)]] == [
        each.packet_id for each in unacknowledged
    ]
    return (
        f"had {_list(unacknowledged)}; other member gets {_list(passed)}; back, it gets {_list(again)} "
        f"(!: DUP; packet ids {'as before' if same else 'new'})"
    )


def expired(trial: Trial) -> str:
    """A member's session expires (after 1 s) with 2 unacknowledged and more queued."""
    broken = trial.open("a", receive_maximum=2, expiry_s=1)
    broken.subscribe(trial.filter)
    return _ended(trial, broken, broken.break_off, wait_s=EXPIRED_S)


def left(trial: Trial) -> str:
    """A member says DISCONNECT with session expiry 0, with 2 unacknowledged and more queued."""
    member = trial.member("a", receive_maximum=2)
    return _ended(trial, member, lambda: member.leave(expiry_s=0), wait_s=1.5)


def began_anew(trial: Trial) -> str:
    """A member connects again with a clean start, with 2 unacknowledged and more queued."""
    member = trial.member("a", receive_maximum=2)
    return _ended(trial, member, lambda: trial.open("a", clean=True), wait_s=1.5)


def unsubscribed(trial: Trial) -> str:
    """A member unsubscribes with 2 unacknowledged and more queued."""
    leaver, other = trial.member("a", receive_maximum=2), trial.member("b")
    trial.publish(12)
    had = leaver.listen()
    other.listen(acknowledge=True)
    leaver.unsubscribe(trial.filter)
    for message in had:
        leaver.acknowledge(message)
    rest = leaver.listen(acknowledge=True)
    passed = other.listen(acknowledge=True)
    trial.publish(4)
    new, new_elsewhere = (each.listen(acknowledge=True) for each in (leaver, other))
    return (
        f"had {_list(had)}; afterwards it gets {_list(rest)}, the other {_list(passed)}; "
        f"of 4 new ones it gets {_list(new)}, the other {_list(new_elsewhere)}"
    )


def taken_over(trial: Trial) -> str:
    """Another connection takes a member's session over, no clean start; 2 unacknowledged, more queued."""
    first, other = trial.member("a", receive_maximum=2), trial.member("b")
    trial.publish(12)
    had = first.listen()
    other.listen(acknowledge=True)
    heir = trial.open("a", receive_maximum=10)
    told = first.told_to_go()
    got = heir.listen(acknowledge=True)
    trial.publish(4)
    new = heir.listen(acknowledge=True)
    return (
        f"the first had {_list(had)} and is told: {told}; session present: {heir.session_present}; the heir "
        f"gets {_list(got)}, and without subscribing {_list(new)} of 4 new ones, the other "
        f"{_list(other.listen())}"
    )


def refused(trial: Trial) -> str:
    """A member answers with PUBACK 0x97 (quota exceeded): does another get the message?"""
    refusing, other = trial.member("a"), trial.member("b")
    trial.publish(4)
    heard = refusing.listen()
    for message in heard:
        refusing.acknowledge(message, 0x97)
    other_heard = other.listen(1.0, acknowledge=True)
    again = refusing.listen(1.0)
    refusing.break_off()
    back = trial.open("a").listen()
    return (
        f"it refused {_list(heard)}, the other gets {_list(other_heard)}; again: {_list(again)}, after a "
        f"reconnect {_list(back)}"
    )


def mixed(trial: Trial) -> str:
    """Members of 3.1.1 and 5 in one group, 12 messages."""
    members = [trial.member("a", version=4), trial.member("b", version=5)]
    trial.publish(12)
    return _who(members, acknowledge=True)


def queue_limit(trial: Trial) -> str:
    """How many of 3,000 messages does an offline member's session keep?"""
    trial.member("a").break_off()
    _let_it_notice()
    trial.publish(3000)
    kept = trial.open("a").listen(1.0, acknowledge=True)
    return _kept(trial, kept)


def busy_queue_limit(trial: Trial) -> str:
    """How many of 3,000 are kept for a connected member that acknowledges none, Receive Maximum 10?"""
    member = trial.member("a", receive_maximum=10)
    trial.publish(3000)
    kept = member.listen(1.0, acknowledge=True)
    return _kept(trial, kept)


def order(trial: Trial) -> str:
    """Are 100 messages to one member in order, also over a reconnect after 50?"""
    member = trial.member("a", receive_maximum=10)
    trial.publish(100)
    first = member.listen(most=50, acknowledge=True)
    member.break_off()
    rest = trial.open("a", receive_maximum=10).listen(acknowledge=True)
    numbers = [each.number for each in first + rest]
    inside = numbers[:50] == sorted(numbers[:50]) and numbers[50:] == sorted(numbers[50:])
    return (
        f"{'in order' if inside else 'not in order'}, {len(set(numbers))} of 100, {len(numbers)} deliveries"
    )


def marker(trial: Trial) -> str:
    """Does a message to a topic of the session's own arrive behind what was queued for the group before?"""
    trial.member("a", receive_maximum=1000).subscribe(f"{trial.topic}/marker")
    trial.publish(50)
    trial.publisher.publish(f"{trial.topic}/marker", range(1))
    heir = trial.open("a", receive_maximum=5)
    heard = [each.number for each in heir.listen(acknowledge=True)]
    behind = heard and heard[-1] == 0 and sorted(heard[:-1]) == list(range(1, 51))
    return "yes" if behind else f"no: behind {heard.index(0) if 0 in heard else 'none'} of {len(heard)}"


def expiry(trial: Trial) -> str:
    """Is a message whose expiry (1 s) passes while it is queued for an offline member delivered?"""
    trial.member("a").break_off()
    _let_it_notice()
    trial.publish(2, expires_s=1)
    time.sleep(2.5)
    return f"{len(trial.open('a').listen())} of 2"


def _ended(trial: Trial, member: Member, end: Callable[[], object], *, wait_s: float) -> str:
    """What another member gets of what an ended session had, and of what comes afterwards."""
    other = trial.member("b")
    trial.publish(12)
    had = member.listen()
    other.listen(acknowledge=True)
    end()
    passed = other.listen(wait_s, acknowledge=True)
    trial.publish(4)
    new = other.listen(acknowledge=True)
    return f"had {_list(had)}; the other member gets {_list(passed)}; of 4 new ones {_list(new)}"


def _kept(trial: Trial, kept: list[Message]) -> str:
    """How many of all, which, and what their publisher was told."""
    which = "" if not kept else ", the first ones" if kept[0].number == 1 else ", not the first ones"
    refusals = trial.publisher.refusals
    told = f"PUBACK {refusals[0]:#x} for {len(refusals)}" if refusals else "success for all"
    return f"{len(kept)}{which}; the publisher was told {told}"


def _who(members: list[Member], *, acknowledge: bool) -> str:
    """Who got which, in the order of the numbers: "abcabc", with a dot for one that nobody got."""
    got: dict[int, str] = {}
    for name, member in zip("abc", members, strict=False):
        for message in member.listen(acknowledge=acknowledge):
            got[message.number] = got.get(message.number, "") + name
    return "nobody any" if not got else " ".join(got.get(number, ".") for number in range(1, max(got) + 1))


def _list(messages: list[Message]) -> str:
    return " ".join(f"{each.number}{'!' if each.dup else ''}" for each in messages) or "none"


def _let_it_notice() -> None:
    """A closed socket takes the broker a moment."""
    time.sleep(0.3)


BOTH = (
    availability,
    spread,
    resubscribed,
    largest_window,
    out_of_order,
    offline_one,
    offline_all,
    order,
    queue_limit,
)
ONLY_5 = (
    window,
    wide_window,
    broken_off,
    expired,
    left,
    began_anew,
    unsubscribed,
    taken_over,
    refused,
    mixed,
    marker,
    busy_queue_limit,
    expiry,
)


def run(port: int, wanted: list[str]) -> Iterator[tuple[str, str, str]]:
    """Yield each trial's name, question and answer; a broker that does not answer is an answer, too."""
    for trials, version in ((BOTH, 5), (BOTH, 4), (ONLY_5, 5)):
        for ask in trials:
            if wanted and ask.__name__ not in wanted:
                continue
            name = ask.__name__ + (" (3.1.1)" if version == 4 else "")
            question = (ask.__doc__ or "").strip()
            try:
                trial = Trial(port, version)
                answer = ask(trial)
            except (GoneError, OSError) as error:
                answer = f"the broker: {error}"
            yield name, question, answer
            with suppress(GoneError, OSError):
                trial.close()


def main() -> None:
    """Ask them all, or those that are named."""
    parser = argparse.ArgumentParser(prog="python -m tests.fleet.brokers", description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("trials", nargs="*")
    arguments = parser.parse_args()
    for name, question, answer in run(arguments.port, arguments.trials):
        sys.stdout.write(f"{name}: {question}\n    {answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
