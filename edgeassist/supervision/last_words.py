"""What an engine printed that explains its end. Sans-I/O."""

from __future__ import annotations

import re
from collections import deque

# Lines that are quoted.
QUOTED = 5
# How native code says why it ends its process: ggml ("FILE:LINE: …"), the C library and C++, Python.
_REASON = re.compile(
    r"^\S+:\d+: |Assertion .+ failed|^terminate called|^\s+what\(\): |^Fatal Python error|"
    r"^(malloc|free|realloc|corrupted|double free|\*\*\*)[(: ]"
)


class LastWords:
    """The last line that gives a reason, and the last lines, whatever they are.

    What follows an assertion (a back trace, a debugger's output) may be long.
    """

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=QUOTED)
        self._reason: str | None = None

    def add(self, line: str) -> None:
        """Take a line of output."""
        self._lines.append(line)
        if _REASON.search(line):
            self._reason = line

    def quoted(self) -> list[str]:
        """Return at most `QUOTED` lines in their order; the reason, if it is older, instead of the oldest."""
        lines = list(self._lines)
        if self._reason is None or self._reason in lines:
            return lines
        return [self._reason, *lines[1:]]
