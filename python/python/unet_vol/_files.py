"""Reading, writing and converting files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

import numpy as np
from numpy.typing import DTypeLike

from . import _native
from ._errors import UsageError, make
from ._image import Image, ImageLike, as_image, of_study, table_from, table_text

Path = str | os.PathLike[str]
OnGap = Literal["refuse", "resample"]


def reading(
    volume: int | None, series: str | int | None, assume_orientation: str | None, on_gap: OnGap
) -> _native.Reading:
    """The extension's options for reading."""
    if volume is not None and volume < 0:
        raise UsageError(f"volumes are counted from 0, and {volume} is none")
    return {
        "volume": volume,
        "series": None if series is None else str(series),
        "assume_orientation": assume_orientation,
        "on_gap": on_gap,
    }


def refuse_existing(paths: Sequence[Path], overwrite: bool) -> None:
    """Refuses outputs that exist, before the first one is written."""
    for path in paths:
        if not overwrite and os.path.lexists(path):
            raise make("usage", f"{os.fspath(path)}: the output exists already", path, "choose another name", "exists")


def write_text(path: Path, text: str, overwrite: bool) -> None:
    """Writes a text in one step, through a temporary file beside it."""
    refuse_existing([path], overwrite)
    folder, name = os.path.split(os.path.abspath(path))
    temporary = os.path.join(folder, f".unet-vol-{os.getpid()}-{name}")
    try:
        with open(temporary, "x", encoding="utf-8", newline="\n") as file:
            file.write(text.rstrip() + "\n")
        os.replace(temporary, path)
    except OSError as error:
        raise make("output", f"{os.fspath(path)}: cannot be written: {error.strerror}", path, None, None) from error
    finally:
        with suppress(OSError):
            os.unlink(temporary)


def read(
    path: Path,
    *,
    volume: int | None = None,
    series: str | int | None = None,
    assume_orientation: str | None = None,
    on_gap: OnGap = "refuse",
) -> Image:
    """Reads intensities from a NIfTI file, a DICOM file or a folder of DICOM files.

    Args:
        path: ``.nii``, ``.nii.gz``, a pair ``.hdr``/``.img``, a DICOM file or folder; known by content.
        volume: which volume of a file that holds several, from 0.
        series: which series of a DICOM folder: its UID, its description or its number in :func:`triage`.
        assume_orientation: the axes of a file that does not state them, such as ``"RAS"``.
        on_gap: slices that are not evenly spaced are refused, or interpolated to even steps.

    Returns:
        float32 after slope and intercept, ``[i, j, k]`` in Fortran order, in the file's own order of axes. The file's
        header goes along, so that labels are written back under the same one.

    Raises:
        NotFoundError, MalformedError, UnsupportedError, LimitError: as the command refuses.
    """
    return of_study(_native.read(path, reading(volume, series, assume_orientation, on_gap), False))


def read_labels(path: Path, *, volume: int | None = None, assume_orientation: str | None = None) -> Image:
    """Reads a label volume, exactly, with its names where the file has them.

    Returns:
        uint16, ``[i, j, k]`` in Fortran order, with a ``table``.

    Raises:
        UnsupportedError: when a value is no whole number from 0 to 65535; else as :func:`read`.
    """
    study, table = _native.read_labels(path, reading(volume, None, assume_orientation, "refuse"))
    return of_study(study, table_from(table))


def write(
    path: Path,
    image: ImageLike,
    *,
    dtype: DTypeLike | None = None,
    like: ImageLike | None = None,
    overwrite: bool = False,
) -> None:
    """Writes an image as NIfTI, in one step: a failed or interrupted call leaves no file, or the one that was there.

    Labels are on the disk when the call returns. When intensities come to the disk is left to the system, as with nibabel
    and SimpleITK: a crash of the machine within the next seconds may lose them.

    Args:
        path: ends in ``.nii`` or ``.nii.gz``.
        image: what is written; one with a ``table`` as labels (``uint8`` where the ids fit, names in an extension).
        dtype: sample type of intensities: ``float32`` (default), ``float64``, integers of up to 32 bits, into which
            values are rounded.
        like: whose header is kept: codes of the forms, units, extensions. By default that of the file that ``image``
            was read from.
        overwrite: whether an existing file is replaced.

    Raises:
        ExistsError: when the file exists.
        UsageError: for another suffix, and for a value that does not fit ``dtype``.
        OutputError: when it cannot be written.
    """
    image = as_image(image)
    source = image._source if like is None else as_image(like)._source
    if image.table is not None:
        if dtype is not None:
            raise UsageError("a label volume is written as uint8 or uint16, whichever its ids need: leave dtype out")
        _native.write_labels(path, image.array, image.affine, table_text(image.table), source, overwrite)
        return
    name = np.dtype(np.float32 if dtype is None else dtype).name
    _native.write_volume(path, image.array, image.affine, source, name, overwrite)


