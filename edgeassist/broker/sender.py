"""Hands messages to the connection, and finds out which one ends it.

What was under way when a broker hung up is in doubt. On the next connection each of it goes out alone, and
the one with which TRIALS connections end is the culprit: for its size, if something shorter
passes on its topic, or for its topic. Nobody else loses anything but time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from paho.mqtt.enums import MQTTErrorCode

from edgeassist.broker.client import TolerantClient
from edgeassist.broker.limits import Limits
from edgeassist.broker.options import BrokerOptions
from edgeassist.broker.outbox import HEADER_BYTES, Letter, Outbox, size_of
from edgeassist.broker.reasons import Reason, words
from edgeassist.broker.refusals import Refusals
from edgeassist.broker.suspects import Suspects
from edgeassist.broker.wire import is_sent, send
from edgeassist.protocol.packets import Outbound

log = logging.getLogger(__name__)

# The topics of so many messages at QoS 0 are in doubt when a connection ends: the broker acknowledges none.
MOST_RECENT = 16
# How long a connection stands before a message is tried alone: one that ends by itself should not do so just
# then.
STEADY_S = 0.5
# So many connections have to end with a message that was tried alone. One may end by chance, and a twin that
# throws us off ends many.
TRIALS = 2
# How long a message that is looked for may wait for what is under way, or for its own acknowledgement. Longer
# than a connection stands that is dead: this is for a broker that answers, and acknowledges nothing.
ACKNOWLEDGE_S = 120.0
_LOOK_AGAIN_S = 0.02
_FAILURE = 0x80
# Of a PUBACK: taken, and nobody subscribes to the topic (MQTT 5, table 3-4).
_NO_SUBSCRIBER = 0x10


def settle(message: Outbound, *, delivered: bool) -> None:
    """Tell what became of a message, a moment later: nobody is called back from within `publish`."""
    if message.on_settled is not None:
        asyncio.get_running_loop().call_soon(message.on_settled, delivered)


class Sender:
    """Messages on their way to one broker, over all connections to it.

    Args:
        options: How to connect.
        on_refused: Told of the topic of a message that the broker does not take, and why.

    Attributes:
        options: As given; replaced where the broker takes only the other version of MQTT.
        dropped: Number of messages that were lost after `publish` had taken them.
        refusals: What the broker refused, with a word or by hanging up.
        limits: What the broker said of itself when it greeted us last.
    """

    def __init__(
        self,
        options: BrokerOptions,
        on_refused: Callable[[str, str], None] = lambda _topic, _why: None,
    ) -> None:
        self.options = options
        self.refusals = Refusals(on_refused)
        self._outbox = Outbox(options.queue)
        self._suspects = Suspects()
        self._client: TolerantClient | None = None
        self._trial: Letter | None = None
        self._accused: Letter | None = None
        self._recent: dict[str, None] = {}
        # Whether a message may have to wait, to be changed, or to give way to a shorter one.
        self._unusual = True
        self._looking = False
        self._steady_at = 0.0
        # Since when nothing goes out because of what is not acknowledged.
        self._held_since: float | None = None
        self.dropped = 0
        self.limits = Limits()

    @property
    def congested(self) -> bool:
        """Whether so much waits for the broker that streams should pause (`Outbox.congested`)."""
        return self._outbox.congested

    @property
    def waiting(self) -> int:
        """The number of messages that are not with the broker yet."""
        return self._outbox.waiting

    @property
    def doubting(self) -> bool:
        """Whether a message is looked for that ended a connection."""
        first = self._outbox.first()
        return self._accused is not None or (first is not None and first.doubted)

    def publish(self, message: Outbound) -> bool:
        """Send, or queue at QoS 1 for the next connection; False if the message was dropped."""
        if self._client is not None and not self._unusual and not self._suspects.active:
            return self._send(message)
        now = time.monotonic()
        if self._shuns(message, now) or not self._takes(message, now):
            return self._shorten(message)
        if self._client is None:
            return self._wait(message) if message.qos > 0 else self._drop(message)
        if self._outbox.queued or self._trial is not None or self._suspects.doubts(message.topic):
            self._unusual = True
            taken = self._wait(message)
            self._pump()
            return taken
        return self._send(message)

    def connected(self, client: TolerantClient, limits: Limits) -> None:
        """Send what waits: the broker has taken us."""
        if limits.packet_bytes != self.limits.packet_bytes:
            self._suspects.forget_limit()
        self.limits = limits
        client.limit_in_flight(limits.in_flight)
        client.on_acknowledged = self._handle_acknowledged
        client.watched.clear()
        self._client = client
        self._recent.clear()
        self._held_since = None
        self._steady_at = time.monotonic() + STEADY_S
        accused, self._accused = self._accused, None
        if accused is not None:
            self._convict(accused)
        self._pump()

    def ended(self, *, hung_up: bool) -> bool:
        """Take back what was under way; True if the connection ended with a message that was tried alone.

        Args:
            hung_up: Whether the broker took us, and may have ended the connection for a message.
        """
        client, self._client = self._client, None
        if client is None:
            self._outbox.taken_bytes = 0  # it may come back with another limit
        else:
            client.drop_out_messages()
        lost = self._outbox.take_back()
        for letter in lost:
            letter.message = letter.message.repeated()
        trial, self._trial = self._trial, None
        blamed = trial if hung_up else None
        if blamed is not None:
            blamed.trials += 1
        elif hung_up:
            self._doubt(lost)
        self._accused = blamed if blamed is not None and blamed.trials >= TRIALS else None
        self._lose(*self._outbox.discard(lambda letter: letter.message.qos == 0))
        self._lose(*(each for each in lost if each.message.qos == 0 and each is not blamed))
        self._outbox.queue_first(*(each for each in lost if each.message.qos > 0 or each is blamed))
        return blamed is not None

    def close(self) -> None:
        """Drop what is not with the broker; nothing is published any more."""
        self._client = None
        self._lose(*self._outbox.take_back(), *self._outbox.discard(lambda _letter: True))

    def _lose(self, *letters: Letter) -> None:
        self.dropped += len(letters)
        for letter in letters:
            self._settle(letter, delivered=False)

    def _doubt(self, lost: list[Letter]) -> None:
        for topic in self._recent:
            self._suspects.doubt(topic)
        for letter in lost:
            letter.doubted = True
            if letter.message.qos == 0:
                self._suspects.doubt(letter.message.topic)

    def _shuns(self, message: Outbound, now: float) -> bool:
        return self._suspects.active and self._suspects.shuns(message.topic, size_of(message), now)

    def _takes(self, message: Outbound, now: float) -> bool:
        size = size_of(message)
        for limit in (self.limits.packet_bytes, self.options.packet_bytes):
            if limit is not None and size + HEADER_BYTES > limit:
                return False
        return self._suspects.takes(size, now)

    def _shorten(self, message: Outbound) -> bool:
        """Send what stands for a message that the broker does not take; False if nothing does."""
        shorter = message.shortened()
        if shorter is not None:
            return self.publish(shorter)
        if self._shuns(message, time.monotonic()):
            self.refusals.count += 1
        else:
            self.refusals.note(message.topic, f"{len(message.payload)} bytes are more than the broker takes")
        return self._drop(message)

    def _wait(self, message: Outbound, letter: Letter | None = None) -> bool:
        """Let a message wait for its turn, or the next connection; False if too many do."""
        return self._outbox.queue(letter or Letter(message)) or self._drop(message)

    def _drop(self, message: Outbound) -> bool:
        """Settle a message that is dropped, and return False: how many were is counted by who called."""
        settle(message, delivered=False)
        return False

    def _settle(self, letter: Letter, *, delivered: bool) -> None:
        """Tell what became of a message that was under way, once."""
        if not letter.settled:
            letter.settled = True
            settle(letter.message, delivered=delivered)

    def _send(self, message: Outbound, letter: Letter | None = None, *, alone: bool = False) -> bool:
        """Hand a message to the connection; `letter` is what it waited as, `alone` a trial."""
        if self._client is None:
            return self._wait(message, letter) if message.qos > 0 else self._drop(message)
        fitted = self.limits.fitted(message) if self._unusual else message
        # At QoS 0, nothing would tell how a trial ends.
        qos = 1 if alone else fitted.qos
        try:
            info = send(self._client, fitted, qos, self.options)
        except ValueError as error:
            log.error("a message can't be published: %s", error)  # noqa: TRY400 - its text says all
            return self._drop(message)
        if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
            letter = letter or Letter(message)
            if qos == 0:
                self._note_recent(message.topic)
                self._settle(letter, delivered=True)
            elif message.on_settled is not None:
                self._client.watched.add(info.mid)
            # At QoS 0 most are sent by now.
            if not is_sent(info):
                self._outbox.sending(letter, info.mid, partial(is_sent, info))
            return True
        if info.rc == MQTTErrorCode.MQTT_ERR_NO_CONN and message.qos > 0:
            return self._wait(message, letter)
        return self._drop(message)

    def _note_recent(self, topic: str) -> None:
        recent = self._recent
        if topic not in recent:
            recent[topic] = None
            if len(recent) > MOST_RECENT:
                del recent[next(iter(recent))]

    def _pump(self) -> None:
        """Send what waits, as far as its turn has come."""
        self._send_waiting()
        self._unusual = (
            self._outbox.queued
            or self._trial is not None
            or self.limits != Limits(in_flight=self.limits.in_flight)
            or self.options.packet_bytes is not None
        )

    def _send_waiting(self) -> None:
        while (client := self._client) and self._trial is None and (letter := self._outbox.first()):
            message = letter.message
            now = time.monotonic()
            if self._shuns(message, now) or not self._takes(message, now):
                self._outbox.take_first()
                if (shorter := message.shortened()) is not None:
                    self._outbox.queue_first(replace(letter, message=shorter))
                else:
                    self.dropped += not self._shorten(message)
            elif self._is_doubted(letter):
                if self._outbox.under_way or now < self._steady_at:
                    self._hold(now)
                    return
                self._held_since = None
                self._try(client, self._outbox.take_first())
            else:
                self._outbox.take_first()
                self.dropped += not self._send(message, letter)

    def _is_doubted(self, letter: Letter) -> bool:
        doubted = letter.doubted or self._suspects.doubts(letter.message.topic)
        return doubted and self.limits.qos > 0

    def _try(self, client: TolerantClient, letter: Letter) -> None:
        self._trial = letter
        if self._send(letter.message, letter, alone=True):
            client.watched.add(letter.packet)
            asyncio.get_running_loop().call_later(ACKNOWLEDGE_S, self._lose_patience, letter)
        else:
            self._trial = None
            self.dropped += 1

    def _hold(self, now: float) -> None:
        """Wait for what is under way; give it up if the broker does not acknowledge it."""
        if self._held_since is None:
            self._held_since = now
        if now - self._held_since > ACKNOWLEDGE_S:
            self._give_up()
        self._look_again()

    def _lose_patience(self, letter: Letter) -> None:
        if letter is self._trial:
            self._give_up()
            self._pump()

    def _give_up(self) -> None:
        """Drop what is under way, on a connection that stands: nobody would ever hear of it."""
        self._trial = self._held_since = None
        if self._client is not None:
            self._client.drop_out_messages()
        lost = self._outbox.take_back()
        self._lose(*lost)
        for letter in lost:
            self._suspects.clear(letter.message.topic)
            self.refusals.note(
                letter.message.topic, f"the broker has not acknowledged it within {ACKNOWLEDGE_S:g} s"
            )

    def _look_again(self) -> None:
        """Try later, when what is under way is with the broker, and the connection stands."""
        if not self._looking:
            self._looking = True
            asyncio.get_running_loop().call_later(_LOOK_AGAIN_S, self._look)

    def _look(self) -> None:
        self._looking = False
        self._pump()

    def _handle_acknowledged(self, packet: int, code: int) -> None:
        if self._client is not None:
            self._client.watched.discard(packet)
        letter = self._outbox.find(packet)
        if letter is None:
            return
        if letter is self._trial:
            self._trial = None
            self._acquit(letter)
        if code >= _FAILURE:
            self._hear_refusal(letter.message, code)
        else:
            if code == _NO_SUBSCRIBER and letter.message.on_unheard is not None:
                asyncio.get_running_loop().call_soon(letter.message.on_unheard)
            self._settle(letter, delivered=True)
        self._pump()

    def _acquit(self, letter: Letter) -> None:
        """Note that a message passed alone; if it stood for a longer one, that was too long."""
        letter.doubted = False
        self._suspects.clear(letter.message.topic)
        if letter.instead_of:
            self._learn_limit(letter.instead_of, "ends the connection at")

    def _hear_refusal(self, message: Outbound, code: int) -> None:
        if code == Reason.PACKET_TOO_LARGE:
            self._learn_limit(size_of(message), "refuses")
            self.dropped += not self._shorten(message)
            return
        self.dropped += 1
        self.refusals.note(message.topic, f"the broker says: {words(code, f'reason code 0x{code:02x}')}")
        self._drop(message)

    def _convict(self, letter: Letter) -> None:
        """Take out a message that ended a connection alone."""
        message = letter.message
        self._outbox.discard(lambda each: each is letter)
        # What the broker has taken from us once is no size that it hangs up on.
        size = size_of(message) if len(message.payload) > self._outbox.taken_bytes else 0
        shorter = message.shortened()
        if shorter is not None and size:
            self._outbox.queue_first(Letter(shorter, doubted=True, instead_of=size))
            return
        place = self._suspects.shun(message.topic, size, time.monotonic(), alone=message.retain)
        self._lose(letter)
        self.refusals.note(
            message.topic,
            f"the broker ends the connection, so that for an hour nothing is published on {place}: let its "
            "access control list allow it, or mqtt.reply_prefixes not",
        )

    def _learn_limit(self, size: int, does: str) -> None:
        self._suspects.refused(size, time.monotonic())
        log.warning(
            "the broker %s a message of %d bytes: none of that size is sent for an hour; raise its limit "
            "(Mosquitto: message_size_limit, max_packet_size)",
            does,
            size,
        )
