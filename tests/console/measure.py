"""What the page costs, to be measured on a machine that is quiet.

    python -m tests.console.measure stream MODEL.gguf --pairs 30   # of a stream of another client
    python -m tests.console.measure paint --times 30               # until something is seen

The stream is written in turns without a page and with one that shows a view. Its rate is the device's own;
the processor time is that of engine, daemon and broker. A browser is elsewhere as a rule: here it has
the last CPU, with this program, at the lowest priority, and the device has all others.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from playwright.sync_api import Browser, expect, sync_playwright

from edgeassist.bench.meter import CpuMeter, Watch
from edgeassist.client import Client
from edgeassist.sandbox import HOST
from tests.console.stage import Stage, close, stage

PROMPT = "Tell a long story of a lighthouse and its keeper."
LOAD_S = 300.0
# What a page that was just opened does is no cost of one that is open.
SETTLE_S = 3.0
VIEWS = ("live", "requests", "chat")
FIRST_PAINT = """() => new Promise((resolve) => {
  new PerformanceObserver((list, observer) => {
    const paint = list.getEntriesByName("first-contentful-paint")[0];
    if (!paint) return;
    observer.disconnect();
    resolve(paint.startTime);
  }).observe({ type: "paint", buffered: true });
})"""


@dataclass(frozen=True, slots=True)
class Written:
    """One stream: tokens a second, and what it took of the processor, in seconds, by process."""

    rate: float
    wall_s: float
    cpu_s: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Pair:
    """The same without a page and with one; `others`: the share of the machine that other programs had."""

    view: str
    without: Written
    beside: Written
    others: float

    @property
    def rate(self) -> float:
        """The rate beside an open page, of that without one."""
        return self.beside.rate / self.without.rate

    @property
    def work(self) -> float:
        """The processor time of engine, daemon and broker beside an open page, of that without one."""
        return sum(self.beside.cpu_s.values()) / sum(self.without.cpu_s.values())

    @property
    def more_ms(self) -> float:
        """How much more of a processor daemon and broker take in a second beside an open page."""
        beside, without = (
            (each.cpu_s["daemon"] + each.cpu_s["broker"]) / each.wall_s
            for each in (self.beside, self.without)
        )
        return 1000 * (beside - without)


def middle(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the median and the ends of its confidence interval of 95 %, from the values' order alone.

    With fewer than six values the interval is all of them, and means less.
    """
    known = sorted(values)
    count = len(known)
    below, tail = 0, 0.5**count
    while tail + math.comb(count, below + 1) * 0.5**count <= 0.025:  # half of 5 %
        below += 1
        tail += math.comb(count, below) * 0.5**count
    return median(known), known[below], known[count - 1 - below]


def paints(browser: Browser, url: str, times: int) -> Iterator[float]:
    """Yield how long it took until something was seen, in ms; each time in a profile of its own."""
    for _ in range(times):
        context = browser.new_context()
        page = context.new_page()
        page.goto(url)
        yield float(page.evaluate(FIRST_PAINT))
        context.close()


def pairs(box: Stage, count: int, tokens: int, views: Sequence[str] = VIEWS) -> Iterator[Pair]:
    """Yield what streams take, in turns; which comes first takes turns, too."""
    daemon = psutil.Process(box.daemon.pid)
    with Client(HOST, box.broker.port, device="box") as client:
        client.wait_ready(LOAD_S)
        (engine,) = (each for each in daemon.children() if "edgeassist.engine" in " ".join(each.cmdline()))
        processes = {"engine": engine, "daemon": daemon, "broker": psutil.Process(box.broker.pid)}
        _write(client, processes, tokens)
        for number in range(count):
            view = views[number % len(views)]
            watch = Watch()
            if number % 2:
                beside, without = (
                    _beside(box, view, client, processes, tokens),
                    _write(client, processes, tokens),
                )
            else:
                without, beside = (
                    _write(client, processes, tokens),
                    _beside(box, view, client, processes, tokens),
                )
            yield Pair(view, without, beside, watch.others())


def _beside(
    box: Stage, view: str, client: Client, processes: Mapping[str, psutil.Process], tokens: int
) -> Written:
    page = box.enter()
    page.locator(f"#tab-{view}").click()
    expect(page.locator(f"#tab-{view}")).to_have_attribute("aria-selected", "true")
    page.wait_for_timeout(SETTLE_S * 1000)
    written = _write(client, processes, tokens)
    close(page.context)
    return written


def _write(client: Client, processes: Mapping[str, psutil.Process], tokens: int) -> Written:
    meter = CpuMeter(processes)
    meter.start()
    done = client.ask(PROMPT, max_tokens=tokens, temperature=0.0, ignore_eos=True, timeout_s=LOAD_S)
    meter.stop()
    return Written(done.timings.decode_tokens_per_s or math.nan, meter.wall_s, dict(meter.used_s))


@contextmanager
def chromium(cpus: Sequence[int]) -> Iterator[Browser]:
    """Yield a browser on these CPUs, which others need not wait for; empty: on all, and as important."""
    _stay_on(cpus)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for each in psutil.Process().children(recursive=True) if cpus else ():
            each.nice(19)
        yield running
        running.close()


def _stay_on(cpus: Sequence[int]) -> None:
    """Let this thread, and what it starts from now on, run there only."""
    if cpus:
        os.sched_setaffinity(0, cpus)


def measure_stream(model: Path, count: int, tokens: int) -> list[Pair]:
    """Measure, and print a line for each pair."""
    known = sorted(os.sched_getaffinity(0))
    ours, theirs = (known[-1:], known[:-1]) if len(known) > 1 else ([], [])
    settings: dict[str, Any] = {"model__path": model, "engine__threads": max(1, len(theirs))}
    settings["model__backend"] = "scripted" if model.suffix == ".json" else "auto"
    found = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        browser = stack.enter_context(chromium(ours))
        _stay_on(theirs)
        box = stack.enter_context(stage(folder, browser, **settings))
        _stay_on(ours)
        for pair in pairs(box, count, tokens):
            found.append(pair)
            rates = f"{pair.without.rate:6.2f}  {pair.beside.rate:6.2f} tokens/s  {pair.rate:.3f}"
            sys.stdout.write(f"{pair.view:8}  {rates}  {pair.others:4.0%} of the machine by others\n")
            sys.stdout.flush()
    _stay_on(known)
    return found


def summary(found: Sequence[Pair]) -> list[str]:
    """Return what comes of it, in lines."""
    told = []
    for view in ("", *sorted({pair.view for pair in found})):
        chosen = [pair for pair in found if view in {"", pair.view}]
        rate = "{:.4f} ({:.4f}..{:.4f})".format(*middle([pair.rate for pair in chosen]))
        work = "{:.4f} ({:.4f}..{:.4f})".format(*middle([pair.work for pair in chosen]))
        more = "{:+.2f} ms ({:+.2f}..{:+.2f})".format(*middle([pair.more_ms for pair in chosen]))
        told.append(f"{view or 'all':8}  rate {rate}, processor time {work} of that without a page")
        told.append(f"{'':8}  daemon and broker: {more} more in a second")
    return told


def main() -> None:
    """Measure what is asked for."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    kinds = options.add_subparsers(dest="kind", required=True)
    stream = kinds.add_parser("stream")
    stream.add_argument("model", type=Path, help="a GGUF file")
    stream.add_argument("--pairs", type=int, default=30)
    stream.add_argument("--tokens", type=int, default=200)
    paint = kinds.add_parser("paint")
    paint.add_argument("--times", type=int, default=30)
    for each in (stream, paint):
        each.add_argument("--json", type=Path, help="where each measurement goes")
    asked = options.parse_args()
    began = time.strftime("%F %T")
    if asked.kind == "stream":
        streams = measure_stream(asked.model.resolve(), asked.pairs, asked.tokens)
        told, measured = summary(streams), [asdict(pair) for pair in streams]
    else:
        found = _measure_paint(asked.times)
        half, low, high = middle(found)
        told = [f"first paint: {half:.0f} ms ({low:.0f}..{high:.0f}), {min(found):.0f} to {max(found):.0f}"]
        measured = [{"ms": each} for each in found]
    if asked.json:
        asked.json.write_text(json.dumps({"began": began, "measured": measured}, indent=1))
    sys.stdout.write("\n".join(told) + "\n")


def _measure_paint(times: int) -> list[float]:
    with (
        tempfile.TemporaryDirectory() as folder,
        chromium([]) as browser,
        stage(Path(folder), browser) as box,
    ):
        return list(paints(browser, box.url, times))


if __name__ == "__main__":
    main()
