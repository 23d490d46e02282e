"""The model's dimensions."""

from __future__ import annotations

from edgeassist.trial_models.synthetic import Shape

# One token per merge, and 259 more.
VOCABULARY = 2304
NAME = "edgeassist-tiny"


def tiny_shape(vocabulary: int = VOCABULARY) -> Shape:
    """Return the dimensions; matrix dimensions are multiples of 256, as every quantization needs.

    Six narrow layers rather than three wide ones: finding a line of a list by name and copying it takes
    several steps but hardly any knowledge.
    """
    return Shape(
        name=NAME,
        layers=6,
        width=256,
        ffn=512,
        heads=4,
        kv_heads=2,
        vocabulary=vocabulary,
        context=1024,
        rope_base=1e6,
    )
