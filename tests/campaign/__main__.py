"""The command line: see `python -m tests.campaign --help`, and CONTRIBUTING.md."""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import signal
import sys
import tempfile
from pathlib import Path

from tests.campaign.campaign import Campaign
from tests.campaign.faults import FAULTS
from tests.campaign.needs import lacks
from tests.campaign.outcome import Options, Outcome
from tests.campaign.report import report


def main() -> int:
    """Run a campaign; return 0 if all was well, 1 if not, 2 if it can't be done here."""
    arguments = _parser().parse_args()
    faults = tuple(FAULTS) if arguments.faults == "all" else tuple(arguments.faults.split(","))
    if unknown := [each for each in faults if each not in FAULTS]:
        print(f"no such fault: {', '.join(unknown)}; there are {', '.join(FAULTS)}", file=sys.stderr)
        return 2
    faults = tuple(each for each in faults if _possible(each, arguments.boxes))
    if not faults:
        return 2
    if arguments.order == "blocks" and arguments.rounds is None:
        print("--order blocks needs --rounds: the first fault would never end", file=sys.stderr)
        return 2
    minutes = arguments.minutes
    if minutes is None and arguments.rounds is None:
        minutes = 2.0
    with tempfile.TemporaryDirectory(prefix="campaign-", ignore_cleanup_errors=True) as name:
        folder = Path(name) if arguments.folder is None else arguments.folder
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            print(f"{folder} is not empty", file=sys.stderr)
            return 2
        options = Options(
            folder=folder,
            seed=secrets.randbelow(1_000_000) if arguments.seed is None else arguments.seed,
            faults=faults,
            clients=arguments.clients,
            boxes=arguments.boxes,
            rounds=arguments.rounds,
            minutes=minutes,
            blocks=arguments.order == "blocks",
            durable=arguments.durable,
            settings=dict(each.split("=", 1) for each in arguments.set),
        )
        print(f"seed {options.seed}, in {folder}", flush=True)
        try:
            outcome = asyncio.run(_run(Campaign(options, lambda line: print(line, flush=True))))
        except asyncio.CancelledError:
            print("stopped, and nothing is judged", file=sys.stderr)
            return 130
    print(report(outcome))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(outcome.document(), indent=2, ensure_ascii=False) + "\n")
    return 0 if outcome.good else 1


async def _run(campaign: Campaign) -> Outcome:
    """Run it; the first Ctrl-C ends it after this round, the second at once."""
    task = asyncio.create_task(campaign.run(), name="campaign")

    def end() -> None:
        if not campaign.stop():
            task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    return await task


def _possible(fault: str, boxes: int) -> bool:
    reason = lacks(FAULTS[fault], boxes)
    if reason is not None:
        print(f"left out: {fault}: {reason}", file=sys.stderr)
    return reason is None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.campaign",
        description="Faults under load, and a count of what became of every prompt.",
    )
    parser.add_argument(
        "--faults",
        default="engine,daemon,broker",
        help=f"all, or some of {', '.join(FAULTS)} (default: %(default)s)",
    )
    parser.add_argument("--minutes", type=float, help="how long (default: 2, unless --rounds is given)")
    parser.add_argument("--rounds", type=int, help="how often each fault is done")
    parser.add_argument(
        "--order", choices=["mixed", "blocks"], default="mixed", help="blocks: one fault after the other"
    )
    parser.add_argument("--seed", type=int, help="for the same faults and prompts again")
    parser.add_argument("--clients", type=int, default=32, help="how many ask (default: %(default)s)")
    parser.add_argument("--boxes", type=int, default=1, help="how many daemons; several are a fleet")
    parser.add_argument(
        "--durable", action=argparse.BooleanOptionalAction, default=True, help="as admission.durable"
    )
    parser.add_argument("--json", type=Path, help="a file for all figures and histories")
    parser.add_argument("--folder", type=Path, help="keeps logs and state (default: a temporary one)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a daemon's setting: engine__slots=2"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
