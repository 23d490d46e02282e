"""`python -m tests.fuzz`: inputs that nobody thought of, for everything that reads something.

python -m tests.fuzz --minutes 60
python -m tests.fuzz --minutes 600 --inputs 1000000
python -m tests.fuzz --targets gguf,mqtt --seed 7
python -m tests.fuzz --replay build/fuzz/gguf-0123456789ab.bin
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from pathlib import Path

from tests.fuzz.run import Report, run
from tests.fuzz.targets import all_targets

_HOUR_S = 3600


def main() -> int:
    """Fuzz, or run one input again; 1 if something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--inputs", type=int, default=None, help="end as soon as so many were tried")
    parser.add_argument("--targets", default="", help="names with commas between them; without: all")
    parser.add_argument("--seed", type=int, default=None, help="without: a new one, which is printed")
    parser.add_argument("--replay", type=Path, help="run a kept input again, in this process")
    options = parser.parse_args()
    known = all_targets()
    if options.replay is not None:
        return _replay(options.replay)
    named = [name for name in options.targets.split(",") if name]
    chosen = named or [*known]
    if unknown := [name for name in chosen if name not in known]:
        parser.error(f"there is no {', '.join(unknown)}: there is {', '.join(known)}")
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    _say(f"seed {seed}")
    most = math.inf if options.inputs is None else options.inputs
    report = run(
        chosen,
        seconds=options.minutes * 60,
        seed=seed,
        say=_say,
        enough=lambda report: report.inputs >= most,
    )
    _say(table(report))
    return 1 if report.faults else 0


def table(report: Report) -> str:
    """Return the figures of a run."""
    rows = [
        f"{name:12} {tried:10,} inputs {found:7,} new {tried / max(spent, 1e-9):9,.0f} a second"
        for name, (tried, found, spent) in report.tried.items()
    ]
    rate = report.inputs / report.cpu_s * _HOUR_S if report.cpu_s else 0
    rows.append(
        f"{report.inputs:,} inputs in {report.took_s:.0f} s, {rate:,.0f} an hour of processor time; "
        f"seed {report.seed}; faults: {len(report.faults)}"
    )
    growth = report.growth()
    if growth is not None:
        (first, early), (last, late) = growth
        rows.append(
            f"memory: {early / 1e6:.1f} MB after {first:,} inputs, {late / 1e6:.1f} MB after {last:,} "
            f"({late / early - 1:+.1%}), and {report.held / 1e6:.1f} MB of inputs to begin with"
        )
    return "\n".join(rows)


def _replay(file: Path) -> int:
    known = all_targets()
    name = next(each for each in sorted(known, key=len, reverse=True) if file.name.startswith(f"{each}-"))
    target, data = known[name], file.read_bytes()
    begun = time.process_time()
    outcome = target.take(data)
    took = time.process_time() - begun
    _say(f"{name}: {outcome!r} after {took:.3f} s of processor time")
    return 1 if took > target.limit_s else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
