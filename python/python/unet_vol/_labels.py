"""Components, filters, holes and objects of label volumes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _native
from ._arrays import UInt16, affine_of, label_ids, numbers, three_axes
from ._errors import UsageError
from ._image import Image

Connectivity = Literal[6, 18, 26]
IDENTITY = np.eye(4)


@dataclass(frozen=True)
class Components:
    """Connected components, numbered from 1 by their first voxel, i fastest."""

    labels: NDArray[np.uint32]
    """``[i, j, k]`` in Fortran order: 0 for background, else the component's number."""
    voxels: NDArray[np.uint64]
    """Voxels of each component; component n stands at n - 1."""
    ids: UInt16
    """The id that each component's voxels share."""

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.voxels)


class Instance(NamedTuple):
    """One object."""

    number: int
    """Its value in the array, from 1."""
    id: int
    """The label that its voxels share."""
    voxels: int
    bounding_box: tuple[tuple[int, int, int], tuple[int, int, int]]
    """First voxel i, j, k and the one past the last."""
    centroid_mm: tuple[float, float, float]
    """World position in mm (RAS+)."""


class Instances(NamedTuple):
    """Numbered objects."""

    labels: NDArray[np.uint32]
    """``[i, j, k]`` in Fortran order: 0 for background, else the object's number."""
    objects: tuple[Instance, ...]

    def __repr__(self) -> str:
        return f"Instances({len(self.objects)} objects in {' x '.join(map(str, self.labels.shape))} voxels)"


def ids_of(array: ArrayLike | Image) -> NDArray[np.uint8] | UInt16:
    """Label ids as bytes where they are, else as uint16."""
    array = array.array if isinstance(array, Image) else array
    out = three_axes(array, "a label volume")
    if out.dtype == np.bool_:
        return out.view(np.uint8)
    if out.dtype == np.uint8:
        return out
    return label_ids(out)


def connected_components(
    labels: ArrayLike | Image, connectivity: Connectivity = 26, *, together: bool = False
) -> Components:
    """Connected voxels of one id; 0 is background.

    Args:
        labels: three axes; booleans or whole numbers from 0 to 65535.
        connectivity: which voxels touch: 6 by a face, 18 by an edge too, 26 by a corner too.
        together: all ids count as one.

    Raises:
        UsageError: for another connectivity. UnsupportedError: for other values.
    """
    return Components(*_native.connected_components(ids_of(labels), _checked(connectivity), together))


def _checked(connectivity: int) -> int:
    if connectivity not in (6, 18, 26):
        raise UsageError(f"the connectivity is 6, 18 or 26, not {connectivity!r}")
    return connectivity


def postprocess(labels: ArrayLike | Image, steps: Sequence[Mapping[str, Any]], affine: ArrayLike = IDENTITY) -> Any:
    """Labels after declared steps, as a model's description has them; the input stays as it is.

    Args:
        labels: three axes; booleans or whole numbers from 0 to 65535.
        steps: such as ``[{"remove_small": {"mm3": 50}}, {"fill_holes": {}}]``; also ``"keep_largest"``, ``"near"`` and
            ``"merge"``, each with ``"labels"`` and ``"connectivity"`` where they apply.
        affine: voxel centres to mm, for steps that measure.

    Returns:
        The same type as came in, in Fortran order.

    Raises:
        UsageError: for a step that is not known. ModelError: for numbers that make no sense.
    """
    array = np.asarray(labels.array if isinstance(labels, Image) else labels)
    affine = labels.affine if isinstance(labels, Image) else affine_of(affine)
    try:
        text = json.dumps([dict(step) for step in steps])
    except (TypeError, ValueError) as error:
        raise UsageError(f"the steps hold something that is no number, text or list: {error}") from error
    out, _ = _native.postprocess(ids_of(array), affine, text)
    return out if array.dtype == np.uint16 else out.astype(array.dtype)


def largest_component(
    labels: ArrayLike | Image, connectivity: Connectivity = 26, *, together: bool = False
) -> NDArray[Any]:
    """Labels without all but the largest component of each id, or of all ids as one; of equal ones the first stays.

    Args:
        labels, connectivity, together: as in :func:`connected_components`.

    Returns:
        The same type as came in, in Fortran order.
    """
    scope = "foreground" if together else "each"
    step = {"keep_largest": {"labels": scope, "connectivity": _checked(connectivity)}}
    out: NDArray[Any] = postprocess(labels, [step])
    return out


def fill_holes(labels: ArrayLike | Image, *, together: bool = False) -> NDArray[Any]:
    """Labels with the background filled that one label, or all ``together``, encloses.

    A hole is 6-connected background that does not touch the border. A mask comes out as from
    ``scipy.ndimage.binary_fill_holes``.

    Returns:
        The same type as came in, in Fortran order.
    """
    out: NDArray[Any] = postprocess(labels, [{"fill_holes": {"labels": "foreground" if together else "each"}}])
    return out


def instances(
    labels: ArrayLike | Image,
    connectivity: Connectivity = 26,
    *,
    order: Literal["first-voxel", "size"] = "first-voxel",
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
) -> Instances:
    """The objects of a label volume: connected voxels of one id, numbered, with size, box and centroid.

    Args:
        labels, connectivity: as in :func:`connected_components`; an :class:`Image` brings its own affine.
        order: what numbers follow; ``"size"`` begins with the largest.
        spacing: mm along i, j, k of a plain array, whose first voxel is the origin.
    """
    if order not in ("first-voxel", "size"):
        raise UsageError(f'objects are ordered by "first-voxel" or "size", not {order!r}')
    if isinstance(labels, Image):
        affine = labels.affine
    else:
        affine = np.diag([*numbers(spacing, 3, "a spacing"), 1.0])
    return instances_from(*_native.instances(ids_of(labels), affine, _checked(connectivity), order == "size"))


def instances_from(painted: NDArray[np.uint32], text: str) -> Instances:
    """Instances of what the extension gives."""
    objects = []
    for row in json.loads(text):
        box = row["bounding_box"]
        objects.append(
            Instance(
                row["number"],
                row["label"],
                row["voxels"],
                (tuple(box["start"]), tuple(box["end"])),
                tuple(row["centroid_mm"]),
            )
        )
    return Instances(painted, tuple(objects))
