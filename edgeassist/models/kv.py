"""What a model keeps of the tokens that it has read, and how many bytes that takes. Sans-I/O."""

from __future__ import annotations

from dataclasses import dataclass

# A recurrent state is in single precision, whatever the KV cache's type.
STATE_VALUE_BYTES = 4
# llama.cpp allocates KV cells in multiples of this.
CELLS = 256
# With windows each sequence costs the cells of one: so many are there beside the answers', for decisions.
WINDOWED_BRANCHES = 4


@dataclass(frozen=True, slots=True)
class Block:
    """How a KV cache type stores values: `values` of them take `size` bytes."""

    values: int
    size: int

    def bytes(self, values: int) -> int:
        """Return what so many values take."""
        return -(-values * self.size // self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """Layers whose KV entries are alike.

    Attributes:
        count: Of such layers.
        heads: Key/value heads of each.
        key_size: Values in a head's key.
        value_size: Values in a head's value; 0 where none is kept (MLA keeps what both are made of).
        window: How many tokens back they look; 0: all.
    """

    count: int
    heads: int
    key_size: int
    value_size: int
    window: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a KV cache is allocated.

    Attributes:
        cells: They come in multiples of so many.
        sequences: At once, with prompts of decisions.
        rows: The most tokens of one step.
        whole_windows: Whether layers with a window have room for all tokens as well.
        flash: Whether flash attention is used; without it, all layers' values are as wide as the widest.
    """

    cells: int = CELLS
    sequences: int = 1
    rows: int = 512
    whole_windows: bool = False
    flash: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a model keeps.

    Attributes:
        layers: Those with a KV cache.
        state_bytes: A sequence's recurrent state, whatever its length.
        apart: Whether each sequence has cells of its own, also in a cache that is shared otherwise.
        exact: Whether that is what will be allocated; if not, it is an upper bound.
    """

    layers: tuple[Layers, ...] = ()
    state_bytes: int = 0
    apart: bool = False
    exact: bool = True

    @property
    def sizes(self) -> frozenset[int]:
        """The sizes of keys and values of all heads."""
        return frozenset(
            size for each in self.layers for size in (each.key_size, each.value_size) if each.heads and size
        )

    def bytes(self, tokens: int, block: Block, manner: Manner) -> int:
        """Return the bytes that are allocated for a KV cache of that many tokens."""
        cells = _padded(tokens, manner.cells)
        widest = max((each.heads * each.value_size for each in self.layers), default=0)
        total = 0
        for each in self.layers:
            value = each.heads * each.value_size
            if each.value_size and not manner.flash:
                value = widest
            row = block.bytes(each.heads * each.key_size) + block.bytes(value)
            total += each.count * row * _held(each.window, cells, manner)
        if self.apart:
            total *= manner.sequences
        return total + self.state_bytes * manner.sequences


def alike(layers: int, heads: int, size: int) -> Kept:
    """Return what a model of equal layers keeps, each with so many heads of that size."""
    return Kept(layers=(Layers(count=layers, heads=heads, key_size=size, value_size=size),))


def _held(window: int, cells: int, manner: Manner) -> int:
    """Return the cells of a layer; one with a window has room for each sequence's and for a step."""
    if not window or manner.whole_windows:
        return cells
    return _padded(min(cells, window * manner.sequences + manner.rows), manner.cells)


def _padded(cells: int, multiple: int) -> int:
    return -(-cells // multiple) * multiple
