"""What became of one request, by what was heard of it. Sans-I/O."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgeassist.serving.engines import MAX_ATTEMPTS
from tests.campaign.asking import Kind
from tests.campaign.ledger import BARE, Entry, Heard, Hurt, Ledger
from tests.campaign.order import Order, name, twice
from tests.campaign.rules import REFUSALS, Rules, Wrong, expected

# With which codes a request may end if that broke while it was under way.
_CODES = {
    Hurt.ENGINE: frozenset({"engine_crashed"}),
    Hurt.DAEMON: frozenset({"engine_crashed", "interrupted"}),
}

# How long the device may take to say that it is not durable any more.
HEALTH_S = 2.0


@dataclass(slots=True)
class Verdict:
    """What became of a request.

    Attributes:
        accepted: Whether it counts as accepted: see `tests.campaign`.
        refused: Whether there was no room for it.
        unkept: Whether only a broker that died knew of it.
        missed: Whether MQTT, or a fleet whose broker keeps nothing, promised its client nothing.
        undurable: Whether the device, which said that it could not write it down, died with it.
        ends: Ends that were heard and counted: one, if all is well.
        repeats: Ends that say themselves that they are said again.
        answers: Ends that a client heard again because it had asked again.
        redelivered: Ends that came twice, byte for byte, around a connection that broke, as QoS 1 may.
        reconsidered: Ends of what was refused, and then delivered again to the next daemon.
        wrong: What must not be, and why.
    """

    entry: Entry
    accepted: bool = False
    refused: bool = False
    unkept: bool = False
    missed: bool = False
    undurable: bool = False
    ends: int = 0
    repeats: int = 0
    answers: int = 0
    redelivered: int = 0
    reconsidered: int = 0
    wrong: list[tuple[Wrong, str]] = field(default_factory=list)


def judge(entry: Entry, ledger: Ledger, now: float, rules: Rules) -> Verdict:
    """Return what became of a request.

    Args:
        entry: The request.
        ledger: Knows what was broken meanwhile.
        now: The time.
        rules: What was promised.
    """
    verdict = Verdict(entry)
    ends = [each for each in entry.heard if each.ends]
    _accept(verdict, ledger, ends, now, durable=rules.durable, fleet=rules.fleet)
    if ends:
        _count(verdict, ledger, ends)
        for end in ends:
            _check_end(verdict, ledger, end)
    if entry.ask.bare:
        _check_bare(verdict, ledger)
    else:
        order = Order(entry, ledger, rules)
        for each in entry.heard:
            if not each.repeat:
                order.take(each)
        verdict.wrong += order.wrong
    return verdict


def _accept(
    verdict: Verdict, ledger: Ledger, ends: list[Heard], now: float, *, durable: bool, fleet: bool
) -> None:
    entry = verdict.entry
    verdict.refused = bool(ends) and ends[0].code in REFUSALS and entry.heard[0] is ends[0]
    heard_at = entry.heard[0].at if entry.heard else None
    if verdict.refused:
        return
    if heard_at is None and entry.acknowledged:
        # Nobody but the broker has said a word.
        verdict.unkept = ledger.troubled(entry.acknowledged[0], now, Hurt.BROKER)
    kept = durable and bool(entry.acknowledged) and not verdict.unkept
    verdict.accepted = heard_at is not None or kept
    if ends or not verdict.accepted:
        return
    # An end that was said while the client alone was cut off: MQTT keeps nothing for a clean session.
    alone = entry.profile.clean and not entry.profile.asks_again
    verdict.missed = alone and any(
        each.hurts == {Hurt.CLIENTS} and each.until >= entry.begun_at for each in ledger.troubles
    )
    # A broker that keeps nothing, and then the box that would have said its end again.
    if fleet and not entry.profile.asks_again:
        verdict.missed = verdict.missed or any(
            Hurt.BROKER in each.hurts and ledger.troubled(each.at, now, Hurt.DAEMON)
            for each in ledger.troubles
            if each.until >= entry.begun_at
        )
    deaths = ledger.between(entry.begun_at if heard_at is None else heard_at, now, Hurt.DAEMON)
    if deaths:
        taken_at = deaths[0].at if heard_at is None else heard_at
        verdict.undurable = not ledger.said_durable(entry.begun_at, taken_at + HEALTH_S)
        # Asked while there was no room, of a device that was killed before it could say so.
        verdict.undurable |= any(Hurt.DISK in each.hurts and each.at <= entry.begun_at for each in deaths[:1])
    if not (verdict.missed or verdict.undurable):
        last = "the broker has it" if heard_at is None else f"the last was {name(entry.heard[-1])}"
        verdict.wrong.append((Wrong.NO_END, last))


def _count(verdict: Verdict, ledger: Ledger, ends: list[Heard]) -> None:
    """Tell ends that may come again from those that may not."""
    entry = verdict.entry
    again = len(entry.asked) - 1 + entry.resent
    verdict.ends = 1
    for index, end in enumerate(ends[1:], 1):
        before = [each for each in ends[:index] if each.digest == end.digest]
        if end.repeat:
            verdict.repeats += 1
        elif verdict.answers < again:
            verdict.answers += 1
        elif before and twice(before[-1], end, ledger):
            verdict.redelivered += 1
        elif _reconsidered(ends[:index], end, ledger):
            verdict.reconsidered += 1
        else:
            verdict.ends += 1
            first = ends[index - 1]
            later = f"{name(end)} {end.at - first.at:.2f} s after {name(first)}"
            verdict.wrong.append((Wrong.DOUBLED_END, later))


def _reconsidered(earlier: list[Heard], end: Heard, ledger: Ledger) -> bool:
    """Whether what was refused came again: who refused it died before the broker knew of that."""
    refused = all(each.code in REFUSALS for each in earlier)
    return refused and ledger.troubled(earlier[0].at, end.at, Hurt.DAEMON)


def _check_end(verdict: Verdict, ledger: Ledger, end: Heard) -> None:
    ask, entry = verdict.entry.ask, verdict.entry
    if end.type == "error":
        allowed = REFUSALS | ask.meant
        for hurt, codes in _CODES.items():
            # What asks to begin anew is not given up after one engine.
            if len(ledger.between(entry.begun_at, end.at, hurt)) >= (MAX_ATTEMPTS if ask.reruns else 1):
                allowed |= codes
        if end.code not in allowed:
            verdict.wrong.append((Wrong.END, f"error {end.code}"))
        elif not (ask.text or "").startswith(end.text):
            verdict.wrong.append((Wrong.TEXT, f"error with {end.text[-40:]!r}"))
    elif ask.decides:
        if ask.pick not in end.extra:
            verdict.wrong.append((Wrong.TEXT, f"picked {end.extra} instead of {ask.pick}"))
    elif ask.kind is not Kind.SHORT and end.text != expected(ask):
        verdict.wrong.append((Wrong.TEXT, f"done with {end.text[-40:]!r} instead of {expected(ask)[-40:]!r}"))
    elif ask.kind is Kind.SESSION and ask.fields["session"] not in end.extra:
        verdict.wrong.append((Wrong.TEXT, "done without its session"))


def _check_bare(verdict: Verdict, ledger: Ledger) -> None:
    """Compare the pieces where nothing broke: they have no numbers by which repeats could be told."""
    entry = verdict.entry
    end = next((each for each in entry.heard if each.ends), None)
    if end is None or len(entry.asked) + entry.resent > 1 or ledger.troubled(entry.begun_at, end.at):
        return
    # An end that is said again brings its text along.
    pieces = [each for each in entry.heard[: entry.heard.index(end)] if each.type == BARE]
    text = "".join(each.text for each in pieces)
    if end.type == "done" and text != expected(entry.ask):
        verdict.wrong.append((Wrong.TEXT, f"pieces {text[-40:]!r}"))
    if not pieces or pieces[-1].text or end.seq != len(pieces):
        verdict.wrong.append((Wrong.GAP, f"{len(pieces)} pieces before the end with seq {end.seq}"))
