"""Images: an array with the affine that places it in the world."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard, Union, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _native
from ._arrays import Float64, affine_of, intensities, label_ids
from ._errors import UsageError

if TYPE_CHECKING:
    from ._dicom import Triage


class Warning(NamedTuple):
    """Something to know although the work went on."""

    code: str
    """A word that stays, to filter by, such as ``"no-orientation"``."""
    message: str
    """One sentence."""


@dataclass(frozen=True)
class Label:
    """What an id stands for."""

    id: int
    """The value in the label volume; 0 is background and has no label."""
    name: str
    rgb: tuple[int, int, int] = (255, 255, 255)
    """Color, 0 to 255."""
    code: tuple[str, str, str] | None = None
    """Coding scheme, value and meaning, such as ``("SCT", "12738006", "Brain")``."""


def table_from(text: str) -> tuple[Label, ...]:
    """Labels from the extension's JSON."""
    found = []
    for label in json.loads(text):
        code = label.get("code")
        code = None if code is None else (code["scheme"], code["value"], code["meaning"])
        found.append(Label(label["id"], label["name"], tuple(label["rgb"]), code))
    return tuple(found)


def table_text(table: Sequence[Label]) -> str:
    """Labels as the extension's JSON."""
    rows = []
    for label in table:
        row = asdict(label)
        if label.code is None:
            del row["code"]
        else:
            row["code"] = dict(zip(("scheme", "value", "meaning"), label.code))
        rows.append(row)
    return json.dumps(rows)


class Image:
    """Voxels and where they are.

    Args:
        array: three axes i, j, k in the order of the affine's columns; any real type, strides and byte order.
            Intensities are kept as float32.
        affine: 4 x 4, voxel centres to mm in RAS+ (x to the patient's right, y to the front, z to the head).
        table: what the ids stand for; with a table, even an empty one, the array is a label volume and kept as uint16.

    An image unpacks into its parts: ``array, affine = image``. It can be pickled; of a DICOM study the attributes of the
    patient are left out then.

    Raises:
        UsageError: for another number of axes, or an affine that is not 4 x 4.
        UnsupportedError: for complex numbers, objects, text; for ids that are no whole numbers from 0 to 65535.
    """

    __slots__ = ("_source", "affine", "array", "table", "triage", "warnings")

    array: NDArray[Any]
    """``[i, j, k]``: float32, or uint16 for a label volume. What :func:`read` gives is in Fortran order."""
    affine: Float64
    table: tuple[Label, ...] | None
    """What the ids stand for; ``None`` for intensities."""
    warnings: tuple[Warning, ...]
    """What was odd about the file."""
    triage: Triage | None
    """The table of the folder that a DICOM series came from."""

    def __init__(self, array: ArrayLike, affine: ArrayLike, *, table: Sequence[Label] | None = None) -> None:
        self.array = intensities(array) if table is None else label_ids(array)
        self.affine = affine_of(affine)
        self.table = None if table is None else tuple(table)
        self.warnings = ()
        self.triage = None
        self._source: _native.Source | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along i, j, k."""
        return cast("tuple[int, int, int]", self.array.shape)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distances of voxel centres along i, j, k in mm."""
        i, j, k = np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0)).tolist()
        return i, j, k

    @property
    def orientation(self) -> str:
        """The sides that i, j, k grow towards, such as ``"RAS"``.

        Raises:
            UsageError: for an affine without an inverse.
        """
        return _native.orientation(self.affine)

    @property
    def path(self) -> str | None:
        """The file or folder that it was read from."""
        return None if self._source is None else self._source.path

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return iter((self.array, self.affine))

    def __repr__(self) -> str:
        size = " x ".join(str(n) for n in self.shape)
        spacing = " x ".join(f"{mm:.3g}" for mm in self.spacing)
        what = "Image" if self.table is None else "Image of labels"
        return f"<{what} {size} voxels, {spacing} mm>"

    def to_nibabel(self) -> Any:
        """As a ``nibabel.Nifti1Image`` (or ``Nifti2Image`` where it came from one), with the header it came with."""
        return to_nibabel(self.array, self.affine, self._source)

    def to_sitk(self) -> Any:
        """As a ``SimpleITK.Image``.

        Raises:
            UsageError: for sheared axes, which ITK does not have.
        """
        return to_sitk(self.array, self.affine)

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)


ImageLike = Union[str, "os.PathLike[str]", Image, "tuple[ArrayLike, ArrayLike]", Any]
"""A path, an :class:`Image`, a pair of array and affine, or an image of nibabel or SimpleITK."""


def of_study(study: _native.Study, table: tuple[Label, ...] | None = None) -> Image:
    """An image of what the extension has read."""
    image = Image.__new__(Image)
    image.array = study["array"]
    image.affine = study["affine"]
    image.table = table
    image.warnings = tuple(Warning(*warning) for warning in study["warnings"])
    image.triage = None
    image._source = study["source"]
    return image


def derived(array: NDArray[Any], affine: Float64, parent: Image) -> Image:
    """An image made from another one; its header goes along."""
    image = Image.__new__(Image)
    image.array = array
    image.affine = affine
    image.table = parent.table
    image.warnings = parent.warnings
    image.triage = parent.triage
    image._source = parent._source
    return image


def is_path(image: object) -> TypeGuard[str | os.PathLike[str]]:
    """True for what names a file."""
    return isinstance(image, (str, os.PathLike))


def as_image(image: ImageLike, *, labels: bool = False) -> Image:
    """Whatever stands for an image, as one; a label volume where ``labels``."""
    if isinstance(image, Image):
        return image
    if is_path(image):
        from ._files import read, read_labels

        return read_labels(image) if labels else read(image)
    table = () if labels else None
    if isinstance(image, tuple) and len(image) == 2:
        return Image(image[0], image[1], table=table)
    if hasattr(image, "dataobj") and hasattr(image, "affine"):
        return _from_nibabel(image, table)
    if hasattr(image, "GetDirection") and hasattr(image, "GetSpacing"):
        return _from_sitk(image, table)
    raise UsageError(
        f"an image is a path, an unet_vol.Image, a pair (array, affine), or one of nibabel or SimpleITK; not "
        f"{type(image).__name__}"
    )


def _from_nibabel(image: Any, table: tuple[Label, ...] | None) -> Image:
    if image.affine is None:
        raise UsageError("the nibabel image has no affine")
    data = np.asanyarray(image.dataobj) if table is not None else image.get_fdata(caching="unchanged", dtype=np.float32)
    out = Image(data, image.affine, table=table)
    header = image.header
    if hasattr(header, "binaryblock") and hasattr(header, "get_qform"):
        oriented = bool(header["sform_code"] > 0 or header["qform_code"] > 0)
        no_extensions: list[tuple[int, bytes]] = []
        nifti = (bytes(header.binaryblock), header.endianness == ">", no_extensions)
        out._source = _native.Source(image.get_filename(), out.shape, out.affine, oriented, nifti)
    return out


def _from_sitk(image: Any, table: tuple[Label, ...] | None) -> Image:
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise UsageError("the SimpleITK image is not a 3-D image with one value per voxel")
    sitk: Any = import_module("SimpleITK")
    array = sitk.GetArrayFromImage(image).transpose()
    direction = np.array(image.GetDirection()).reshape(3, 3)
    affine = np.eye(4)
    affine[:3, :3] = direction * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    affine[:2] *= -1.0  # LPS to RAS
    return Image(array, affine, table=table)


def to_nibabel(array: NDArray[Any], affine: Float64, source: _native.Source | None) -> Any:
    """A nibabel image; its header is the source's where there is one."""
    nibabel: Any = import_module("nibabel")
    stored = None if source is None else source.nifti_header
    if stored is None:
        return nibabel.Nifti1Image(array, affine)
    block, big_endian = stored
    two = len(block) == 540
    header_class = nibabel.Nifti2Header if two else nibabel.Nifti1Header
    header = header_class(block, endianness=">" if big_endian else "<", check=False)
    header.set_data_dtype(array.dtype)
    header.set_slope_inter(1.0, 0.0)
    # A header for another grid would keep its old forms.
    kept = header if np.allclose(header.get_best_affine(), affine, atol=1e-4) else None
    image_class = nibabel.Nifti2Image if two else nibabel.Nifti1Image
    return image_class(array, affine, kept)


def to_sitk(array: NDArray[Any], affine: Float64) -> Any:
    """A SimpleITK image."""
    sitk: Any = import_module("SimpleITK")
    spacing = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    direction = affine[:3, :3] / spacing
    if not np.allclose(direction.T @ direction, np.eye(3), atol=1e-4):
        raise UsageError("the axes are sheared, and ITK has no such images: resample to perpendicular axes first")
    flip = np.array([-1.0, -1.0, 1.0])
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.transpose()))
    image.SetSpacing(spacing.tolist())
    image.SetOrigin((flip * affine[:3, 3]).tolist())
    image.SetDirection((flip[:, None] * direction).ravel().tolist())
    return image
