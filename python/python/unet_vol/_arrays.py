"""What callers pass, as the arrays that the extension takes: one sample type, native byte order, three axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._errors import UnsupportedError, UsageError

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
UInt16 = NDArray[np.uint16]


def three_axes(array: ArrayLike, what: str = "an image") -> NDArray[Any]:
    """The array with exactly three axes; axes of length 1 beyond the third are dropped."""
    out = np.asarray(array)
    if out.dtype.kind not in "biuf":
        raise UnsupportedError(f"{what} holds real numbers, not {out.dtype}")
    if out.ndim < 3 or any(n != 1 for n in out.shape[3:]):
        raise UsageError(f"{what} has three axes i, j, k; this one has the shape {out.shape}")
    return out.reshape(out.shape[:3]) if out.ndim > 3 else out


def intensities(array: ArrayLike, what: str = "an image") -> Float32:
    """The array as float32, copied only where its type is another one."""
    out = three_axes(array, what)
    with np.errstate(over="ignore"):
        return out.astype(np.float32, copy=False)


def label_ids(array: ArrayLike, what: str = "a label volume") -> UInt16:
    """The array as uint16, exactly."""
    out = three_axes(array, what)
    if out.dtype.kind == "b" or out.dtype in (np.uint8, np.uint16):
        return out.astype(np.uint16, copy=False)
    if out.size:
        low, high = out.min().item(), out.max().item()  # as Python's numbers: 65535 would be infinite as float16
        if not (low >= 0 and high <= 65535):
            raise UnsupportedError(f"{what} holds ids from 0 to 65535; this one goes from {low} to {high}")
        if out.dtype.kind == "f" and not np.array_equal(out, np.rint(out)):
            raise UnsupportedError(f"{what} holds whole numbers; this one does not")
    return out.astype(np.uint16)


def affine_of(affine: ArrayLike) -> Float64:
    """A 4 x 4 affine in float64: voxel centres to mm in RAS+."""
    try:
        out = np.asarray(affine, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"an affine is a 4 x 4 matrix of numbers: {error}") from error
    if out.shape != (4, 4):
        raise UsageError(f"an affine is a 4 x 4 matrix; this one has the shape {out.shape}")
    return out


def numbers(values: Any, count: int, what: str) -> tuple[float, ...]:
    """``count`` finite numbers."""
    try:
        out = tuple(float(value) for value in values)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{what} is {count} numbers, not {values!r}") from error
    if len(out) != count or not all(np.isfinite(out)):
        raise UsageError(f"{what} is {count} finite numbers, not {values!r}")
    return out


def sizes(values: Any, what: str) -> tuple[int, int, int]:
    """Three whole numbers of at least 1."""
    try:
        a, b, c = (int(value) for value in values)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{what} is three whole numbers, not {values!r}") from error
    if min(a, b, c) < 1 or max(a, b, c) > 2**31:
        raise UsageError(f"{what} is three numbers of at least 1, not {values!r}")
    return a, b, c
