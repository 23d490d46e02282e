"""What decides KV values beside the model and the token ids, such as an adapter or the pixels of a picture.

KV entries are shared only between sequences of equal worlds: in memory, in the scheduler and on disk.
"""

from __future__ import annotations

# Digests of what applies, in a fixed order. Not names: states on disk outlive a file that is replaced under
# its name.
World = tuple[str, ...]
# The model and text alone.
PLAIN: World = ()
