"""A PyTorch U-Net of one's own through `tiled`; skipped (exit code 77) where PyTorch is not installed."""

import sys

import numpy as np

import unet_vol

try:
    import torch
except ImportError:
    print("PyTorch is not installed")
    sys.exit(77)


class UNet(torch.nn.Module):
    """Two levels; a stand-in for yours."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.down = torch.nn.Conv3d(1, 8, 3, padding=1)
        self.deep = torch.nn.Conv3d(8, 8, 3, padding=1)
        self.head = torch.nn.Conv3d(16, classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skip = torch.relu(self.down(x))
        deep = torch.relu(self.deep(torch.nn.functional.max_pool3d(skip, 2)))
        deep = torch.nn.functional.interpolate(deep, scale_factor=2)
        return self.head(torch.cat([skip, deep], dim=1))


device = "cuda" if torch.cuda.is_available() else "cpu"
network = UNet(classes=3).to(device).eval()


@torch.inference_mode()
def predictor(patches: np.ndarray) -> torch.Tensor:
    """[N, C, k, j, i] -> [N, classes, k, j, i]; the tensor may stay on its device."""
    return network(torch.from_numpy(patches).to(device))


volume = np.random.default_rng(0).normal(size=(70, 60, 50)).astype(np.float32)
scores = unet_vol.tiled(predictor, volume, patch=(32, 32, 32), multiple=2)
print(scores.shape, np.bincount(scores.argmax(axis=0).ravel(), minlength=3))
assert scores.shape == (3, 70, 60, 50)
