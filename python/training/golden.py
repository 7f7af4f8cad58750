"""The stored case by which `unet-vol models verify` judges an engine: an input and the class of each voxel of its output."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np


def coarse(image: np.ndarray) -> np.ndarray:
    """`image` of 0..255 as uint8 in steps of four: noise is what a stored case is made of, and six bits of it are enough."""
    return (4 * np.clip(np.round(image / 4), 0, 63)).astype(np.uint8)


def write(path: Path, image: np.ndarray, classes: np.ndarray, scale: float, offset: float) -> None:
    """gzip of `ULV2`, the three sizes of the input as u32, `scale` and `offset` as f32 (a value of the input is
    image * scale + offset), `image` uint8 and `classes` uint8, whose sizes are those of the network's output."""
    if image.dtype != np.uint8 or classes.dtype != np.uint8:
        raise TypeError("image and classes are uint8")
    head = b"ULV2" + struct.pack("<3I2f", *image.shape, scale, offset)
    path.write_bytes(gzip.compress(head + image.tobytes() + classes.tobytes(), 9, mtime=0))


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(input float32, classes uint8 in a row) of a file that [`write`] made."""
    content = gzip.decompress(path.read_bytes())
    x, y, z, scale, offset = struct.unpack("<3I2f", content[4:24])
    image = np.frombuffer(content, np.uint8, x * y * z, 24).reshape(x, y, z)
    return image * np.float32(scale) + np.float32(offset), np.frombuffer(content, np.uint8, -1, 24 + x * y * z)
