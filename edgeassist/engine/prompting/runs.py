"""Long stretches without a break are cut before a library's tokenizer sees them. Sans-I/O.

Some tokenizers call themselves for each character of such a stretch, and end the process where the stack
ends; others compare every part of it with every other. Text that people write has a break long before: no
word, no row of dashes and no indent comes near the lengths below. Text without such a stretch is left whole.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import pairwise

# In characters, of one kind; and of anything that has no white space in it, such as minified code.
LONGEST_RUN = 1024
LONGEST_STRETCH = 16384

_PUNCTUATION = r".,;:!?\u2026\u3001\u3002\uff01\uff0c\uff1a\uff1b\uff1f"
_KINDS = (rf"[^\s{_PUNCTUATION}]", r"\s", r"[^\w\s]")
# A run is looked at once, from where it begins.
_RUN = re.compile("|".join(rf"(?<!{kind}){kind}{{{LONGEST_RUN + 1},}}" for kind in _KINDS))
_STRETCH = re.compile(rf"(?<!\S)\S{{{LONGEST_STRETCH + 1},}}")


def cut_runs(text: str, control: re.Pattern[str]) -> list[str]:
    """Return a text in parts that hold no longer run; it is the only part if it has none.

    Args:
        text: Any.
        control: Matches control tokens, which stay whole.
    """
    stretches = _cut(text, _STRETCH, LONGEST_STRETCH, control)
    return [part for stretch in stretches for part in _cut(stretch, _RUN, LONGEST_RUN, control)]


def _cut(text: str, run: re.Pattern[str], longest: int, control: re.Pattern[str]) -> list[str]:
    if len(text) <= longest:
        return [text]
    cuts = [
        cut for found in run.finditer(text) for cut in range(found.start() + longest, found.end(), longest)
    ]
    if not cuts:
        return [text]
    tokens = [found.span() for found in control.finditer(text)]
    begins = [begin for begin, _ in tokens]
    places = {0, len(text)}
    for cut in cuts:
        begin, end = tokens[at - 1] if (at := bisect_right(begins, cut)) else (cut, cut)
        places.add(begin if cut < end else cut)
    return [text[begin:end] for begin, end in pairwise(sorted(places))]
