"""Folders of studies, and converting files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import DTypeLike

from . import _native
from ._arrays import numbers
from ._errors import UsageError
from ._files import OnGap, Path, reading
from ._image import Warning
from ._progress import watching
from ._segment import Pipeline, Progress
from ._stages import Method

Format = Literal["nifti", "dicom-seg", "rtstruct", "secondary-capture"]


@dataclass(frozen=True)
class Entry:
    """What became of one case of a batch."""

    case: str
    """Where it is in the tree."""
    status: Literal["done", "skipped", "failed"]
    reason: str
    """Why: the error, or how a series was chosen."""
    seconds: float
    outputs: tuple[str, ...]
    """The written files relative to the output folder."""
    volumes: dict[str, float]
    """ml of each label."""
    warnings: tuple[str, ...]


def batch(
    folder: Path,
    output: Path,
    model: Pipeline | Path = "brain-mri",
    *,
    pattern: str | None = None,
    select: str | None = None,
    channels: Sequence[str] = (),
    existing: Literal["refuse", "resume", "overwrite"] = "refuse",
    shard: str | None = None,
    formats: Sequence[Format] = ("nifti",),
    bids: bool = False,
    statistics: bool = False,
    preview: bool = False,
    instances: bool = False,
    jobs: int = 3,
    seconds: float | None = None,
    assume_orientation: str | None = None,
    on_gap: OnGap = "refuse",
    progress: Progress = None,
    **settings: Any,
) -> tuple[Entry, ...]:
    """Segments every NIfTI file and DICOM study in a tree, unattended; the output mirrors the input.

    Args:
        folder, output: where studies are and labels go, with ``ledger.jsonl`` and ``summary.csv``.
        model: a pipeline, a bundled model or an ONNX file; ``settings`` as for :class:`Pipeline`.
        pattern: only NIfTI files whose name fits, such as ``"*_T1w.nii.gz"``.
        select: only cases whose path this regular expression finds.
        channels: for each channel of the model a regular expression that finds its files.
        existing: what happens when the output folder holds a ledger already; ``"resume"`` goes on.
        shard: only a part of the cases, such as ``"1/4"``.
        formats: in which forms labels are written.
        bids: names as a BIDS derivative.
        statistics, preview: a table and a picture beside each label volume.
        instances: the connected pieces of each label, numbered, in a volume beside it; a pipeline is made with it.
        jobs: studies in memory at a time.
        seconds: time that the network may take for one case.
        assume_orientation, on_gap: how files are read, see :func:`read`.
        progress: called with the case, cases done and cases in all.

    Returns:
        An entry for each case; a case that fails is an entry, not an exception.

    Raises:
        UsageError: when the output folder holds a ledger and ``existing`` is ``"refuse"``.
        KeyboardInterrupt: after Ctrl-C; ``existing="resume"`` goes on.
    """
    pipeline = model if isinstance(model, Pipeline) else Pipeline(model, instances=instances, **settings)
    if isinstance(model, Pipeline) and settings:
        raise UsageError(f"the pipeline has its settings already: leave out {', '.join(settings)}")
    if not 1 <= jobs <= 64:
        raise UsageError(f"jobs is a number from 1 to 64, not {jobs!r}")
    batching: _native.Batching = {
        "pattern": pattern,
        "select": select,
        "channels": list(channels),
        "existing": existing,
        "shard": shard,
        "formats": list(formats),
        "bids": bids,
        "jobs": jobs,
        "seconds": seconds,
        "statistics": statistics,
        "preview": preview,
        "instances": instances,
    }
    options = reading(None, None, assume_orientation, on_gap)
    with watching(progress) as callback:
        text = _native.run_batch(pipeline._native, folder, output, batching, options, callback)
    return tuple(_entry(row) for row in json.loads(text)["entries"])


def _entry(row: dict[str, Any]) -> Entry:
    return Entry(
        row["case"],
        row["status"],
        row["reason"],
        row["seconds"],
        tuple(output["path"] for output in row["outputs"]),
        {volume["name"]: volume["ml"] for volume in row["volumes"]},
        tuple(row["warnings"]),
    )


@dataclass(frozen=True)
class Converted:
    """A file that :func:`convert` wrote."""

    path: str
    largest_error_mm: float
    """How far its voxels lie from where they should, at most."""
    warnings: tuple[Warning, ...]


def convert(
    input: Path,
    output: Path,
    *,
    orientation: str | None = None,
    spacing: Sequence[float] | None = None,
    method: Method = "linear",
    dtype: DTypeLike | None = None,
    volume: int | None = None,
    series: str | int | None = None,
    assume_orientation: str | None = None,
    on_gap: OnGap = "refuse",
    overwrite: bool = False,
) -> Converted:
    """Rewrites a volume: other orientation (exact), spacing or sample type; DICOM to NIfTI.

    Args:
        input, output: files; ``output`` ends in ``.nii`` or ``.nii.gz``.
        orientation: such as ``"RAS"``; axes are permuted and flipped.
        spacing: mm along i, j, k after reorientation; the edges of the field of view stay.
        method: how values between voxels are found then.
        dtype: sample type; by default that of the input, or float32 where values change.
        volume, series, assume_orientation, on_gap: how the input is read, see :func:`read`.
        overwrite: whether an existing file is replaced.

    Raises:
        ExistsError, OutputError, and whatever reading refuses.
    """
    import numpy as np

    step = None
    if spacing is not None:
        i, j, k = numbers(spacing, 3, "a spacing")
        step = (i, j, k)
    path, certificate, notes = _native.convert(
        input,
        output,
        orientation,
        step,
        method,
        None if dtype is None else np.dtype(dtype).name,
        reading(volume, series, assume_orientation, on_gap),
        overwrite,
    )
    return Converted(path, json.loads(certificate)["largest_error_mm"], tuple(Warning(*note) for note in notes))
