"""Stages on arrays against SciPy, SimpleITK, cc3d and surface-distance."""

from __future__ import annotations

import math
from typing import Any

import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import unet_vol
from conftest import oblique

ndimage = pytest.importorskip("scipy.ndimage")
cc3d = pytest.importorskip("cc3d")
sitk = pytest.importorskip("SimpleITK")

SHAPES = arrays.array_shapes(min_dims=3, max_dims=3, max_side=9)
DTYPES = st.sampled_from(
    ["?", "u1", "i1", "<u2", ">u2", "<i2", ">i4", "<u4", "<i8", ">u8", "<f2", ">f4", "<f4", "<f8", ">f8"]
)


@st.composite
def odd_arrays(draw: Any) -> np.ndarray:
    """Any type, byte order, strides; read-only or not."""
    array = draw(arrays.arrays(np.int64, draw(SHAPES), elements=st.integers(0, 1) | st.integers(0, 100)))
    array = array.astype(draw(DTYPES))
    array = draw(
        st.sampled_from(
            [
                lambda a: a,
                np.asfortranarray,
                lambda a: a[::-1],
                lambda a: a.transpose(1, 2, 0),
                lambda a: np.repeat(a, 2, axis=1)[:, ::2],
                lambda a: np.broadcast_to(a[:1], (3, *a.shape[1:])),
            ]
        )
    )(array)
    if draw(st.booleans()):
        array = array.copy(order="K")
        array.flags.writeable = False
    return array


@settings(max_examples=60, deadline=None)
@given(odd_arrays())
def test_any_array_works_and_stays_as_it_is(array: np.ndarray) -> None:
    before = array.copy()
    image = unet_vol.reorient((array, np.diag([-1.0, 1.0, 2.0, 1.0])), "RAS")
    np.testing.assert_array_equal(image.array, array[::-1].astype(np.float32))
    same = unet_vol.resample((array, np.eye(4)), shape=array.shape)
    np.testing.assert_allclose(same.array, array.astype(np.float32), rtol=1e-6)
    found = unet_vol.connected_components(array, 6)
    theirs = cc3d.connected_components(np.ascontiguousarray(array.astype(np.uint16)), connectivity=6)
    assert found.count == theirs.max()
    assert len(np.unique(np.stack([found.labels, theirs]).reshape(2, -1), axis=1).T) == len(np.unique(theirs))
    filled = unet_vol.fill_holes(array > 0)
    np.testing.assert_array_equal(filled, ndimage.binary_fill_holes(array > 0))
    np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("connectivity", [6, 18, 26])
@pytest.mark.parametrize("order", ["C", "F"])
def test_components_are_those_of_cc3d(rng: np.random.Generator, connectivity: Any, order: Any) -> None:
    labels = np.array(rng.integers(0, 3, (17, 23, 19)), dtype=np.uint8, order=order)
    found = unet_vol.connected_components(labels, connectivity)
    theirs, count = cc3d.connected_components(labels, connectivity=connectivity, return_N=True)
    assert found.count == count and found.voxels.sum() == (labels > 0).sum()
    pairs = np.unique(np.stack([found.labels, theirs]).reshape(2, -1), axis=1)
    assert pairs.shape[1] == count + 1
    # Numbers follow the first voxel, i fastest.
    first = [np.flatnonzero(found.labels.ravel(order="F") == n)[0] for n in range(1, min(count, 20) + 1)]
    assert first == sorted(first)
    largest = unet_vol.largest_component(labels, connectivity)
    assert largest.dtype == labels.dtype
    for label in (1, 2):
        size = max(found.voxels[found.ids == label])
        assert (largest == label).sum() == size
    objects = unet_vol.instances(labels, connectivity, order="size", spacing=(1, 2, 3)).objects
    assert [o.voxels for o in objects] == sorted((o.voxels for o in objects), reverse=True)
    where = np.argwhere(unet_vol.instances(labels, connectivity, order="size").labels == 1)
    np.testing.assert_allclose(objects[0].centroid_mm, where.mean(axis=0) * [1, 2, 3])


def test_linear_resampling_is_that_of_simpleitk(rng: np.random.Generator) -> None:
    source = unet_vol.Image(rng.normal(size=(12, 13, 14)), oblique())
    new = oblique()
    new[:3, :3] = new[:3, :3] @ np.diag([1.3, 0.7, 0.9])
    new[:3, 3] += [-3.0, 2.0, 4.0]
    target = unet_vol.Image(np.zeros((7, 8, 9)), new)
    ours = unet_vol.resample(source, like=target)
    theirs = sitk.Resample(source.to_sitk(), target.to_sitk(), sitk.Transform(), sitk.sitkLinear, 1e9)
    theirs = sitk.GetArrayFromImage(theirs).transpose()
    inside = theirs < 1e8
    assert inside.sum() > 100
    np.testing.assert_allclose(ours.array[inside], theirs[inside], atol=2e-5)


def test_cubic_zoom_is_that_of_scipy(rng: np.random.Generator) -> None:
    array = rng.normal(size=(9, 10, 11)).astype(np.float32)
    ours = unet_vol.resample((array, np.eye(4)), shape=(18, 7, 11), method="cubic", border="mirror")
    where = np.meshgrid(*[(np.arange(m) + 0.5) * n / m - 0.5 for n, m in zip(array.shape, (18, 7, 11))], indexing="ij")
    theirs = ndimage.map_coordinates(array, where, order=3, mode="mirror")
    np.testing.assert_allclose(ours.array, theirs, atol=1e-4)


def test_labels_are_never_interpolated(rng: np.random.Generator) -> None:
    labels = unet_vol.Image(rng.integers(0, 50, (6, 7, 8)) * 1000, np.eye(4), table=[])
    fine = unet_vol.resample(labels, spacing=(0.5, 0.7, 1.3), method="cubic")
    assert fine.array.dtype == np.uint16 and fine.table is not None
    assert set(np.unique(fine.array)) <= set(np.unique(labels.array))


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan, -1, 0.5])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_what_is_no_label_is_refused(odd: float, dtype: type) -> None:
    labels = np.zeros((3, 3, 3), dtype)
    labels[1, 1, 1] = odd
    with pytest.raises(unet_vol.UnsupportedError):
        unet_vol.dice(labels, labels)


def test_normalization_follows_its_formulas(rng: np.random.Generator) -> None:
    array = rng.normal(3.0, 2.0, (8, 9, 10))
    out = unet_vol.normalize(array)
    np.testing.assert_allclose(out, (array - array.mean()) / array.std(), atol=1e-5)
    windowed = unet_vol.normalize(array, {"kind": "window", "center": 3.0, "width": 4.0})
    np.testing.assert_allclose(windowed, np.clip((array - 1.0) / 4.0, 0.0, 1.0), atol=1e-6)
    array[0, 0, 0] = np.nan
    with pytest.warns(UserWarning):
        assert np.isfinite(unet_vol.normalize(array, "min-max")).all()
    with pytest.raises(ValueError):
        unet_vol.normalize(array, "min-max", non_finite="refuse")
    with pytest.raises(unet_vol.UsageError):
        unet_vol.normalize(array, "no-such-step")


def test_overlap_and_distances(rng: np.random.Generator) -> None:
    surface = pytest.importorskip("surface_distance")
    grid = np.indices((30, 28, 26))
    a = ((grid - 13) ** 2).sum(axis=0) < 90
    b = ((grid - np.array([14, 15, 13]).reshape(3, 1, 1, 1)) ** 2).sum(axis=0) < 80
    spacing = (1.0, 0.8, 2.0)
    assert unet_vol.dice(a, b) == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()), abs=1e-12)
    theirs = surface.compute_surface_distances(b, a, spacing)
    ours = unet_vol.surface_dice(a, b, spacing, tolerance_mm=1.5, surface="sub-voxel")
    assert ours == pytest.approx(surface.compute_surface_dice_at_tolerance(theirs, 1.5), abs=1e-9)

    def directed(p: np.ndarray, r: np.ndarray) -> float:
        edge = p & ~ndimage.binary_erosion(p)
        other = ~(r & ~ndimage.binary_erosion(r))
        return float(np.percentile(ndimage.distance_transform_edt(other, sampling=spacing)[edge], 95))

    assert unet_vol.hd95(a, b, spacing) == pytest.approx(max(directed(a, b), directed(b, a)), abs=1e-6)
    labels = a.astype(np.int32) * 5
    assert unet_vol.dice(labels, labels, label=5) == 1.0
    assert math.isnan(unet_vol.dice(labels, labels, label=6))
    report = unet_vol.evaluate((labels, np.eye(4)), (b * 5, np.eye(4)))
    assert report.labels[0].scores.dice == pytest.approx(unet_vol.dice(a, b))
    assert report.to_dicts()[0]["id"] == 5
    with pytest.raises(unet_vol.UsageError, match="grids"):
        unet_vol.evaluate((labels, np.eye(4)), (labels[1:], np.eye(4)))


def test_shapes_that_differ_are_named_as_they_are() -> None:
    with pytest.raises(unet_vol.UsageError, match="2 x 2 x 2 and 3 x 2 x 2"):
        unet_vol.dice(np.zeros((2, 2, 2)), np.zeros((3, 2, 2)))


def test_tiles_give_back_what_goes_in(rng: np.random.Generator) -> None:
    volume = rng.normal(size=(21, 18, 25)).astype(np.float32)
    for options in (
        {"patch": (8, 9, 10)},
        {"patch": (8, 8, 8), "importance": "monai", "starts": "monai", "overlap": 0.25, "batch": 4},
        {"patch": (32, 9, 10), "padding": "reflect"},
        {"method": "whole"},
        {"patch": (12, 12, 12), "method": "overlap-tile", "halo": 2, "padding": "edge"},
    ):
        seen = []
        out = unet_vol.tiled(
            lambda x: (seen.append(x.shape), np.concatenate([x, 2 * x], axis=1))[1], volume, **options
        )
        assert out.shape == (2, *volume.shape)
        np.testing.assert_allclose(out[0], volume, atol=1e-5)
        np.testing.assert_allclose(out[1], 2 * volume, atol=1e-5)
        assert all(shape[1] == 1 for shape in seen)
    layout = unet_vol.tiles(volume.shape, (8, 9, 10))
    parts = (np.concatenate([layout.gather(volume, n), -layout.gather(volume, n)], axis=1) for n in range(len(layout)))
    np.testing.assert_allclose(unet_vol.stitch(layout, parts)[1], -volume, atol=1e-5)
    assert layout[0].write_start == (0, 0, 0) and layout[-1].write_end == volume.shape
    assert len(list(layout)) == len(layout)


def test_a_predictor_sees_the_axes_it_asks_for(rng: np.random.Generator) -> None:
    volume = rng.normal(size=(6, 7, 8)).astype(np.float32)
    shapes = []

    def predictor(x: np.ndarray) -> np.ndarray:
        shapes.append(x.shape)
        return x * np.arange(x.shape[-1], dtype=np.float32)

    kji = unet_vol.tiled(predictor, volume, method="whole")
    ijk = unet_vol.tiled(predictor, volume, method="whole", axis_order="ijk")
    assert shapes == [(1, 1, 8, 7, 6), (1, 1, 6, 7, 8)]
    np.testing.assert_allclose(kji[0], volume * np.arange(6)[:, None, None], rtol=1e-6)
    np.testing.assert_allclose(ijk[0], volume * np.arange(8), rtol=1e-6)
    with pytest.raises(unet_vol.UsageError, match="shape"):
        unet_vol.tiled(lambda x: x[..., :-1], volume, method="whole")
    with pytest.raises(ZeroDivisionError):
        unet_vol.tiled(lambda x: 1 / 0, volume, method="whole")
