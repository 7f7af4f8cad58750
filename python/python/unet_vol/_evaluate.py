"""How well labels agree with a reference."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import ArrayLike

from . import _native
from ._arrays import label_ids, numbers
from ._errors import UsageError
from ._image import Image, ImageLike, Warning, as_image, is_path, table_text
from ._labels import ids_of

Percentile = Literal["max-directed", "pooled"]
Surface = Literal["voxel", "sub-voxel"]
ONES = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Scores:
    """The scores of one label, or their mean; ``None`` where a score has no value."""

    dice: float | None
    jaccard: float | None
    hd95_mm: float | None
    """95th percentile of surface distances."""
    hd_mm: float | None
    """Largest surface distance."""
    mean_surface_distance_mm: float | None
    surface_dice: float | None
    """Part of both surfaces within the tolerance of the other."""
    volume_difference_ml: float | None
    """Volume of the prediction less that of the reference."""
    volume_difference_percent: float | None


@dataclass(frozen=True)
class LabelReport:
    """The scores of one label."""

    id: int
    name: str
    prediction_voxels: int
    reference_voxels: int
    scores: Scores
    reason: str | None
    """Why scores have no value, where some have none."""


@dataclass(frozen=True)
class Report:
    """What :func:`evaluate` found."""

    labels: tuple[LabelReport, ...]
    mean: Scores
    """The mean of each score over the labels where it has a value."""

    def to_dicts(self) -> list[dict[str, Any]]:
        """A row for each label, for ``pandas.DataFrame(report.to_dicts())``."""
        rows = []
        for row in self.labels:
            counts = {"prediction_voxels": row.prediction_voxels, "reference_voxels": row.reference_voxels}
            rows.append({"id": row.id, "name": row.name, **counts, **vars(row.scores)})
        return rows


_SCORES = tuple(Scores.__dataclass_fields__)


def _scores(row: dict[str, Any]) -> Scores:
    return Scores(*(row[name] for name in _SCORES))


def _report(found: dict[str, Any]) -> Report:
    labels = []
    for row in found["labels"]:
        voxels = row["prediction_voxels"], row["reference_voxels"]
        labels.append(LabelReport(row["id"], row["name"], *voxels, _scores(row), row["reason"]))
    return Report(tuple(labels), _scores(found["mean"]))


def _options(
    labels: Sequence[int] | None, hd95: str, surface: str, tolerance_mm: float, distances: bool = True
) -> str:
    if not (isinstance(tolerance_mm, (int, float)) and math.isfinite(tolerance_mm)):
        raise UsageError(f"a tolerance is a number of mm, not {tolerance_mm!r}")
    options = {
        "labels": None if labels is None else [int(label) for label in labels],
        "distances": distances,
        "hd95": hd95.replace("-", "_"),
        "surface": surface.replace("-", "_"),
        "tolerance_mm": tolerance_mm,
    }
    return json.dumps(options)


def evaluate(
    prediction: ImageLike,
    reference: ImageLike,
    *,
    labels: Sequence[int] | None = None,
    distances: bool = True,
    hd95: Percentile = "max-directed",
    surface: Surface = "voxel",
    tolerance_mm: float = 1.0,
) -> Report:
    """Scores label volumes on one grid, label by label.

    Args:
        prediction, reference: paths, or label volumes in memory.
        labels: the ids to score; by default every id that occurs in one of the two.
        distances: False measures overlaps and volumes alone, in a tenth of the time.
        hd95: the larger of both directions (MONAI), or both in one list (MedPy).
        surface: what the surface Dice counts: voxels, or the surface between them (DeepMind's surface-distance).
        tolerance_mm: of the surface Dice.

    Raises:
        UsageError: when the two lie on different grids; nothing is resampled here.
    """
    options = _options(labels, hd95, surface, tolerance_mm, distances)
    if is_path(prediction) and is_path(reference):
        found = _native.evaluate_files(os.fspath(prediction), os.fspath(reference), options)
    else:
        found = _native.evaluate_arrays(_parts(prediction), _parts(reference), options)
    return _report(json.loads(found))


def _parts(image: ImageLike) -> tuple[Any, Any, str]:
    image = as_image(image, labels=True)
    return label_ids(image.array), image.affine, table_text(image.table or ())


def evaluate_folders(
    prediction: str | os.PathLike[str],
    reference: str | os.PathLike[str],
    *,
    labels: Sequence[int] | None = None,
    hd95: Percentile = "max-directed",
    surface: Surface = "voxel",
    tolerance_mm: float = 1.0,
) -> tuple[dict[str, Report], tuple[Warning, ...]]:
    """Scores every file that two folders share by name.

    Returns:
        Reports by file name, and a warning for each file without a partner.
    """
    text, notes = _native.evaluate_folders(prediction, reference, _options(labels, hd95, surface, tolerance_mm))
    reports = {case["case"]: _report(case["report"]) for case in json.loads(text)}
    return reports, tuple(Warning(*note) for note in notes)


def _of_label(label: int | None) -> int | None:
    if label is not None and not (isinstance(label, int) and 0 < label <= 65535):
        raise UsageError(f"a label is a number from 1 to 65535, not {label!r}")
    return label


def dice(prediction: ArrayLike | Image, reference: ArrayLike | Image, *, label: int | None = None) -> float:
    """2 |P and R| / (|P| + |R|) of two label volumes of one shape.

    Args:
        prediction, reference: three axes; booleans or whole numbers from 0 to 65535.
        label: the id to score; by default everything that is not 0, as one structure.

    Returns:
        0 to 1; NaN when both are empty.
    """
    found = _native.score(ids_of(prediction), ids_of(reference), ONES, _of_label(label), None)["dice"]
    return math.nan if found is None else found


def hd95(
    prediction: ArrayLike | Image,
    reference: ArrayLike | Image,
    spacing: Sequence[float] | None = None,
    *,
    label: int | None = None,
    percentile: Percentile = "max-directed",
) -> float:
    """95th percentile of the distances between two surfaces, in mm.

    Args:
        prediction, reference, label: as in :func:`dice`.
        spacing: mm along i, j, k; by default the reference's where it is an :class:`Image`, else 1.
        percentile: the larger of both directions (MONAI), or both in one list (MedPy).

    Returns:
        NaN when one of them is empty.
    """
    found = _measured(prediction, reference, spacing, label, _options(None, percentile, "voxel", 1.0))["hd95_mm"]
    return math.nan if found is None else found


def surface_dice(
    prediction: ArrayLike | Image,
    reference: ArrayLike | Image,
    spacing: Sequence[float] | None = None,
    *,
    tolerance_mm: float = 1.0,
    label: int | None = None,
    surface: Surface = "voxel",
) -> float:
    """Part of both surfaces that lies within ``tolerance_mm`` of the other (normalized surface distance).

    Args:
        prediction, reference, spacing, label: as in :func:`hd95`.
        surface: ``"voxel"``, or ``"sub-voxel"`` as DeepMind's surface-distance has it.

    Returns:
        0 to 1; NaN when both are empty.
    """
    options = _options(None, "max-directed", surface, tolerance_mm)
    found = _measured(prediction, reference, spacing, label, options)["surface_dice"]
    return math.nan if found is None else found


def _measured(
    prediction: ArrayLike | Image,
    reference: ArrayLike | Image,
    spacing: Sequence[float] | None,
    label: int | None,
    options: str,
) -> _native.Scores:
    if spacing is None:
        spacing = reference.spacing if isinstance(reference, Image) else ONES
    i, j, k = numbers(spacing, 3, "a spacing")
    return _native.score(ids_of(prediction), ids_of(reference), (i, j, k), _of_label(label), options)
