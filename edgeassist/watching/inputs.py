"""What came on the topics of one filter, as far as it counts: bounded, and read only when somebody asks."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from edgeassist.protocol.constraints import compact_json
from edgeassist.protocol.filters import WILDCARDS, levels_of, wild_parts
from edgeassist.protocol.topics import MAX_TOPIC_BYTES
from edgeassist.watching.options import InputOptions
from edgeassist.watching.picking import Pick, value_of

MAX_PAYLOAD_BYTES = 8192
MAX_TOPICS = 64
# Of all topics of one filter.
MAX_BYTES = 65_536
# What Python needs for a message beside its bytes.
_OVERHEAD_BYTES = 128
# How many messages of a topic beyond those that count wait to be read: one may lack what is picked.
_SPARE = 8

# A message or a value, and when it came.
_Stamped = tuple[bytes, float]


@dataclass(slots=True)
class _Topic:
    """The messages of one topic: those that are read already, as JSON, and those that are not."""

    values: deque[_Stamped]
    unread: deque[_Stamped] = field(default_factory=deque)
    newest: int = 0
    """The hash of the newest payload."""

    @property
    def size(self) -> int:
        messages = (*self.values, *self.unread)
        return sum(len(each) for each, _ in messages) + _OVERHEAD_BYTES * (len(messages) + 1)


class Input:
    """The latest messages of a filter's topics.

    Args:
        options: Which, and what of them.

    Attributes:
        heard: Whether anything has come.
        found: Whether anything that came counted.
        cleared: Whether what counted last was deleted, by an empty message.
        too_large: Whether a message was passed over for its size, or its topic's.
        crowded: Whether more topics came than are kept.
    """

    def __init__(self, options: InputOptions) -> None:
        self._options = options
        self._levels = levels_of(options.filter)
        self.wild = bool(WILDCARDS & set(self._levels))
        self._pick = None if options.json_path is None else Pick(options.json_path)
        # The topic that was heard longest ago first.
        self._topics: OrderedDict[str, _Topic] = OrderedDict()
        self._bytes = 0
        self.heard = self.found = self.cleared = self.too_large = self.crowded = False

    def take(self, topic: str, payload: bytes, now: float, *, retained: bool = False) -> bool:
        """Take a message; False where it changes nothing.

        A retained one comes again with every connection; the same as the newest is no news.
        """
        if len(payload) > MAX_PAYLOAD_BYTES or len(topic) > MAX_TOPIC_BYTES:
            self.too_large = True
            return False
        known = self._topics.get(topic)
        if known is None:
            if not payload:
                return False
            known = self._topics[topic] = _Topic(deque(maxlen=self._options.keep))
            self._bytes += len(topic) + _OVERHEAD_BYTES
            self._make_room()
        elif retained and known.newest == hash(payload):
            return False
        self.heard = True
        if self.wild:
            self._topics.move_to_end(topic)
        known.newest = hash(payload)
        known.unread.append((payload, now))
        self._bytes += len(payload) + _OVERHEAD_BYTES
        if self._pick is None:
            if len(known.unread) > self._options.keep:
                self._bytes -= len(known.unread.popleft()[0]) + _OVERHEAD_BYTES
        elif len(known.unread) > self._options.keep + _SPARE or self._bytes > MAX_BYTES:
            self._read(known)
        while self._bytes > MAX_BYTES:
            self._forget_oldest()
        return True

    def values(self, since: float) -> tuple[str | None, float, float]:
        """Return what counts now, as JSON (None: nothing), and when its oldest and newest part came.

        Args:
            since: What came then, or before, is forgotten.
        """
        found: dict[str, str] = {}
        oldest, newest = float("inf"), float("-inf")
        for topic, known in self._topics.items():
            self._read(known)
            while known.values and known.values[0][1] <= since:
                self._bytes -= len(known.values.popleft()[0]) + _OVERHEAD_BYTES
            if not known.values:  # its newest is still told from the same one that comes again
                continue
            oldest, newest = min(oldest, known.values[0][1]), max(newest, known.values[-1][1])
            texts = [value.decode() for value, _ in known.values]
            found[topic] = f"[{','.join(texts)}]" if self._options.keep > 1 else texts[-1]
        return self._put_together(found), oldest, newest

    def _put_together(self, found: dict[str, str]) -> str | None:
        if not found:
            return None
        if not self.wild:
            return next(iter(found.values()))
        # Sorted, so that the order in which they came makes no difference.
        named = sorted(
            ("/".join(wild_parts(self._levels, topic.split("/"))), found[topic]) for topic in found
        )
        return "{" + ",".join(f"{compact_json(name)}:{value}" for name, value in named) + "}"

    def _read(self, known: _Topic) -> None:
        """Read from the newest message on, until as many are found as count."""
        before = known.size
        found: list[_Stamped] = []
        while known.unread and len(found) < self._options.keep:
            payload, at = known.unread.pop()
            if not payload:  # what was retained is cleared: all that came before is void
                known.values.clear()
                self.cleared = True
                break
            value = value_of(payload, self._pick, self._options.step)
            if value is not None:
                found.append((value, at))
        if found:
            self.found, self.cleared = True, False
        known.unread.clear()
        known.values.extend(reversed(found))
        self._bytes += known.size - before

    def _make_room(self) -> None:
        if len(self._topics) > MAX_TOPICS:
            self.crowded = True
            self._drop(next(iter(self._topics)))

    def _forget_oldest(self) -> None:
        topic, known = next(iter(self._topics.items()))
        messages = known.values or known.unread
        if messages:
            self._bytes -= len(messages.popleft()[0]) + _OVERHEAD_BYTES
        if not (known.values or known.unread):
            self._drop(topic)

    def _drop(self, topic: str) -> None:
        self._bytes -= self._topics.pop(topic).size + len(topic)
