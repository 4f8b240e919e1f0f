"""Small pictures with edges, slopes and noise, so that a resize filter or a swapped channel that is wrong shows."""

from pathlib import Path

import numpy as np
from PIL import Image

# Width and height; the towers see squares of 56, so every picture grows or shrinks, and some do both.
SIZES = {"wide.png": (97, 41), "tall.png": (30, 120), "large.png": (75, 62)}


def paint(name: str, folder: Path) -> None:
    """Write one picture of `SIZES`."""
    width, height = SIZES[name]
    draw = np.random.default_rng(width * 1000 + height)
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    red, green = x, (x + y) / 2
    blue = (np.hypot(x - 0.6, y - 0.4) < 0.3).astype(float)
    pixels = 255 * np.stack([red, green, blue], -1) + draw.normal(0, 25, (height, width, 3))
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name, optimize=True)
