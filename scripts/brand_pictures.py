#!/usr/bin/env python3
"""Draws EdgeAssist's icon and logo for Home Assistant: a chip that speaks, and the name in strokes.

`scripts/brand_pictures.py` writes custom_components/edgeassist/brand/*.png; the same bytes each time.
Sizes are those that Home Assistant's brands want: icons of 256 and 512 pixels, logos 128 and 256 high, both
without margins and on nothing.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

BRAND = Path(__file__).parent.parent / "custom_components" / "edgeassist" / "brand"

Plane = npt.NDArray[np.float64]
Colour = tuple[int, int, int]
# The distance of each pixel from a shape, negative within.
Shape = Callable[[Plane, Plane], Plane]

BODY: Colour = (15, 118, 140)
PIN: Colour = (94, 176, 190)
SPEECH: Colour = (255, 255, 255)
NAME: Colour = (15, 118, 140)
DARK_NAME: Colour = (224, 242, 245)
_STROKE = 0.085


def box(x: float, y: float, width: float, height: float, corner: float) -> Shape:
    """Return a rectangle around a centre, with round corners."""

    def distance(across: Plane, down: Plane) -> Plane:
        far_x = np.abs(across - x) - width / 2 + corner
        far_y = np.abs(down - y) - height / 2 + corner
        outside = np.hypot(np.maximum(far_x, 0), np.maximum(far_y, 0))
        return np.asarray(outside + np.minimum(np.maximum(far_x, far_y), 0) - corner)

    return distance


def line(points: Sequence[tuple[float, float]], stroke: float) -> Shape:
    """Return a stroke with round ends through these points."""

    def distance(across: Plane, down: Plane) -> Plane:
        nearest = np.full_like(across, np.inf)
        for (x0, y0), (x1, y1) in pairwise(points):
            dx, dy = x1 - x0, y1 - y0
            length = max(dx * dx + dy * dy, 1e-12)
            along = np.clip(((across - x0) * dx + (down - y0) * dy) / length, 0, 1)
            nearest = np.minimum(nearest, np.hypot(across - x0 - along * dx, down - y0 - along * dy))
        return nearest - stroke / 2

    return distance


def arc(x: float, y: float, radius: float, begin: float, end: float) -> list[tuple[float, float]]:
    """Return points on a circle, from one angle to another in degrees, clockwise from the right."""
    angles = np.radians(np.linspace(begin, end, 40))
    return [(x + radius * float(np.cos(each)), y + radius * float(np.sin(each))) for each in angles]


def chip() -> list[tuple[Shape, Colour]]:
    """Return the icon's shapes in a square of 1: pins, body, and a bubble with three dots."""
    pins = [box(at, 0.5, 0.09, 1.0, 0.045) for at in (0.26, 0.42, 0.58, 0.74)]
    pins += [box(0.5, at, 1.0, 0.09, 0.045) for at in (0.26, 0.42, 0.58, 0.74)]
    tail = line([(0.36, 0.56), (0.33, 0.72), (0.47, 0.60), (0.35, 0.67), (0.40, 0.60)], 0.05)
    dots = [box(at, 0.47, 0.075, 0.075, 0.0375) for at in (0.37, 0.5, 0.63)]
    return [
        *((pin, PIN) for pin in pins),
        (box(0.5, 0.5, 0.78, 0.78, 0.16), BODY),
        (box(0.5, 0.47, 0.52, 0.32, 0.13), SPEECH),
        (tail, SPEECH),
        *((dot, BODY) for dot in dots),
    ]


def letters() -> list[tuple[float, list[list[tuple[float, float]]]]]:
    """Return the name as strokes: how wide each letter is, and its lines; a capital is 1 high."""
    ring = arc(0.27, 0.73, 0.27, 0, 360)
    e = [[(0.01, 0.73), (0.54, 0.73), *arc(0.27, 0.73, 0.27, 0, -300)]]
    s = [[*arc(0.2, 0.6, 0.14, -20, -250), (0.2, 0.73), *arc(0.2, 0.86, 0.14, -70, 160)]]
    return [
        (0.52, [[(0.5, 0), (0, 0), (0, 1), (0.5, 1)], [(0, 0.5), (0.44, 0.5)]]),
        (0.54, [ring, [(0.54, 0), (0.54, 1)]]),
        (0.54, [ring, [(0.54, 0.46), (0.54, 1.08), *arc(0.27, 1.08, 0.27, 0, 150)]]),
        (0.54, e),
        (0.74, [[(0, 1), (0.37, 0), (0.74, 1)], [(0.13, 0.66), (0.61, 0.66)]]),
        (0.36, s),
        (0.36, s),
        (0.0, [[(0, 0.46), (0, 1)], [(0, 0.2), (0, 0.201)]]),
        (0.36, s),
        (0.34, [[(0.1, 0.12), (0.1, 0.84), *arc(0.26, 0.84, 0.16, 180, 90)], [(0, 0.46), (0.34, 0.46)]]),
    ]


def wordmark(
    left: float, top: float, size: float, colour: Colour
) -> tuple[list[tuple[Shape, Colour]], float]:
    """Return the name's shapes from a corner on, and where they end."""
    shapes: list[tuple[Shape, Colour]] = []
    at = left + _STROKE * size / 2
    for width, strokes in letters():
        shapes += [
            (line([(at + x * size, top + y * size) for x, y in stroke], _STROKE * 1.3 * size), colour)
            for stroke in strokes
        ]
        at += (width + 0.2) * size
    return shapes, at - 0.2 * size + _STROKE * size


def draw(shapes: Sequence[tuple[Shape, Colour]], wide: float, high: float, scale: int) -> bytes:
    """Return a PNG of shapes on nothing.

    Args:
        shapes: In the order in which they are laid over one another.
        wide: Of the picture, in the shapes' units.
        high: Likewise.
        scale: Pixels of a unit.
    """
    rows, columns = round(high * scale), round(wide * scale)
    down, across = np.mgrid[0:rows, 0:columns] + 0.5
    across, down = across / scale, down / scale
    colour = np.zeros((rows, columns, 3))
    opacity = np.zeros((rows, columns, 1))
    for shape, paint in shapes:
        over = np.clip(0.5 - shape(across, down) * scale, 0, 1)[..., None]
        together = over + opacity * (1 - over)
        mixed = (np.array(paint) * over + colour * opacity * (1 - over)) / np.maximum(together, 1e-9)
        colour, opacity = mixed, together
    pixels = np.concatenate([colour, opacity * 255], axis=2).round().astype(np.uint8)
    return _png(pixels)


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    height, width, _ = pixels.shape
    lines = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            chunk(b"IDAT", zlib.compress(lines, 9)),
            chunk(b"IEND", b""),
        )
    )


NAMES = ("icon", "logo", "dark_logo")


def picture(name: str, scale: int) -> bytes:
    """Return one of `NAMES`, once or twice as large."""
    if name == "icon":
        return draw(chip(), 1, 1, 256 * scale)
    written, end = wordmark(1.16, 0.2, 0.52, DARK_NAME if name.startswith("dark") else NAME)
    return draw([*chip(), *written], end, 1, 128 * scale)


def main() -> None:
    """Write them."""
    BRAND.mkdir(exist_ok=True)
    for name in NAMES:
        (BRAND / f"{name}.png").write_bytes(picture(name, 1))
        (BRAND / f"{name}@2x.png").write_bytes(picture(name, 2))


if __name__ == "__main__":
    main()
