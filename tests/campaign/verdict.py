"""What became of one request, by what was heard of it. Sans-I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from tests.campaign.asking import TOKEN_BYTES, Ask, Kind
from tests.campaign.ledger import BARE, Entry, Heard, Hurt, Ledger

# The device's own limit of an answer, in tokens (`sampling.max_tokens`).
MAX_TOKENS = 512
# With this number a daemon that was started again ends what it can't answer: it does not know the last one.
SEQ_AFTER_START = 1_000_000
# Ends of what never became a request: there was no room.
REFUSALS = frozenset({"busy", "quota_exceeded", "model_loading", "shutting_down"})
# With which codes a request may end if that broke while it was under way.
_CODES = {
    Hurt.ENGINE: frozenset({"engine_crashed"}),
    Hurt.DAEMON: frozenset({"engine_crashed", "interrupted"}),
}


class Wrong(StrEnum):
    """What must never be."""

    NO_END = "no end"
    DOUBLED_END = "doubled end"
    DOUBLED_EVENT = "doubled event"
    GAP = "gap in seq"
    TEXT = "wrong text"
    END = "wrong end"
    BEGAN_ANEW = "began anew unasked"


@dataclass(frozen=True, slots=True)
class Rules:
    """What was promised.

    Attributes:
        durable: That the device keeps what the broker has acknowledged.
        fleet: Only that what a dead box had is answered: it may run again elsewhere, from the beginning.
    """

    durable: bool
    fleet: bool = False


@dataclass(slots=True)
class Verdict:
    """What became of a request.

    Attributes:
        accepted: Whether it counts as accepted: see `tests.campaign`.
        refused: Whether there was no room for it.
        unkept: Whether only a broker that died knew of it.
        missed: Whether MQTT promised its client nothing.
        ends: Ends that were heard and counted: one, if all is well.
        repeats: Ends that say themselves that they are said again.
        answers: Ends that a client heard again because it had asked again.
        redelivered: Ends that came twice, byte for byte, around a connection that broke, as QoS 1 may.
        wrong: What must not be, and why.
    """

    entry: Entry
    accepted: bool = False
    refused: bool = False
    unkept: bool = False
    missed: bool = False
    ends: int = 0
    repeats: int = 0
    answers: int = 0
    redelivered: int = 0
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
    _accept(verdict, ledger, ends, now, durable=rules.durable)
    if ends:
        _count(verdict, ledger, ends)
        for end in ends:
            _check_end(verdict, ledger, end)
    if entry.ask.bare:
        _check_bare(verdict, ledger)
    else:
        _check_order(verdict, ledger, rules)
    return verdict


def _accept(verdict: Verdict, ledger: Ledger, ends: list[Heard], now: float, *, durable: bool) -> None:
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
    if not verdict.missed:
        last = "the broker has it" if heard_at is None else f"the last was {_name(entry.heard[-1])}"
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
        elif before and _twice(before[-1], end, ledger):
            verdict.redelivered += 1
        else:
            verdict.ends += 1
            first = ends[index - 1]
            later = f"{_name(end)} {end.at - first.at:.2f} s after {_name(first)}"
            verdict.wrong.append((Wrong.DOUBLED_END, later))


def _twice(first: Heard, second: Heard, ledger: Ledger) -> bool:
    """Whether QoS 1 may have delivered it twice: a connection broke between."""
    broke = ledger.troubled(first.at, second.at, Hurt.LINK, Hurt.CLIENTS, Hurt.BROKER)
    return second.dup or first.link != second.link or broke


def _check_end(verdict: Verdict, ledger: Ledger, end: Heard) -> None:
    ask, entry = verdict.entry.ask, verdict.entry
    if end.type == "error":
        allowed = REFUSALS | ask.meant
        for hurt, codes in _CODES.items():
            if ledger.troubled(entry.begun_at, end.at, hurt):
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


def expected(ask: Ask) -> str:
    """Return the answer's text, cut as the device cuts it."""
    whole = (ask.text or "").encode()[: MAX_TOKENS * TOKEN_BYTES]
    return whole.decode(errors="ignore")


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


def _check_order(verdict: Verdict, ledger: Ledger, rules: Rules) -> None:
    """Follow the numbers, and join the chunks of each run of the answer."""
    entry = verdict.entry
    known: dict[int, Heard] = {}
    text: str | None = ""
    last: Heard | None = None
    for each in entry.heard:
        if each.repeat:
            continue
        if rules.fleet and each.type == "accepted":
            # Another box has it: it was handed over, or its box is dead.
            known, text, last = {}, "", None
        seq = -1 if last is None else last.seq
        if each.seq <= seq and each.seq in known and known[each.seq].digest == each.digest:
            if not each.ends and not _twice(known[each.seq], each, ledger) and not _again(entry, each):
                verdict.wrong.append((Wrong.DOUBLED_EVENT, f"{_name(each)} came twice"))
            last, text = each, None
            continue
        if each.seq <= seq and last is not None:
            _check_anew(verdict, ledger, last, each, reruns=rules.fleet or entry.ask.reruns)
            known, text, seq = {}, "", -1
        if each.seq > seq + 1:
            text = None
            if not _may_lack(entry, ledger, last, each):
                verdict.wrong.append((Wrong.GAP, f"{_name(each)} after seq {seq}"))
        known[each.seq] = last = each
        if each.type == "chunk" and text is not None:
            text += each.text
        if each.type == "done" and text and text != expected(entry.ask):
            verdict.wrong.append((Wrong.TEXT, f"chunks {text[-40:]!r}"))


def _check_anew(verdict: Verdict, ledger: Ledger, last: Heard, first: Heard, *, reruns: bool) -> None:
    """A second run, with numbers from the beginning: somebody must have asked, or the daemon begun anew."""
    entry = verdict.entry
    if _again(entry, first) or first.ends:  # ends are counted elsewhere
        return
    died = ledger.troubled(entry.begun_at, first.at, Hurt.DAEMON)
    said = any(each.type in {"chunk", "done"} for each in entry.heard if each.at <= last.at)
    if not died or (said and not reruns):
        verdict.wrong.append((Wrong.BEGAN_ANEW, f"{_name(first)} after {_name(last)}"))


def _may_lack(entry: Entry, ledger: Ledger, last: Heard | None, each: Heard) -> bool:
    """Whether what comes before a message may have got lost: its client, or its broker, was away."""
    since, link = entry.asked[0] if last is None else (last.at, last.link)
    away = link != each.link and entry.profile.clean
    broke = ledger.troubled(since, each.at, Hurt.BROKER)
    return away or broke or _after_start(entry, ledger, each) or _answer_again(entry, each)


def _after_start(entry: Entry, ledger: Ledger, each: Heard) -> bool:
    """Whether it is the end that a start gave to what it could not answer any more."""
    return each.ends and each.seq >= SEQ_AFTER_START and ledger.troubled(entry.begun_at, each.at, Hurt.DAEMON)


def _answer_again(entry: Entry, each: Heard) -> bool:
    """Whether it may be an end that is said again, alone, to somebody who asked again."""
    return each.ends and _again(entry, each)


def _again(entry: Entry, heard: Heard) -> bool:
    """Whether its client had asked more than once by then."""
    return entry.resent > 0 or sum(at <= heard.at for at, _ in entry.asked) > 1


def _name(heard: Heard) -> str:
    return f"{heard.type} {heard.seq}" if heard.code is None else f"{heard.type} {heard.seq} ({heard.code})"
