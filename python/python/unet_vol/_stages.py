"""Orientation, resampling and normalization."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from numpy.typing import ArrayLike

from . import _native
from ._arrays import Float32, affine_of, intensities, numbers, sizes
from ._errors import UsageError
from ._image import Image, ImageLike, as_image, derived

Method = Literal["nearest", "linear", "cubic", "area"]
Rule = Literal["half-pixel", "corner", "first-voxel", "centre"]
Border = Literal["clamp", "mirror", "scipy-nearest", "field-of-view"]


def reorient(image: ImageLike, orientation: str = "RAS") -> Image:
    """Permutes and flips the axes until i, j, k grow towards the sides that ``orientation`` names; exact.

    Args:
        image: intensities or labels.
        orientation: one of R/L, A/P and S/I each, such as ``"RAS"`` or ``"LPS"``.

    Raises:
        UsageError: for other letters.
    """
    image = as_image(image)
    array, affine = _native.reorient(image.array, image.affine, orientation)
    return derived(array, affine, image)


def resample(
    image: ImageLike,
    *,
    spacing: Sequence[float] | None = None,
    shape: Sequence[int] | None = None,
    like: ImageLike | None = None,
    affine: ArrayLike | None = None,
    method: Method = "linear",
    rule: Rule = "half-pixel",
    border: Border | float = "clamp",
    clip: bool = False,
    antialias: bool = False,
) -> Image:
    """An image on another grid. Labels get the id of the nearest voxel, whatever ``method`` says.

    Args:
        image: intensities or labels.
        spacing: mm along i, j, k. Under the rules ``"half-pixel"`` and ``"corner"`` the field of view stays and is filled
            with whole voxels, so the spacing is the nearest that fits; with ``shape`` too, and under the other rules, it
            is exact.
        shape: voxels along i, j, k; alone, over the same field of view.
        like: another image, whose grid is taken; excludes the other three.
        affine: of the new grid, 4 x 4, together with ``shape``.
        method: between voxel centres: ``"nearest"``, ``"linear"``, ``"cubic"`` (B-spline through the voxels) or
            ``"area"`` (average over the new voxel, on parallel axes).
        rule: what stays: ``"half-pixel"`` the edges of the field of view, ``"corner"`` the outermost voxel centres,
            ``"first-voxel"``, ``"centre"``.
        border: beyond the outermost voxel centres: ``"clamp"``, ``"mirror"``, ``"scipy-nearest"`` or a value (as SciPy
            has it); ``"field-of-view"`` is 0 beyond the outermost voxels' edges and clamps within (as ITK has it).
        clip: whether results are kept within the range of the input.
        antialias: a Gaussian before, as scikit-image's ``resize`` has it, along axes that get coarser.

    Returns:
        A new image; float32 (labels uint16) in Fortran order.

    Raises:
        UsageError: when the arguments name no grid or more than one.
        LimitError: when the memory cannot be had.
    """
    image = as_image(image)
    target: _native.Target = {"spacing": None, "shape": None, "affine": None, "rule": rule}
    if like is not None:
        if not (spacing is None and shape is None and affine is None):
            raise UsageError("like= names the whole grid: leave spacing, shape and affine out")
        other = as_image(like)
        target["shape"], target["affine"] = other.shape, other.affine
    elif affine is not None:
        if spacing is not None:
            raise UsageError("an affine has a spacing already: leave spacing out")
        target["affine"] = affine_of(affine)
    elif spacing is None and shape is None:
        raise UsageError("name the new grid: spacing, shape, affine or like")
    if spacing is not None:
        i, j, k = numbers(spacing, 3, "a spacing")
        target["spacing"] = (i, j, k)
    if shape is not None:
        target["shape"] = sizes(shape, "a shape")
    if image.table is not None:
        array, new = _native.resample_labels(image.array, image.affine, target)
        return derived(array, new, image)
    options: dict[str, Any] = {
        "method": method,
        "border": _border(border),
        "clip": clip,
    }
    if antialias:
        options["smoothing"] = {"sigma": "anti-aliasing"}
    intensities, new = _native.resample(image.array, image.affine, target, json.dumps(options))
    return derived(intensities, new, image)


def _border(border: Border | float) -> str | dict[str, float]:
    if border == "field-of-view":
        return {"field-of-view": 0.0}
    return border if isinstance(border, str) else {"constant": float(border)}


Step = str | Mapping[str, Any]


def normalize(
    array: ArrayLike, steps: Step | Sequence[Step] = "z-score", *, non_finite: Literal["replace", "refuse"] = "replace"
) -> Float32:
    """Intensities after declared steps, one after the other; the input stays as it is.

    Args:
        array: three axes, any real type.
        steps: a step or a list of them: a name such as ``"z-score"`` or ``"min-max"``, or a dict with the step's
            numbers: ``{"kind": "window", "center": 40, "width": 400}``, ``{"kind": "rescale-percentiles",
            "low_percent": 1, "high_percent": 99, "clip": True}``, ``"clip"``, ``"clip-percentiles"``, ``"fixed"``,
            ``"scale-by-max"``, ``"divide"``. ``"over": "nonzero"`` limits statistics to voxels that are not 0.
        non_finite: NaN and infinities become the smallest finite value, with a warning, or are refused.

    Returns:
        float32 in Fortran order.

    Raises:
        UsageError: for a step that is not known, or numbers that make no sense.
        MalformedError: for NaN where they are refused.
    """
    listed = [steps] if isinstance(steps, (str, Mapping)) else list(steps)
    spec = {"steps": [{"kind": s} if isinstance(s, str) else dict(s) for s in listed], "non_finite": non_finite}
    try:
        text = json.dumps(spec)
    except (TypeError, ValueError) as error:
        raise UsageError(f"the steps hold something that is no number, text or list: {error}") from error
    out, notes = _native.normalize(intensities(array), text)
    for _, message in notes:
        warnings.warn(message, stacklevel=2)
    return out
