"""A campaign's outcome for people. Sans-I/O."""

from __future__ import annotations

from collections import Counter
from statistics import median

from tests.campaign.outcome import Outcome
from tests.campaign.rules import Wrong

_SHOWN = 5


def report(outcome: Outcome) -> str:
    """Return the tables, what was wrong, and how to do it again."""
    tally = outcome.tally
    mode = "durable" if tally.rules.durable else "not durable"
    lines = [
        "",
        f"{len(outcome.troubles)} faults in {outcome.took_s / 60:.1f} min under "
        f"{outcome.options.clients} clients, {mode}, seed {outcome.options.seed}",
        "",
        *_faults(outcome),
        "",
        f"asked {tally.asked}, accepted {tally.accepted}, refused for want of room {tally.refused}, "
        f"known only to a broker that died {tally.unkept}",
        f"ends: {', '.join(f'{code} {count}' for code, count in tally.ends.most_common())}",
        f"said again and marked so {tally.repeats}, to clients that asked again {tally.answers}; "
        f"delivered twice around a broken connection {tally.redelivered}; "
        f"refused by a daemon that died then, and decided anew {tally.reconsidered}; "
        f"missed by clients that were cut off, or that the broker and then a box left alone {tally.missed}; "
        f"lost by a device that had said it could not write them down {tally.undurable}",
        f"wrong: {', '.join(f'{each} {tally.wrong[each]}' for each in Wrong)}",
        f"daemon, idle: {_taken(outcome.before)} before, {_taken(outcome.after)} after; "
        f"started {outcome.starts} times",
    ]
    if outcome.problems:
        lines += ["", f"{len(outcome.problems)} problems beside:"]
        lines += [f"{count:4d} × {each}" for each, count in Counter(outcome.problems).most_common(20)]
    for each in tally.histories[:_SHOWN]:
        lines += ["", f"{each.id}: {'; '.join(each.wrong)}", *(f"    {line}" for line in each.lines)]
    if outcome.failure:
        lines += ["", f"it could not go on: {outcome.failure}"]
    lines += ["", "good" if outcome.good else f"NOT GOOD; again: {command(outcome)}"]
    return "\n".join(lines)


def command(outcome: Outcome) -> str:
    """Return the command line that does it again: the same faults and requests; timing is the machine's."""
    options = outcome.options
    parts = [
        "python -m tests.campaign",
        f"--seed {options.seed}",
        f"--faults {','.join(options.faults)}",
        f"--clients {options.clients}",
        *(["--order blocks"] if options.blocks else []),
        *([f"--boxes {options.boxes}"] if options.boxes > 1 else []),
        "--durable" if options.durable else "--no-durable",
    ]
    if options.rounds is not None:
        parts.append(f"--rounds {options.rounds}")
    if options.minutes is not None:
        parts.append(f"--minutes {options.minutes:g}")
    return " ".join(parts)


def _faults(outcome: Outcome) -> list[str]:
    tally = outcome.tally
    shown = [Wrong.NO_END, Wrong.DOUBLED_END, Wrong.GAP, Wrong.TEXT]
    others = [each for each in Wrong if each not in shown]
    head = ["fault", "times", "recovers", "at most", "meanwhile", *map(str, shown), "else"]
    rows = [head]
    for fault in outcome.options.faults:
        times = [each for each in outcome.troubles if each.fault == fault]
        took = [each.recovered_s for each in times if each.recovered_s is not None]
        wrong = tally.by_fault.get(fault, Counter())
        rows.append(
            [
                fault,
                str(len(times)),
                f"{median(took):.2f} s" if took else "-",
                f"{max(took):.2f} s" if took else "-",
                str(tally.asked_by_fault[fault]),
                *(str(wrong[each]) for each in shown),
                str(sum(wrong[each] for each in others)),
            ]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return [
        "  ".join(cell.ljust(width) if not column else cell.rjust(width) for column, (cell, width) in cells)
        for cells in (enumerate(zip(row, widths, strict=True)) for row in rows)
    ]


def _taken(figures: dict[str, int]) -> str:
    if not figures:
        return "unknown"
    return f"{figures['memory_bytes'] / 1e6:.1f} MB and {figures['files']} files"
