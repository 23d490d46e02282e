"""What decides KV values beside the model and the token ids, such as an adapter or the pixels of a picture.

KV entries are shared only between sequences of equal worlds: in memory, in the scheduler and on disk.
"""

from __future__ import annotations

# Names of what applies, in a fixed order.
World = tuple[str, ...]
# The model and text alone.
PLAIN: World = ()
