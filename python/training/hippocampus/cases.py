"""The cases of the Decathlon's Task04, who is trained on and who is held back, and what is made of a case for training."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from generate import Sample
from hippocampus.network import FACTOR, HALO

WINDOW = (36, 52, 36)
"""Voxels (z, y, x) whose labels a training sample has: about a whole case."""


def names(data: Path, held_back: bool) -> list[str]:
    """File names in alphabetical order; every third one is held back and never trained on."""
    every = sorted(p.name for p in (data / "images").glob("*.nii.gz"))
    if not every:
        raise FileNotFoundError(f"{data}/images holds no *.nii.gz")
    return [n for i, n in enumerate(every) if (i % 3 == 2) == held_back]


def normalised(volume: np.ndarray) -> np.ndarray:
    """Percentiles 0.5 and 99.5 clipped, then mean 0 and standard deviation 1: what the model description says."""
    low, high = np.percentile(volume, [0.5, 99.5])
    x = np.clip(volume, low, high)
    return ((x - x.mean()) / max(float(x.std()), 1e-8)).astype(np.float32)


def load_case(data: Path, name: str) -> tuple[Tensor, Tensor]:
    """(image float32 [Z, Y, X] normalised, labels uint8 [Z, Y, X])."""
    import nibabel as nib

    image = np.asarray(nib.load(data / "images" / name).dataobj, np.float32)
    label = np.asarray(nib.load(data / "labels" / name).dataobj).round().astype(np.uint8)
    return torch.from_numpy(normalised(image).T.copy()), torch.from_numpy(label.T.copy())


def random_field(shape: list[int], nodes_mm: float, sd: float, channels: int, g: torch.Generator) -> Tensor:
    """Smooth field [channels, *shape]: normal numbers at nodes every `nodes_mm` voxels, interpolated linearly."""
    coarse = [max(2, round(n / nodes_mm) + 1) for n in shape]
    values = torch.randn(1, channels, *coarse, generator=g) * sd
    return F.interpolate(values, shape, mode="trilinear", align_corners=True)[0]


def rotation(angles: Tensor) -> Tensor:
    """[3, 3] from three angles in radians, one about each axis in turn."""
    m = torch.eye(3)
    for axis in range(3):
        a, b = (i for i in range(3) if i != axis)
        c, s = math.cos(float(angles[axis])), math.sin(float(angles[axis]))
        r = torch.eye(3)
        r[a, a], r[b, b], r[a, b], r[b, a] = c, c, -s, s
        m = m @ r
    return m


class Augment:
    """Sample number i of the training set, a function of i alone: a case, deformed, mirrored, and with other grey values.
    Beyond the case's border lies its mirror image, which is what the pipeline gives the network there."""

    def __init__(self, data: Path, window: tuple[int, int, int] = WINDOW) -> None:
        if any(n % FACTOR for n in window):
            raise ValueError(f"{window} is not a multiple of {FACTOR} voxels")
        self.cases = [load_case(data, n) for n in names(data, held_back=False)]
        self.window = window

    def sample(self, i: int) -> Sample:
        """image float32 [1, Z + 2 HALO, ...]; first, second, share [Z, Y, X]: the two likeliest labels of a voxel."""
        g = torch.Generator().manual_seed(i)
        image, label = self.cases[int(torch.randint(len(self.cases), (1,), generator=g))]
        grid = self._places(torch.tensor(image.shape, dtype=torch.float32), g)
        x = F.grid_sample(image[None, None], grid[None], mode="bilinear", padding_mode="reflection", align_corners=True)
        inner = grid[HALO:-HALO, HALO:-HALO, HALO:-HALO]
        hot = torch.stack([(label == c).float() for c in range(3)])
        shares = F.grid_sample(hot[None], inner[None], mode="bilinear", padding_mode="reflection", align_corners=True)
        top, order = shares[0].topk(2, dim=0)
        share = top[0] / (top[0] + top[1])
        return Sample(grey_values(x[0, 0], g), order[0].to(torch.uint8), order[1].to(torch.uint8), share)

    def _places(self, shape: Tensor, g: torch.Generator) -> Tensor:
        """Where each voxel of the patch comes from: [Z, Y, X, 3] in grid_sample's coordinates (x, y, z in -1..1)."""
        patch = [n + 2 * HALO for n in self.window]
        axes = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in patch]
        p = torch.stack(torch.meshgrid(*axes, indexing="ij"))
        if torch.rand((), generator=g) < 0.85:
            m = rotation(torch.randn(3, generator=g) * 0.15)
            size = math.exp(0.12 * float(torch.randn((), generator=g)))
            m = m @ torch.diag(size * torch.exp(0.06 * torch.randn(3, generator=g)))
            p = torch.einsum("ab,bzyx->azyx", m, p)
        if torch.rand((), generator=g) < 0.6:
            p = p + random_field(patch, 12.0, 1.5 * float(torch.rand((), generator=g)), 3, g)
        if torch.rand((), generator=g) < 0.5:
            p[2] = -p[2]
        room = (shape - torch.tensor(self.window)).clamp_min(0) / 2 + 2
        centre = (shape - 1) / 2 + room * (2 * torch.rand(3, generator=g) - 1)
        p = (p + centre[:, None, None, None]) / ((shape - 1) / 2)[:, None, None, None] - 1
        return p.flip(0).permute(1, 2, 3, 0)


def grey_values(x: Tensor, g: torch.Generator) -> Tensor:
    """Another scanner: coarser slices, bias field, gamma, contrast, brightness, noise."""

    def chance(p: float) -> bool:
        return bool(torch.rand((), generator=g) < p)

    def between(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=g))

    if chance(0.2):
        shape = list(x.shape)
        coarse = [max(8, round(n / between(1.0, 2.0))) for n in shape]
        small = F.interpolate(x[None, None], coarse, mode="area")
        x = F.interpolate(small, shape, mode="trilinear", align_corners=False)[0, 0]
    if chance(0.4):
        x = x + random_field(list(x.shape), 30.0, between(0, 0.3), 1, g)[0]
    if chance(0.4):
        low, high = x.min(), x.max()
        unit = (x - low) / (high - low).clamp_min(1e-6)
        bent = unit ** math.exp(between(-0.45, 0.45))
        x = (bent - bent.mean()) / bent.std().clamp_min(1e-6) * x.std() + x.mean()
    if chance(0.5):
        x = x * between(0.8, 1.25) + between(-0.2, 0.2)
    if chance(0.3):
        x = x + torch.randn(x.shape, generator=g) * between(0, 0.25)
    return x.contiguous()
