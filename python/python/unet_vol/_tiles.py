"""Tiles: any function on patches as a function on volumes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from . import _native
from ._arrays import Float32, intensities, sizes
from ._errors import UsageError
from ._image import Image

Method = Literal["sliding-window", "overlap-tile", "exact", "whole"]
AxisOrder = Literal["kji", "ijk"]


class Tile(NamedTuple):
    """One patch that a network reads and the box it answers for, in voxels i, j, k."""

    number: int
    start: tuple[int, int, int]
    """First voxel that is read; negative before the volume, where padding stands."""
    write_start: tuple[int, int, int]
    """First voxel that is answered for."""
    write_end: tuple[int, int, int]
    """The one past the last."""
    keep: tuple[int, int, int]
    """Where ``write_start`` lies in the network's output."""


class Tiles:
    """A tiling worked out for one shape; made by :func:`tiles`. Its length is the number of tiles, iterating gives each
    :class:`Tile`, in the order in which they are to be run."""

    def __init__(self, layout: _native.Layout) -> None:
        self._layout = layout

    @property
    def shape(self) -> tuple[int, int, int]:
        """The volume's voxels along i, j, k."""
        i, j, k = self._layout.shape
        return i, j, k

    @property
    def patch(self) -> tuple[int, int, int]:
        """Voxels read by each tile along i, j, k."""
        i, j, k = self._layout.patch
        return i, j, k

    def __len__(self) -> int:
        return len(self._layout)

    def __getitem__(self, number: int) -> Tile:
        if not -len(self) <= number < len(self):
            raise IndexError(f"there is no tile {number} among {len(self)}")
        read, start, end, keep = (tuple(part) for part in self._layout.tile(number % len(self)))
        return Tile(number % len(self), read, start, end, keep)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Tile]:
        return (self[number] for number in range(len(self)))

    def gather(self, channels: ArrayLike | Sequence[ArrayLike], first: int = 0, count: int = 1) -> Float32:
        """The patches of ``count`` tiles from ``first`` on.

        Args:
            channels: a volume ``[i, j, k]``, or a list of them.

        Returns:
            float32 ``[N, C, k, j, i]`` in C order.
        """
        if not 0 <= first < first + count <= len(self):
            raise UsageError(f"there are no tiles {first} to {first + count - 1} among {len(self)}")
        return self._layout.gather(_channels(channels), first, count)


def tiles(
    shape: Sequence[int],
    patch: Sequence[int] | None = None,
    *,
    method: Method = "sliding-window",
    overlap: float = 0.5,
    importance: Literal["uniform", "nnunet", "monai"] = "nnunet",
    starts: Literal["nnunet", "monai"] = "nnunet",
    padding: Literal["reflect", "symmetric", "edge"] | float = 0.0,
    margin: int | Sequence[int] = 0,
    halo: int | Sequence[int] | None = None,
    multiple: int = 1,
) -> Tiles:
    """Cuts a volume into patches.

    Args:
        shape: the volume's voxels along i, j, k.
        patch: voxels read by each tile; nothing for ``"whole"``.
        method: ``"sliding-window"`` overlaps and blends (nnU-Net, MONAI), ``"overlap-tile"`` abuts and mirrors (the U-Net
            of 2015), ``"exact"`` abuts with the halo that makes tiles equal to the whole, ``"whole"`` is one tile.
        overlap: the part of a patch that neighbors share.
        importance: weight of each voxel of a patch: Gaussians of nnU-Net or MONAI, or equal.
        starts: where windows start.
        padding: what is read outside the volume: a rule or a value.
        margin: voxels by which the network's output is smaller than its input, per side (unpadded convolutions).
        halo: for ``"overlap-tile"``: voxels of a padded network's output, per side, that are not used.
        multiple: sides of patches that the network takes.

    Raises:
        ModelError: when tiling and network do not go together. UsageError: for other arguments.
    """
    return Tiles(_layout(shape, patch, 1, method, overlap, importance, starts, padding, margin, halo, multiple))


def _layout(
    shape: Sequence[int],
    patch: Sequence[int] | None,
    batch: int,
    method: str,
    overlap: float,
    importance: str,
    starts: str,
    padding: str | float,
    margin: int | Sequence[int],
    halo: int | Sequence[int] | None,
    multiple: int,
) -> _native.Layout:
    if (patch is None) != (method == "whole"):
        raise UsageError('name the patch, but for method="whole"')
    way: dict[str, Any] = {"method": method}
    way["padding"] = padding if isinstance(padding, str) else {"constant": float(padding)}
    if patch is not None:
        way["patch"] = sizes(patch, "a patch")
    if method == "sliding-window":
        way.update(overlap=overlap, importance=importance, starts=starts)
    elif method == "overlap-tile" and halo is not None:
        way["halo"] = _sides(halo, "a halo")
    cut = _sides(margin, "a margin")
    network = {
        "dimensions": "three",
        "minimum": [max(1, multiple, 2 * side + 1) for side in cut],
        "multiple": [multiple] * 3,
        "margin": cut,
    }
    return _native.Layout(_text(way), sizes(shape, "a shape"), _text(network), batch)


def _text(value: Mapping[str, Any]) -> str:
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"a tiling is made of finite numbers and words: {error}") from error


def _sides(value: int | Sequence[int], what: str) -> list[int]:
    try:
        sides = [int(side) for side in ([value] * 3 if isinstance(value, int) else value)]
    except (TypeError, ValueError) as error:
        raise UsageError(f"{what} is a number or three, not {value!r}") from error
    if len(sides) != 3 or not all(0 <= side < 2**20 for side in sides):
        raise UsageError(f"{what} is a number of voxels or three, not {value!r}")
    return sides


def _channels(volume: Any) -> list[Float32]:
    if isinstance(volume, Image):
        volume = volume.array
    listed = volume if isinstance(volume, (list, tuple)) else [volume]
    return [np.asfortranarray(intensities(channel.array if isinstance(channel, Image) else channel)) for channel in listed]


def stitch(tiles: Tiles, scores: Iterable[ArrayLike]) -> Float32:
    """Puts the scores of all tiles together, blended where they overlap.

    Args:
        tiles: the tiling.
        scores: for each tile, in order, ``[classes, k, j, i]`` or ``[N, classes, k, j, i]`` for the next N tiles.

    Returns:
        float32 ``[classes, i, j, k]`` over the memory ``[classes][k][j][i]``.

    Raises:
        UsageError: for scores of another shape, or of more or fewer tiles.
    """
    sums = None
    for part in scores:
        array = plain(part)
        if array.ndim == 4:
            array = array[None]
        if sums is None:
            sums = tiles._layout.stitch(array.shape[1] if array.ndim == 5 else 0)
        sums.add(array)
    if sums is None:
        raise UsageError("there are no scores")
    return sums.finish().transpose(0, 3, 2, 1)


def plain(scores: Any) -> Float32:
    """A NumPy array of whatever a predictor gives, tensors of PyTorch on any device included."""
    if hasattr(scores, "detach"):
        scores = scores.detach().cpu()
    return np.ascontiguousarray(scores, dtype=np.float32)


def tiled(
    predictor: Callable[[Any], Any],
    volume: ArrayLike | Image | Sequence[ArrayLike],
    patch: Sequence[int] | None = None,
    *,
    method: Method = "sliding-window",
    overlap: float = 0.5,
    importance: Literal["uniform", "nnunet", "monai"] = "nnunet",
    starts: Literal["nnunet", "monai"] = "nnunet",
    padding: Literal["reflect", "symmetric", "edge"] | float = 0.0,
    margin: int | Sequence[int] = 0,
    halo: int | Sequence[int] | None = None,
    multiple: int = 1,
    batch: int = 1,
    axis_order: AxisOrder = "kji",
    progress: Callable[[str, int, int], object] | None = None,
) -> Float32:
    """Runs any function over a volume, tile by tile, and puts its scores together.

    Args:
        predictor: takes float32 ``[N, C, k, j, i]`` and gives scores ``[N, classes, k, j, i]``, as anything that NumPy
            reads: arrays, tensors of PyTorch (on any device) or of JAX. It runs in the calling thread.
        volume: ``[i, j, k]``, or a list of channels.
        patch, method, overlap, importance, starts, padding, margin, halo, multiple: as in :func:`tiles`.
        batch: tiles per call.
        axis_order: ``"ijk"`` for networks that were trained on arrays as nibabel gives them: ``[N, C, i, j, k]``.
        progress: called with ``"network"``, tiles done and tiles in all.

    Returns:
        float32 ``[classes, i, j, k]``.

    Raises:
        UsageError: for scores of another shape; whatever the predictor raises.
    """
    channels = _channels(volume)
    if not channels:
        raise UsageError("there is no channel")
    if batch < 1:
        raise UsageError(f"a batch holds at least one tile, not {batch}")
    layout = _layout(
        channels[0].shape, patch, batch, method, overlap, importance, starts, padding, margin, halo, multiple
    )
    sums = None
    for first in range(0, len(layout), batch):
        if progress is not None:
            progress("network", first, len(layout))
        fed = layout.gather(channels, first, min(batch, len(layout) - first))
        scores = predictor(fed.transpose(0, 1, 4, 3, 2) if axis_order == "ijk" else fed)
        scores = plain(scores)
        if scores.ndim != 5:
            raise UsageError(f"a predictor gives [N, classes, k, j, i], not {scores.ndim} axes")
        if axis_order == "ijk":
            scores = np.ascontiguousarray(scores.transpose(0, 1, 4, 3, 2))
        if sums is None:
            sums = layout.stitch(scores.shape[1])
        sums.add(scores)
    if progress is not None:
        progress("network", len(layout), len(layout))
    if sums is None:
        raise UsageError("there are no scores")
    return sums.finish().transpose(0, 3, 2, 1)
