"""What the tests share."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import unet_vol

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def head() -> Path:
    """The synthetic head of the repository."""
    return ROOT / "testdata" / "synthetic_head.nii.gz"


@pytest.fixture(scope="session")
def pipeline() -> unet_vol.Pipeline:
    """The brain model in the engine that is linked in."""
    return unet_vol.Pipeline.brain_mri(engine="embedded")


@pytest.fixture(scope="session")
def segmentation(pipeline: unet_vol.Pipeline, head: Path) -> unet_vol.Segmentation:
    """The head, segmented once."""
    return pipeline.segment(head)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def oblique() -> np.ndarray:
    """An affine with rotation, flips and uneven spacing."""
    turn = np.array([[0.96, -0.28, 0.0], [0.28, 0.96, 0.0], [0.0, 0.0, 1.0]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-0.9, 1.1, 2.0])
    affine[:3, 3] = [12.0, -40.5, 7.25]
    return affine


def shared() -> Path:
    """The folder of scans that are not part of the repository."""
    folder = os.environ.get("UNET_VOL_SHARED")
    if not folder:
        pytest.skip("UNET_VOL_SHARED names no folder of scans")
    return Path(folder) / "data"
