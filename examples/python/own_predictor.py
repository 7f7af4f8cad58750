"""Any function as the network: first on patches alone, then with grid, intensities and labels around it."""

import numpy as np

import unet_vol


def predictor(patches):
    """float32 [N, C, k, j, i] -> scores [N, classes, k, j, i]: background 0.5, bright as bright as it is."""
    return np.concatenate([np.full_like(patches, 0.5), patches], axis=1)


# %% A volume with a bright ball
index = np.indices((60, 70, 50)) - np.array([30, 35, 20]).reshape(3, 1, 1, 1)
volume = np.exp(-(index**2).sum(axis=0) / 200.0).astype(np.float32)

# %% Tiles alone: scores of the whole volume
scores = unet_vol.tiled(predictor, volume, patch=(32, 32, 32), overlap=0.5, batch=2)
labels = scores.argmax(axis=0)
print("tiled:", scores.shape, labels.sum(), "bright voxels")

# %% The whole way: the network wants 2 mm in RAS; labels come back on the study's own grid
spec = {
    "schema": 1,
    "name": "bright",
    "input": {"orientation": "RAS", "normalize": {"steps": [{"kind": "min-max"}]}},
    "grid": {"spacing_mm": [2, 2, 2]},
    "tiling": {"method": "sliding-window", "patch": [16, 16, 16]},
    "labels": [{"class": 1, "id": 7, "name": "bright"}],
    "postprocess": [{"keep_largest": {}}],
}
pipeline = unet_vol.Pipeline.from_predictor(predictor, spec)
segmentation = pipeline((volume, np.diag([-1.0, 1.0, 1.5, 1.0])))
print(segmentation, f"{segmentation.statistics[0].ml:.1f} ml")
print(f"agreement of the two: Dice {unet_vol.dice(segmentation.labels, labels):.3f}")
assert unet_vol.dice(segmentation.labels, labels) > 0.9
