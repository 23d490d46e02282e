"""`python -m tests.soak`: what must not grow, in simulated days or in some minutes of a real daemon.

python -m tests.soak --days 30
python -m tests.soak --minutes 30 --pause 1
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from tests.soak.daemon import soak
from tests.soak.month import Day, Diary, Month


def main() -> int:
    """Soak; 1 if something grows or is lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--days", type=int, default=0, help="simulated ones")
    parser.add_argument("--minutes", type=float, default=0.0, help="real ones, of a daemon")
    parser.add_argument("--pause", type=float, default=None, help="seconds between requests")
    parser.add_argument("--seed", type=int, default=None, help="of the simulated days")
    options = parser.parse_args()
    if not options.days and not options.minutes:
        parser.error("say for how long: --days 30, or --minutes 10")
    good = True
    if options.days:
        seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
        _say(f"seed {seed}")
        diary = Month(options.days, seed, options.pause or 120.0, _tell).run()
        _say(summary(diary))
        good = not (diary.unended or diary.doubled)
    if options.minutes:
        seconds = options.minutes * 60
        with tempfile.TemporaryDirectory() as folder:
            record = asyncio.run(
                soak(Path(folder), seconds=seconds, pause_s=options.pause or 1.0, every_s=seconds / 60)
            )
        _say(record.table())
        good = good and not record.failed
    return 0 if good else 1


def summary(diary: Diary) -> str:
    """Return what came of simulated days."""
    ends = ", ".join(f"{count} {code}" for code, count in sorted(diary.ends.items()))
    rows = [
        f"{diary.asked} requests: {ends}",
        f"without an end: {len(diary.unended)}; ends too many: {diary.doubled}",
        f"{diary.engines} engines, {diary.losses} connections lost, {sum(diary.messages.values())} messages",
        f"KV states written a day, at most: {max(diary.written.values(), default=0) / 1e6:.0f} MB",
    ]
    if len(diary.days) > 2:
        early, late = diary.days[1], diary.days[-1]
        rows.append(
            f"day {early.number} to {late.number}: memory {late.memory / early.memory - 1:+.1%}, "
            f"objects {late.objects / early.objects - 1:+.1%}, tasks {late.tasks - early.tasks:+}, "
            f"retained topics {late.retained - early.retained:+}"
        )
    return "\n".join(rows)


def _tell(day: Day) -> None:
    _say(
        f"day {day.number:3}: {day.memory / 1e6:.2f} MB, {day.objects} objects, {day.tasks} tasks, "
        f"{day.planned} timers, {day.retained} retained topics"
    )


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
