"""The 3-D U-Net: an image on the 2 mm grid in, 33 logits per voxel out.

Tensors are [N, C, X, Y, Z] with X to the right, Y to the front and Z up; X, Y, Z are multiples of 16. Level 0 (2 mm)
is kept thin, because convolutions and element-wise passes cost most there: one 3x3x3 convolution going down, one going
up. Levels 1 to 4 (4, 8, 16, 32 mm) are cheap and carry the capacity. Going up: 1x1x1 convolution, nearest neighbour
x2, added to the skip. There is no normalisation layer, so the same voxels give the same logits in every tile.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FACTOR = 16
"""Spatial sizes must be multiples of this."""


@dataclass(frozen=True)
class Config:
    """The shape of a network.

    widths: channels at 2, 4, 8, 16, 32 mm.
    top: channels of the last convolution, which the 33 logits are a linear function of.
    decoder: number of convolutions after the skip at 2, 4, 8, 16 mm.
    """

    nclass: int = 33
    widths: tuple[int, ...] = (16, 32, 64, 96, 128)
    top: int = 16
    decoder: tuple[int, ...] = (1, 1, 1, 1)

    def to_dict(self) -> dict:
        return asdict(self)

    @staticmethod
    def from_dict(d: dict) -> Config:
        return Config(int(d["nclass"]), tuple(d["widths"]), int(d["top"]), tuple(d["decoder"]))


class Conv(nn.Module):
    """3x3x3 convolution with bias, then ReLU; [N, ci, X, Y, Z] -> [N, co, X, Y, Z]."""

    def __init__(self, ci: int, co: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(ci, co, 3, padding=1)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        nn.init.zeros_(self.conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x), inplace=True)


class Up(nn.Module):
    """Projects [N, ci, X, Y, Z] to co channels, doubles X, Y, Z and adds the skip [N, co, 2X, 2Y, 2Z]."""

    def __init__(self, ci: int, co: int) -> None:
        super().__init__()
        self.proj = nn.Conv3d(ci, co, 1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return F.interpolate(self.proj(x), scale_factor=2.0, mode="nearest") + skip


class UNet(nn.Module):
    """[N, 1, X, Y, Z] in 0..1 -> logits [N, nclass, X, Y, Z]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        w = config.widths
        self.down = nn.ModuleList(
            [nn.Sequential(Conv(1, w[0]))]
            + [nn.Sequential(Conv(w[i - 1], w[i]), Conv(w[i], w[i])) for i in (1, 2, 3)]
            + [nn.Sequential(Conv(w[3], w[4]))]
        )
        self.up = nn.ModuleList([Up(w[i + 1], w[i]) for i in range(4)])
        self.dec = nn.ModuleList(
            [
                nn.Sequential(*[Conv(w[i] if k == 0 else o, o) for k in range(n)])
                for i, (n, o) in enumerate(zip(config.decoder, (config.top, *w[1:4])))
            ]
        )
        self.head = nn.Conv3d(config.top, config.nclass, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for i, block in enumerate(self.down):
            x = block(F.max_pool3d(x, 2) if i else x)
            skips.append(x)
        for i in (3, 2, 1, 0):
            x = self.dec[i](self.up[i](x, skips[i]))
        return self.head(x)


def cost(net: UNet) -> tuple[float, int]:
    """(multiply-accumulates per input voxel, number of parameters); convolutions only."""
    macs = 0.0
    edge = 2 * FACTOR

    def hook(m: nn.Module, _inputs: tuple, out: Tensor) -> None:
        nonlocal macs
        macs += out[0, 0].numel() * m.weight.numel()

    hooks = [m.register_forward_hook(hook) for m in net.modules() if isinstance(m, nn.Conv3d)]
    with torch.no_grad():
        net(torch.zeros(1, 1, edge, edge, edge))
    for h in hooks:
        h.remove()
    return macs / edge**3, sum(p.numel() for p in net.parameters())


def _grow_(new: Tensor, old: Tensor) -> None:
    """Writes the weights [o, i, ...] of a smaller convolution into a larger one, in place. Channels that are new at the
    output keep their random weights, channels that are new at the input are not listened to yet."""
    o, i = old.shape[:2]
    new[:o, i:] = 0
    new[:o, :i] = old


def widen(small: UNet, config: Config) -> UNet:
    """A larger network that computes exactly the same function (up to rounding).

    New channels start with random incoming and zero outgoing weights, so they receive a gradient at once. Added decoder
    convolutions start as the identity, which ReLU leaves alone because their input is never negative.
    """
    old, net = small.config, UNet(config)
    if old.nclass != config.nclass or any(a > b for a, b in zip(old.widths, config.widths)) or old.top > config.top:
        raise ValueError(f"{config} is not a widening of {old}")
    if any(a > b for a, b in zip(old.decoder, config.decoder)):
        raise ValueError(f"{config} is shallower than {old}")
    src = dict(small.named_parameters())
    with torch.no_grad():
        for name, p in net.named_parameters():
            if name in src:
                q = src[name]
                if p.ndim > 1:
                    _grow_(p, q)
                else:
                    p[: len(q)] = q
            elif p.ndim > 1:  # an added decoder convolution
                nn.init.dirac_(p)
            else:
                nn.init.zeros_(p)
    return net
