"""Pictures as arrays of bytes, by Pillow. The one place that imports it, so that its absence is a sentence."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np

from p2pfd.errors import EnvironmentProblem, PlanError
from p2pfd.learning.data.source import Bytes

_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
MOST_PIXELS = 50_000_000


def open_picture(file: Path | io.BytesIO, where: str, *, grey: bool, side: int | None = None) -> Bytes:
    """A picture of shape (channels, height, width), scaled to a square if a side is given; PlanError names it."""
    try:
        from PIL import Image
    except ImportError as error:
        raise EnvironmentProblem("Pillow is not installed", "pip install 'pillow>=11,<13'") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd headers: what cannot be decoded is an error all the same
            with Image.open(file, formats=_FORMATS) as picture:
                if picture.width * picture.height > MOST_PIXELS:
                    raise PlanError(f"{where} has {picture.width} × {picture.height} pixels", "make it smaller")
                ready = picture.convert("L" if grey else "RGB")
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise PlanError(f"{where} is not a picture that can be read: {error}", "replace it or take it out") from error
    if side is not None and ready.size != (side, side):
        ready = ready.resize((side, side), Image.Resampling.BOX)
    pixels = np.asarray(ready, dtype=np.uint8)
    return np.ascontiguousarray(pixels[None] if grey else pixels.transpose(2, 0, 1))
