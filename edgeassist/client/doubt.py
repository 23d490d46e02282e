"""Gives up who is asked when it is not there, and sees when it is back."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

from edgeassist.client.pending import Timer
from edgeassist.client.presence import Presence, Word
from edgeassist.protocol.state import Availability


class Doubt:
    """Watches whether who is asked is there, while something is asked.

    Args:
        presence: What is known of it.
        return_s: How long it may be away.
        asked: Whether something is asked and has no end.
        connected: Whether there is a connection.
        answers: Asks it whether it is there, and waits for that.
        again: Asks everything again, which it may have missed.
        fail: Ends all that is asked, with why.
        fail_unheard: Ends that of which nothing was heard.
    """

    def __init__(
        self,
        presence: Presence,
        return_s: float,
        *,
        asked: Callable[[], bool],
        connected: Callable[[], bool],
        answers: Callable[[], Awaitable[bool]],
        again: Callable[[], None],
        fail: Callable[[str], None],
        fail_unheard: Callable[[str], None],
    ) -> None:
        self._presence = presence
        self._return_s = return_s
        self._asked = asked
        self._connected = connected
        self._answers = answers
        self._again = again
        self._fail = fail
        self._fail_unheard = fail_unheard
        self._timer = Timer(return_s, self._begin)
        self._task: asyncio.Task[None] | None = None
        # Whether it may have missed what was asked.
        self._unsure = False
        # When an answer was last heard.
        self._spoken_at = -math.inf

    def close(self) -> None:
        """Watch no longer."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def up(self) -> None:
        """Note that the connection has begun."""
        self._unsure = True
        if self._asked():
            self._timer.start()

    def down(self) -> None:
        """Note that the connection has ended: nothing is known now."""
        self._timer.cancel()

    def ask(self) -> None:
        """Note that something is asked."""
        if self._presence.availability is not Availability.ONLINE:
            self._timer.start()

    def spoke(self) -> None:
        """Note that an answer was heard."""
        self._spoken_at = asyncio.get_running_loop().time()

    def hear(self, word: Word) -> None:
        """Take what was said of it."""
        match word:
            case Word.NOTHING:
                return
            case Word.AWAY:
                self._unsure = self._unsure or self._presence.returns
                self._timer.start()
                return
            case Word.HERE | Word.BACK:
                self._timer.cancel()
        # After the broker itself was away, we may have been back, and asked again, before the device. It says
        # `online` at other times too.
        if word is Word.BACK and self._unsure:
            self._unsure = False
            self._again()

    def _begin(self) -> None:
        if self._asked():
            self._task = asyncio.create_task(self._give_up(), name="doubt")

    async def _give_up(self) -> None:
        """Give it up, unless it is heard of: a late will may stand in its status."""
        spoke = asyncio.get_running_loop().time() - self._spoken_at < self._return_s
        if spoke or await self._answers():
            self._timer.start()
        elif not self._connected():
            return
        elif self._presence.availability is Availability.OFFLINE:
            fail = self._fail if self._presence.gone else self._fail_unheard
            fail(self._presence.away(self._return_s))
        elif self._presence.availability is None:
            # Who may read neither status nor response knows nothing of a device but its events.
            self._fail_unheard(self._presence.unknown(self._return_s))
