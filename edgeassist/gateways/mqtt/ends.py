"""An end as a message: whole where it fits, else the most of it that is taken. Sans-I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edgeassist.errors import TooLargeError
from edgeassist.gateways.mqtt.destination import ReplyTo
from edgeassist.protocol.asking import End, ReplyFormat
from edgeassist.protocol.events import Accepted, Done, Failed
from edgeassist.protocol.fitting import NEEDED_BYTES, fitted, forms
from edgeassist.protocol.packets import Outbound
from edgeassist.protocol.tools import ToolCall


class Ends:
    """The ends of one request.

    Args:
        to: Where they go.
    """

    def __init__(self, to: ReplyTo) -> None:
        self._to = to
        self._bare = to.format is ReplyFormat.TEXT

    def carries_all(self, end: Done | Failed) -> bool:
        """Whether an end carries all text and calls of its answer."""
        least = without_reasoning(end)
        space = self._to.room(self._to.topic)
        fits = space is None or len(least.payload()) <= space
        return fits and self._to.end is End.FULL

    def message(self, event: Done | Failed, qos: int) -> Outbound:
        """Return an end as a message, with what goes in its place where the broker takes no more."""
        topic = self._to.end_topic
        short = self._to.end is End.SHORT
        if isinstance(event, Done) and event.answers is not None:
            return self._decision(event, topic, qos, short=short)
        message = self.shrinking(event, topic, qos, short=short)
        if event.text or calls_of(event):
            chunks = "its chunks were all of it; or " if self._to.stream else ""
            problem = f"the broker does not take as much in one message: {chunks}ask for less (max_tokens)"
            instead = self.shrinking(too_large(event, problem), topic, qos, short=short)
            message = replace(message, shorter=instead)
        if isinstance(event, Done) and event.reasoning is not None and not short:
            less = self.shrinking(without_reasoning(event), topic, qos)
            message = replace(message, shorter=replace(less, shorter=message.shorter))
        return message

    def _decision(self, event: Done, topic: str, qos: int, *, short: bool) -> Outbound:
        """Return the end of a decision; if not even its picks fit, an error that says what to do."""
        space = self._to.room(topic)
        payload = fitted(event, space, short=short)
        *_, least = forms(event)
        picks = {
            name: answer.model_copy(update={"probabilities": None})
            for name, answer in (event.answers or {}).items()
        }
        less = fitted(event.model_copy(update={"answers": picks}), space, short=short)
        too_small = space is not None and len(payload) > space
        if self._bare:  # its pick has been said already
            instead = self.shrinking(event.model_copy(update={"answers": None}), topic, qos, short=short)
        else:
            why = f"max_packet leaves room for {space}" if too_small else "the broker does not take as much"
            error = TooLargeError(
                "ask fewer questions at once, or shorten names and options: the picks alone have "
                f"{len(least)} bytes, and {why}"
            )
            instead = self.shrinking(Failed.in_place_of(event, error), topic, qos, short=short)
        if too_small:
            return instead
        message = Outbound(topic, payload, qos, correlation=self._to.correlation)
        return replace(message, shorter=replace(message, payload=less, shorter=instead))

    def shrinking(
        self, event: Accepted | Done | Failed, topic: str, qos: int, *, short: bool = False
    ) -> Outbound:
        """Return the event as a message, with the least of it in its place where the broker takes no more."""
        payload = fitted(event, self._to.room(topic), short=short)
        message = Outbound(topic, payload, qos, correlation=self._to.correlation)
        if event.metadata is None:  # the rest is small
            return message
        least = fitted(event, NEEDED_BYTES + len(event.id))
        return replace(message, shorter=replace(message, payload=least)) if least != payload else message


def without_reasoning(end: Done | Failed) -> Done | Failed:
    """Return an end without thoughts, which are what matters least in it."""
    return end.model_copy(update={"reasoning": None}) if isinstance(end, Done) and end.reasoning else end


def calls_of(end: Done | Failed) -> Sequence[ToolCall]:
    """Return the calls that an end carries."""
    return end.tool_calls if isinstance(end, Done) else ()


def too_large(end: Done | Failed, problem: str) -> Failed:
    """Return an end without text in the place of one whose text can't be delivered."""
    size = len(end.text.encode()) + sum(len(call.function.arguments.encode()) for call in calls_of(end))
    return Failed.in_place_of(end, TooLargeError(f"the answer has {size} bytes, and {problem}"))
