"""Folders of ONNX Runtime GenAI with random weights: a real one's arithmetic, no download.

`onnx_writer` writes what the library's own builder would, so speed and memory are those of a model that was
built from trained weights.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgeassist.trial_models.onnx_graph import OnnxPrecision
from edgeassist.trial_models.onnx_writer import write_onnx_folder
from edgeassist.trial_models.synthetic import Shape, draw
from edgeassist.trial_models.vocabulary import Turns, make_up_vocabulary


def write_onnx(
    folder: Path,
    shape: Shape,
    *,
    seed: int = 0,
    precision: OnnxPrecision = OnnxPrecision.INT4,
    turns: Turns = Turns.ENDING,
) -> None:
    """Write a model of random weights; the same arguments give the same files.

    The folder appears under its name only when it is whole.

    Args:
        folder: Where to; its parent is made where missing.
        shape: The model's dimensions; the width and the feed-forward size are multiples of 32.
        seed: Of the random weights.
        precision: Of the matrices.
        turns: Whether it ends its answers by itself.

    Raises:
        OSError: A file can't be written.
    """
    words = make_up_vocabulary(shape.vocabulary)
    random, loudness = np.random.default_rng(seed), words.loudness(turns)
    write_onnx_folder(folder, shape, words, lambda tensor: draw(tensor, random, loudness), precision)
