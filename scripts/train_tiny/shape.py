"""The model's dimensions."""

from __future__ import annotations

from edgeassist.trial_models.synthetic import Shape

# A token for each merge, and 259 more.
VOCABULARY = 2304
NAME = "edgeassist-tiny"


def tiny_shape(vocabulary: int = VOCABULARY) -> Shape:
    """Return the dimensions; all are multiples of 256, which every quantization takes.

    Six narrow layers rather than three wide ones: to find a line of a list by its name and to copy it takes
    several steps, and hardly any knowledge.
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
