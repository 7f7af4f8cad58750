"""Edges decided with the scan's intensities, beside the formula in NumPy and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage, stats

import unet_vol

IDS = np.array([0, 10, 20, 30])
SPEC = {
    "schema": 1,
    "name": "edges",
    "grid": {"spacing_mm": [2, 2, 2], "rule": "half-pixel"},
    "labels": [{"class": c, "id": int(i), "name": f"class {c}"} for c, i in enumerate(IDS) if c],
    "mirror": {"swap": [[1, 2]]},
    "output": {"edges": {"weight": 0.8, "reach_mm": 1.0}},
}
SHAPE = (36, 28, 24)
"""Voxels of the scan, of 1 mm, twice as many as those of the network's grid."""


def _scores(rng: np.random.Generator) -> np.ndarray:
    """Logits [class, i, j, k] on the network's grid that vary smoothly."""
    half = tuple(n // 2 for n in SHAPE)
    return np.stack([20 * ndimage.gaussian_filter(rng.normal(size=half), 2.5) for _ in IDS]).astype(np.float32)


def _interpolated(scores: np.ndarray) -> np.ndarray:
    """Logits at the scan's voxels."""
    at = np.meshgrid(*[(np.arange(n) + 0.5) / 2 - 0.5 for n in SHAPE], indexing="ij")
    return np.stack([ndimage.map_coordinates(s, at, order=1, mode="nearest") for s in scores])


def _expected(image: np.ndarray, logits: np.ndarray) -> np.ndarray:
    before = logits.argmax(0)
    edge = ndimage.maximum_filter(before, 3, mode="nearest") != ndimage.minimum_filter(before, 3, mode="nearest")
    alike = np.array([0, 1, 1, 3])[before]
    looks = {}
    for c in (0, 1, 3):
        inside = image[(alike == c) & ~edge]
        values = inside if len(inside) >= 30 else image[alike == c]
        looks[c] = (np.quantile(values, 0.5, method="inverted_cdf"), 1.4826 * stats.median_abs_deviation(values))
    least = 0.5 * np.quantile([looks[1][1], looks[3][1]], 0.5, method="inverted_cdf")
    middle, spread = (np.array([looks[c][n] for c in (0, 1, 1, 3)]) for n in (0, 1))
    spread = np.maximum(spread, least)
    near = np.stack([ndimage.maximum_filter(before == c, 3, mode="nearest") for c in range(4)])
    shared = np.sqrt((near * spread[:, None, None, None] ** 2).sum(0) / near.sum(0))
    distance = (image - middle[:, None, None, None]) / shared
    density = stats.t(3).logpdf(distance)
    best = np.where(near, logits + 0.8 * density, -np.inf).argmax(0)
    return IDS[np.where(edge, best, before)]


@pytest.mark.parametrize("seed", range(4))
def test_edges_are_those_of_the_formula(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = _scores(rng)
    logits = _interpolated(scores)
    classes = np.stack([ndimage.shift(s, 0.7, order=1, mode="nearest") for s in logits]).argmax(0)
    image = (np.array([1.0, 3.0, 3.0, 5.0])[classes] + rng.normal(0, 0.4, SHAPE)).astype(np.float32)

    def predictor(patches: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(scores.transpose(0, 3, 2, 1))[None]

    run = (unet_vol.Pipeline.from_predictor(predictor, SPEC, edges=edges)((image, np.eye(4))) for edges in (True, False))
    labels, plain = (result.labels for result in run)
    expected = _expected(image.astype(np.float64), logits.astype(np.float64))
    assert (plain == IDS[logits.argmax(0)]).mean() > 0.9999
    assert (labels != plain).mean() > 0.01
    # Two scores may be equal to rounding.
    assert (labels != expected).mean() < 1e-4
