"""Scans to label volumes: read, resample, segment, measure and write medical images, without PyTorch.

    >>> import unet_vol
    >>> segmentation = unet_vol.segment("study.nii.gz")          # doctest: +SKIP
    >>> segmentation.labels.shape                                # doctest: +SKIP
    (176, 256, 256)

Arrays are indexed ``[i, j, k]`` in the order of the affine's columns; what comes back is in Fortran order. Affines are
4 x 4 in float64, voxel centres to mm, RAS+: x grows towards the patient's right, y to the front, z to the head. Work
runs without the GIL on threads of the package's own. For research only; not a medical device.
"""

from __future__ import annotations

import sys as _sys

from . import _native
from ._batch import Converted, Entry, batch, convert
from ._dicom import Series, Triage, read_dicom, triage
from ._errors import (
    DeniedError,
    EmptyError,
    ExistsError,
    InternalError,
    LimitError,
    MalformedError,
    ModelError,
    NotFoundError,
    OutputError,
    StoppedError,
    UnetVolError,
    UnsupportedError,
    UsageError,
)
from ._evaluate import LabelReport, Report, Scores, dice, evaluate, evaluate_folders, hd95, surface_dice
from ._files import read, read_labels, write
from ._image import Image, ImageLike, Label, Warning
from ._labels import (
    Components,
    Instance,
    Instances,
    connected_components,
    fill_holes,
    instances,
    largest_component,
    postprocess,
)
from ._segment import LabelStatistics, Pipeline, Segmentation, segment
from ._stages import normalize, reorient, resample
from ._tiles import Tile, Tiles, stitch, tiled, tiles

_native.set_packages([folder for folder in _sys.path if folder])

__version__ = _native.__version__

__all__ = [
    "Components",
    "Converted",
    "DeniedError",
    "EmptyError",
    "Entry",
    "ExistsError",
    "Image",
    "ImageLike",
    "Instance",
    "Instances",
    "InternalError",
    "Label",
    "LabelReport",
    "LabelStatistics",
    "LimitError",
    "MalformedError",
    "ModelError",
    "NotFoundError",
    "OutputError",
    "Pipeline",
    "Report",
    "Scores",
    "Segmentation",
    "Series",
    "StoppedError",
    "Tile",
    "Tiles",
    "Triage",
    "UnetVolError",
    "UnsupportedError",
    "UsageError",
    "Warning",
    "__version__",
    "batch",
    "connected_components",
    "convert",
    "dice",
    "evaluate",
    "evaluate_folders",
    "fill_holes",
    "hd95",
    "instances",
    "largest_component",
    "normalize",
    "postprocess",
    "read",
    "read_dicom",
    "read_labels",
    "reorient",
    "resample",
    "segment",
    "stitch",
    "surface_dice",
    "tiled",
    "tiles",
    "triage",
    "write",
]
