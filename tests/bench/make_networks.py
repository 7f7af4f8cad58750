"""Writes the networks that `engine_vs_peers.py` times: common U-Nets with random weights, as PyTorch exports them.

    python tests/bench/make_networks.py FOLDER

Needs torch and onnx.
"""

import sys
from pathlib import Path

import torch
from torch import nn


def block(axes, inputs, outputs, norm, activation, stride, padding):
    """Two convolutions."""
    convolution = nn.Conv3d if axes == 3 else nn.Conv2d
    layers = []
    for first in (True, False):
        layers.append(convolution(inputs if first else outputs, outputs, 3, stride if first else 1, padding))
        layers += [norm(outputs)] if norm else []
        layers.append(activation())
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Skips by concatenation; steps down by pooling or by strides; unpadded convolutions crop the skips (2015)."""

    def __init__(self, axes, channels, norm, activation, classes, pool=True, padding=1):
        super().__init__()
        self.padding, self.pool = padding, (nn.MaxPool3d if axes == 3 else nn.MaxPool2d)(2) if pool else None
        convolution, transposed = (nn.Conv3d, nn.ConvTranspose3d) if axes == 3 else (nn.Conv2d, nn.ConvTranspose2d)
        shared = (norm, activation)
        steps = list(zip([1, *channels], channels, [1] + [1 if pool else 2] * (len(channels) - 1)))
        self.down = nn.ModuleList(block(axes, a, b, *shared, stride, padding) for a, b, stride in steps)
        pairs = list(zip(channels[1:], channels))[::-1]
        self.up = nn.ModuleList(transposed(deep, c, 2, 2) for deep, c in pairs)
        self.merge = nn.ModuleList(block(axes, 2 * c, c, *shared, 1, padding) for _, c in pairs)
        self.head = convolution(channels[0], classes, 1)

    def forward(self, x):
        skips = []
        for level, layer in enumerate(self.down):
            x = layer(self.pool(x) if level and self.pool else x)
            skips.append(x)
        skips.pop()
        for up, merge in zip(self.up, self.merge):
            x, skip = up(x), skips.pop()
            if self.padding == 0:
                edge = (skip.shape[2] - x.shape[2]) // 2
                skip = skip[:, :, edge : edge + x.shape[2], edge : edge + x.shape[3]]
            x = merge(torch.cat([skip, x], 1))
        return self.head(x)


def main():
    folder = Path(sys.argv[1])
    torch.manual_seed(0)
    instance, leaky = lambda c: nn.InstanceNorm3d(c, affine=True), lambda: nn.LeakyReLU(0.01)
    networks = {
        "unet3d_batchnorm": (UNet(3, [16, 32, 64, 128], nn.BatchNorm3d, nn.ReLU, 4), (1, 1, 32, 32, 32)),
        "nnunet3d": (UNet(3, [32, 64, 128, 256, 320, 320], instance, leaky, 14, pool=False), (1, 1, 64, 64, 64)),
        "unet2015": (UNet(2, [64, 128, 256, 512, 1024], None, nn.ReLU, 2, padding=0), (1, 1, 572, 572)),
        "unet2d": (UNet(2, [32, 64, 128, 256, 512], nn.BatchNorm2d, nn.ReLU, 4), (1, 1, 64, 64)),
    }
    for name, (network, shape) in networks.items():
        free = {0: "n"} if name == "unet2015" else {axis: f"a{axis}" for axis in range(len(shape)) if axis != 1}
        torch.onnx.export(
            network.eval(),
            torch.zeros(shape),
            str(folder / f"{name}.onnx"),
            opset_version=17,
            dynamo=False,
            input_names=["x"],
            output_names=["y"],
            dynamic_axes={"x": free, "y": free},
        )


if __name__ == "__main__":
    main()
