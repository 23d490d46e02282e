"""One watch: what its state is, when to ask about it, and what is known from the answers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from edgeassist.protocol.asking import Priority
from edgeassist.protocol.constraints import compact_json
from edgeassist.protocol.decisions import DecisionAnswer, DecisionRequest
from edgeassist.watching.inputs import MAX_PAYLOAD_BYTES, MAX_TOPICS, Input
from edgeassist.watching.options import WatchOptions
from edgeassist.watching.settling import Settled

# How long it gathers after the first news: retained messages of many topics come one after the other.
GATHER_S = 0.25
# Between two tries of what failed, twice as long each time.
FIRST_RETRY_S = 5.0
MAX_RETRY_S = 120.0


@dataclass(frozen=True, slots=True)
class Report:
    """What is known now; times of the clock that the watch goes by.

    Attributes:
        answers: By the question's name.
        reason: Why something is not known, or not as fresh as it should be; None: all is well.
        state_at: When the newest message came of what was answered; None: nothing is known.
        answered_at: When the answer came.
    """

    answers: Mapping[str, Settled]
    reason: str | None
    state_at: float | None
    answered_at: float | None


class Watch:
    """Asks when its state has changed, and keeps what is known. Times are seconds of one clock.

    After each of `hear`, `answered` and `failed`, and at `next_wake`, whoever has it calls `turn`, asks what
    that returns, and gives `report` out.

    Args:
        options: What it is.
    """

    def __init__(self, options: WatchOptions) -> None:
        self.options = options
        self.inputs = tuple(Input(each) for each in options.inputs)
        self._answers = dict.fromkeys(options.questions, Settled())
        self._news_at: float | None = None
        """When the first message came that is not read yet."""
        self._text: str | None = None
        self._text_at = -math.inf
        self._expires_at = math.inf
        self._asked: tuple[str, float] | None = None
        """The state that is asked about, and when its newest message came."""
        self._answered: str | None = None
        self._changed_at: float | None = None
        """Since when the state is another than what was answered."""
        self._not_before = -math.inf
        self._failures = 0
        self._error: str | None = None
        self._state_at: float | None = None
        self._answered_at: float | None = None

    @property
    def asking(self) -> bool:
        """Whether a request is under way."""
        return self._asked is not None

    def hear(self, index: int, topic: str, payload: bytes, now: float, *, retained: bool = False) -> bool:
        """Take a message for the input of that index; True for the first news since the last look."""
        news = self.inputs[index].take(topic, payload, now, retained=retained)
        if not news or self._news_at is not None:
            return False
        self._news_at = now
        return True

    def turn(self, now: float) -> DecisionRequest | None:
        """Look at the state, if there is news; return what to ask about it, if anything."""
        if self._asked is not None:
            return None
        if self._gathered(now) or now >= self._expires_at:
            self._read(now)
        if self._text is None or self._outdated(now):
            self._forget()
        if self._text is None or self._text == self._answered:
            self._settle(now)
            return None
        if now < self._not_before:
            return None
        self._asked = self._text, self._text_at
        self._not_before = now + self.options.interval_s
        return self._request(json.loads(self._text))

    def answered(self, answers: Mapping[str, DecisionAnswer], now: float) -> None:
        """Take the answers to what `turn` asked."""
        if self._asked is None:
            return
        self._answered, self._state_at = self._asked
        self._asked, self._error, self._failures = None, None, 0
        self._answered_at = now
        self._changed_at = None
        options = self.options
        for name, answer in answers.items():
            if name in self._answers:
                self._answers[name] = self._answers[name].take(
                    answer, now, dwell_s=options.dwell_s, hysteresis=options.hysteresis
                )

    def failed(self, reason: str, now: float, *, retry_after_s: float = 0.0) -> None:
        """Note that what `turn` asked was not answered; it is asked again, ever later.

        Args:
            reason: Why, for a person.
            now: The time.
            retry_after_s: The least time until then.
        """
        self._asked, self._error = None, reason
        pause = min(MAX_RETRY_S, FIRST_RETRY_S * 2 ** min(self._failures, 16))
        self._failures += 1
        self._not_before = now + min(MAX_RETRY_S, max(pause, retry_after_s))

    def next_wake(self) -> float | None:
        """Return when `turn` has something to do next; None: not before more is heard."""
        if self._asked is not None:
            return None
        times = [self._expires_at]
        if self._news_at is not None:
            times.append(max(self._news_at + GATHER_S, self._not_before))
        if self._text is None:
            pass
        elif self._text == self._answered:
            held = [each.held_since for each in self._answers.values() if each.candidate is not None]
            times += [since + self.options.dwell_s for since in held]
        else:
            times.append(self._not_before)
            if self._changed_at is not None:
                times.append(self._changed_at + self.options.stale_s)
        soonest = min(times)
        return None if math.isinf(soonest) else soonest

    def report(self) -> Report:
        """Return what is known."""
        return Report(dict(self._answers), self._reason(), self._state_at, self._answered_at)

    # -------------------------------------------------------------------------------------------------------

    def _gathered(self, now: float) -> bool:
        return self._news_at is not None and now >= self._news_at + GATHER_S

    def _read(self, now: float) -> None:
        """Put the state together of what came and is not too old."""
        since = now - self.options.stale_s
        read = [each.values(since) for each in self.inputs]
        texts = [text for text, _, _ in read]
        known = any(text not in {None, "null"} for text in texts)
        text = self._put_together(texts) if known else None
        if text == self._answered:
            self._changed_at, self._error, self._failures = None, None, 0
        elif self._changed_at is None:
            self._changed_at = now
        self._text = text
        self._news_at = None
        self._expires_at = min(oldest for _, oldest, _ in read) + self.options.stale_s
        self._text_at = max(newest for _, _, newest in read)

    def _put_together(self, texts: list[str | None]) -> str:
        options = self.options.inputs
        if len(options) == 1 and options[0].label is None:
            return texts[0] or "null"
        named = zip(options, texts, strict=True)
        parts = [f"{compact_json(each.label or each.filter)}:{text or 'null'}" for each, text in named]
        return "{" + ",".join(parts) + "}"

    def _outdated(self, now: float) -> bool:
        """Whether what is known is about a state that has changed too long ago."""
        return (
            self._text != self._answered
            and self._changed_at is not None
            and now >= self._changed_at + self.options.stale_s
        )

    def _forget(self) -> None:
        self._answers = dict.fromkeys(self.options.questions, Settled())
        self._answered = self._changed_at = self._state_at = self._answered_at = None
        if self._text is None:
            self._error, self._failures = None, 0

    def _settle(self, now: float) -> None:
        for name, known in self._answers.items():
            self._answers[name] = known.settle(now, dwell_s=self.options.dwell_s)

    def _request(self, state: JsonValue) -> DecisionRequest:
        options = self.options
        return DecisionRequest(
            state=state,
            questions=dict(options.questions),
            instructions=options.instructions,
            examples=options.examples,
            threshold=options.threshold,
            priority=Priority.LOW,
        )

    def _reason(self) -> str | None:
        if self._text is None and self._news_at is None:
            return self._why_nothing()
        if self._error is not None:
            return f"{self._error}; it is asked again"
        if self._answered is None:
            return "not answered yet"
        if any(each.crowded for each in self.inputs):
            return f"a filter matches more than {MAX_TOPICS} topics, the most that are kept: narrow it"
        return self._why_unsettled()

    def _why_unsettled(self) -> str | None:
        known = self._answers.values()
        if any(each.candidate is not None for each in known):
            return f"a new answer counts once it has held for {self.options.dwell_s:g} s (dwell_s)"
        if any(each.choice is None for each in known):
            return "the model is not sure (threshold)"
        return None

    def _why_nothing(self) -> str:
        if any(each.too_large for each in self.inputs):
            return f"what came is larger than {MAX_PAYLOAD_BYTES} bytes a message, and was passed over"
        if not any(each.heard for each in self.inputs):
            return "no message has come yet"
        if any(each.cleared for each in self.inputs):
            return "what was retained has been deleted (an empty message), and nothing came since"
        if not any(each.found for each in self.inputs):
            return "nothing in what came counts: look at json_path"
        return f"no message came for {self.options.stale_s:g} s (stale_s)"
