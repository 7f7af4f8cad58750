"""A 3-D U-Net without padding: every score is made of real voxels of the patch alone.

Tensors are [N, C, Z, Y, X] (the memory of a NIfTI volume). A patch of n voxels along an axis gives n - 2 * HALO scores,
those of its middle; n - 2 * HALO must be a multiple of FACTOR. Two patches whose distance is a multiple of FACTOR agree
exactly where they overlap, as there is neither padding nor a normalisation layer. At the border of a volume the context
is its mirror image, as in Ronneberger et al. 2015.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FACTOR = 4
HALO = 19
"""1 + 2 * 2 + 4 * 2 going down and below, 2 * 2 + 2 going up: voxels that a side of the patch loses."""


@dataclass(frozen=True)
class ValidConfig:
    """nclass: background, anterior, posterior. widths: channels at 1, 2, 4 mm."""

    nclass: int = 3
    widths: tuple[int, ...] = (16, 32, 96)

    def to_dict(self) -> dict:
        return asdict(self)

    @staticmethod
    def from_dict(d: dict) -> ValidConfig:
        return ValidConfig(int(d["nclass"]), tuple(d["widths"]))


class ValidConv(nn.Module):
    """3x3x3 convolution without padding, then ReLU: [N, ci, X, Y, Z] -> [N, co, X - 2, Y - 2, Z - 2]."""

    def __init__(self, ci: int, co: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(ci, co, 3)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        nn.init.zeros_(self.conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x), inplace=True)


class ValidUNet(nn.Module):
    """[N, 1, X, Y, Z], percentiles 0.5 and 99.5 clipped, mean 0 and deviation 1 -> logits of the voxels HALO inside."""

    def __init__(self, config: ValidConfig) -> None:
        super().__init__()
        self.config = config
        w0, w1, w2 = config.widths
        self.down = nn.ModuleList(
            [
                nn.Sequential(ValidConv(1, w0)),
                nn.Sequential(ValidConv(w0, w1), ValidConv(w1, w1)),
                nn.Sequential(ValidConv(w1, w2), ValidConv(w2, w2)),
            ]
        )
        self.proj = nn.ModuleList([nn.Conv3d(w1, w0, 1), nn.Conv3d(w2, w1, 1)])
        self.dec = nn.ModuleList([nn.Sequential(ValidConv(w, w), ValidConv(w, w)) for w in (w0, w1)])
        self.head = nn.Conv3d(w0, config.nclass, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for i, block in enumerate(self.down):
            x = block(F.max_pool3d(x, 2) if i else x)
            skips.append(x)
        for i in (1, 0):
            x = F.interpolate(self.proj[i](x), scale_factor=2.0, mode="nearest")
            x = self.dec[i](x + middle(skips[i], x.shape[2:]))
        return self.head(x)


def middle(x: Tensor, shape: torch.Size) -> Tensor:
    """The middle of [N, C, ...] of the given spatial shape."""
    cut = [(n - m) // 2 for n, m in zip(x.shape[2:], shape)]
    return x[:, :, cut[0] : cut[0] + shape[0], cut[1] : cut[1] + shape[1], cut[2] : cut[2] + shape[2]]
