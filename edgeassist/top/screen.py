"""Keeps the terminal up to date, and does what its keys say, until it is ended."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import os
import signal
import time
from collections.abc import Callable, Sequence

from edgeassist.sight.box import Box
from edgeassist.top.keys import Key, Keyboard
from edgeassist.top.page import View, page
from edgeassist.top.painter import Painter
from edgeassist.top.terminal import Terminal

# Times and bars move on without a message.
_TICK_S = 1.0
# After so long a sequence of a key that was begun is Escape.
_ESCAPE_S = 0.1


class Screen:
    """The picture of what is known, on a terminal.

    Args:
        terminal: Taken already.
        painter: For that terminal.
        boxes: Returns what is known now.
        problem: Returns why there is no connection; None while there is one.
        left_out: Returns how many boxes more there are than it gets.
        every_s: The least time between two pictures, if no key was pressed.
        clock: The one by which boxes hear.

    Attributes:
        view: What the person chose.
        ended_by: The signal that ended it, other than Ctrl-C's; None where the person did.
    """

    def __init__(
        self,
        terminal: Terminal,
        painter: Painter,
        *,
        boxes: Callable[[], Sequence[Box]],
        problem: Callable[[], str | None],
        left_out: Callable[[], int],
        every_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.view = View()
        self.ended_by: signal.Signals | None = None
        self._terminal = terminal
        self._painter = painter
        self._boxes = boxes
        self._problem = problem
        self._left_out = left_out
        self._every_s = every_s
        self._clock = clock
        self._keyboard = Keyboard()
        self._escape: asyncio.TimerHandle | None = None
        # What is shown while it is paused, and when that was.
        self._frozen: tuple[Sequence[Box], float] | None = None
        self._dirty = asyncio.Event()
        self._at_once = asyncio.Event()
        self._ended = asyncio.Event()

    @property
    def selected(self) -> Box | None:
        """The box that is shown in full."""
        boxes = self._boxes()
        return boxes[self.view.chosen(boxes)] if boxes else None

    def changed(self) -> None:
        """Note that something is different: it is drawn before long."""
        self._dirty.set()

    def close(self) -> None:
        """End it."""
        self._ended.set()

    async def run(self) -> None:
        """Show it until the person or a signal ends it, or the terminal is gone."""
        loop = asyncio.get_running_loop()
        handlers: dict[signal.Signals, Callable[[], None]] = {
            signal.SIGINT: self.close,
            signal.SIGTERM: lambda: self._end(signal.SIGTERM),
            signal.SIGHUP: lambda: self._end(signal.SIGHUP),
            signal.SIGWINCH: self._anew,
            signal.SIGTSTP: self._suspend,
            signal.SIGCONT: self._resume,
        }
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        loop.add_reader(self._terminal, self._hear_keys)
        drawing = asyncio.create_task(self._draw_always(), name="top-drawing")
        ending = asyncio.create_task(self._ended.wait(), name="top-ending")
        try:
            await asyncio.wait([drawing, ending], return_when=asyncio.FIRST_COMPLETED)
            if drawing.done():
                drawing.result()
        finally:
            loop.remove_reader(self._terminal)
            for number in handlers:
                loop.remove_signal_handler(number)
            drawing.cancel()
            ending.cancel()
            await asyncio.gather(drawing, ending, return_exceptions=True)

    async def _draw_always(self) -> None:
        while True:
            # A line that has not taken the last picture gets no other: it would only be later.
            try:
                self._terminal.flush()
                if not self._terminal.busy:
                    self._dirty.clear()
                    self._draw()
            except OSError:  # its window was closed
                self._end(signal.SIGHUP)
                return
            self._at_once.clear()
            if not await _within(self._at_once, self._every_s) and not self._terminal.busy:
                await _within(self._dirty, max(0.0, _TICK_S - self._every_s))

    def _draw(self) -> None:
        boxes, now = self._frozen or (self._boxes(), self._clock())
        self.view.problem = self._problem()
        self.view.left_out = self._left_out()
        columns, lines = self._terminal.size
        self._terminal.write(
            self._painter.paint(page(self.view, boxes, width=columns, height=lines, now=now))
        )

    def _show(self) -> None:
        self._dirty.set()
        self._at_once.set()

    def _hear_keys(self) -> None:
        typed = self._terminal.read()
        if typed is None:
            self._end(signal.SIGHUP)
            return
        if self._escape is not None:
            self._escape.cancel()
        self._press(self._keyboard.feed(typed))
        self._escape = asyncio.get_running_loop().call_later(
            _ESCAPE_S, lambda: self._press(self._keyboard.pause())
        )

    def _press(self, keys: Sequence[Key]) -> None:
        for key in keys:
            self._do(key)
        if keys:
            self._show()

    def _do(self, key: Key) -> None:
        boxes = self._frozen[0] if self._frozen else self._boxes()
        if key is Key.QUIT:
            self.close()
        elif self.view.help:
            self.view.help = False
        elif key is Key.HELP:
            self.view.help = True
        elif key is Key.PAUSE:
            self.view.paused = not self.view.paused
            self._frozen = (copy.deepcopy(boxes), self._clock()) if self.view.paused else None
        elif key is Key.REDRAW:
            self._painter.forget()
        elif key in {Key.NEXT, Key.BEFORE}:
            self.view.move(boxes, 1 if key is Key.NEXT else -1)

    def _end(self, number: signal.Signals) -> None:
        self.ended_by = number
        self.close()

    def _anew(self) -> None:
        self._painter.forget()
        self._show()

    def _suspend(self) -> None:
        """Give the terminal to the shell, as Ctrl-Z wants it; what follows runs when the shell goes on."""
        self._terminal.leave()
        os.kill(os.getpid(), signal.SIGSTOP)

    def _resume(self) -> None:
        self._terminal.enter()
        self._anew()


async def _within(event: asyncio.Event, limit_s: float) -> bool:
    """Wait for the event, or for the limit; return whether it came."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            await event.wait()
    return event.is_set()
