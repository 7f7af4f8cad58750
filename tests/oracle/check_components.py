"""Components, largest component, holes and scores of random volumes beside cc3d, SciPy and surface-distance.

The Rust tests `files_for_the_oracle` write volumes and what this program finds in them into a folder; here the same is
computed by the others. Every label must be equal, number for number, and scores to 1e-9.
Needs numpy, scipy, connected-components-3d; surface-distance where it can be imported.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import cc3d
import numpy as np
from scipy import ndimage

ROOT = pathlib.Path(__file__).resolve().parents[2]


def read(path, shape):
    return np.fromfile(path, np.uint32).reshape(shape, order="F")


def check_components(folder):
    compared = 0
    for path in sorted(folder.glob("*_ids")):
        name = path.name.removesuffix("_ids")
        shape = tuple(map(int, name.split("_")[1:4]))
        ids = read(path, shape)
        for rank, connectivity in enumerate((6, 18, 26), 1):
            ours = read(folder / f"{name}_components{connectivity}", shape)
            theirs = cc3d.connected_components(ids, connectivity=connectivity, out_dtype=np.uint32)
            assert np.array_equal(ours, theirs), (name, connectivity, "cc3d")
            if ids.max() == 1:
                labels, _ = ndimage.label(ids.T, ndimage.generate_binary_structure(3, rank))
                assert np.array_equal(ours, labels.T), (name, connectivity, "scipy")
            compared += 1
        mask = ids > 0
        filled = ndimage.binary_fill_holes(mask, ndimage.generate_binary_structure(3, 1))
        assert np.array_equal(read(folder / f"{name}_filled", shape) > 0, filled), (name, "holes")
        labels, _ = ndimage.label(mask.T, ndimage.generate_binary_structure(3, 3))
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        largest = labels.T == np.argmax(sizes)
        assert np.array_equal(read(folder / f"{name}_largest", shape) > 0, largest & mask), (name, "largest")
    assert compared == 90, compared
    print(f"{compared} labelings equal cc3d's and SciPy's, 30 fillings and largest components SciPy's")


def surface(mask):
    return mask ^ ndimage.binary_erosion(mask, ndimage.generate_binary_structure(3, 1))


def near(ours, theirs, what):
    assert abs(ours - theirs) <= 1e-9 * max(1.0, abs(theirs)), (what, ours, theirs)


def check_scores(folder):
    try:
        import surface_distance
    except ImportError:
        surface_distance = None
        print("surface-distance is not installed: its surface Dice is not compared")
    compared = 0
    for path in sorted(folder.glob("*_scores.json")):
        case = json.loads(path.read_text())
        shape, spacing, tolerance = case["shape"], case["spacing"], case["tolerance_mm"]
        name = path.name.removesuffix("_scores.json")
        maps = [read(folder / f"{name}_{part}", shape) for part in ("prediction", "reference")]
        for voxel, sub_voxel in zip(case["voxel"], case["sub_voxel"], strict=True):
            a, b = (ids == voxel["id"] for ids in maps)
            near(voxel["dice"], 2 * (a & b).sum() / (a.sum() + b.sum()), "dice")
            if voxel["reason"]:
                assert not a.any() or not b.any()
                continue
            of_a, of_b = surface(a), surface(b)
            there = ndimage.distance_transform_edt(~of_b, sampling=spacing)[of_a]
            back = ndimage.distance_transform_edt(~of_a, sampling=spacing)[of_b]
            both = np.hstack([there, back])
            near(voxel["hd_mm"], both.max(), "hd")
            near(voxel["hd95_mm"], max(np.percentile(there, 95), np.percentile(back, 95)), "hd95 max_directed")
            near(sub_voxel["hd95_mm"], np.percentile(both, 95), "hd95 pooled")
            near(voxel["mean_surface_distance_mm"], both.mean(), "mean")
            near(voxel["surface_dice"], (both <= tolerance).mean(), "surface dice")
            if surface_distance:
                found = surface_distance.compute_surface_distances(a, b, spacing)
                dice = surface_distance.compute_surface_dice_at_tolerance(found, tolerance)
                near(sub_voxel["surface_dice"], dice, "sub-voxel surface dice")
            compared += 1
    assert compared >= 20, compared
    print(f"{compared} pairs of masks have SciPy's scores")


def main():
    with tempfile.TemporaryDirectory() as folder:
        command = ["cargo", "test", "--test", "it", *sys.argv[1:], "files_for_the_oracle"]
        subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, "UNET_VOL_ORACLE": folder})
        check_components(pathlib.Path(folder))
        check_scores(pathlib.Path(folder))


if __name__ == "__main__":
    main()
