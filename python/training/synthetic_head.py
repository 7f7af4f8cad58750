"""A T1-like head synthesised from one label map: the head that ships in `testdata/`, no person's scan.

    python synthetic_head.py MAP.npy OUT_FOLDER

Writes `synthetic_head.nii.gz` (int16, 1.2 x 1.2 x 1.5 mm, stored L-P-S, 6 degrees oblique) and `synthetic_head_seg.nii.gz`
(FreeSurfer ids). Deterministic. The map is one of SynthSeg's as `generate.py prepare` writes it (256^3 at 1 mm, RAS, class
indices); the shipped head comes from map 19, which is held back from training.
"""

import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates, zoom

import labels

PRIORS = Path(__file__).parent / "priors"
SPACING_MM = np.array([1.2, 1.2, 1.5])
TILT_DEGREES = 6.0


def intensities(index: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """T1-like intensities of a map of class indices, blurred and with a bias field."""
    mean, std = (np.load(PRIORS / f"prior_{name}_t1.npy")[0] for name in ("means", "stds"))
    count = int(labels.TISSUE.max()) + 1
    rest = slice(1, count) if len(mean) >= count else slice(0, count - 1)
    mean, std = (np.concatenate([[0.0], values[rest]]) for values in (mean, std))
    noise = gaussian_filter(rng.standard_normal(index.shape), 0.5) * 1.3
    image = mean[labels.TISSUE][index] + std[labels.TISSUE][index] * noise
    image = gaussian_filter(image.astype(np.float32), 0.55)
    bias = zoom(rng.normal(0, 0.12, (4, 4, 4)), [n / 4 for n in index.shape], order=3)
    image *= np.exp(bias[: index.shape[0], : index.shape[1], : index.shape[2]])
    return image


def cropped(index: np.ndarray) -> np.ndarray:
    """The head with a margin, at most 20 cm from its top."""
    head = np.argwhere(index > 0)
    low, high = np.maximum(head.min(0) - 6, 0), np.minimum(head.max(0) + 7, index.shape)
    low[2] = max(low[2], high[2] - 200)
    return index[tuple(slice(a, b) for a, b in zip(low, high))]


def affine(shape: tuple[int, ...]) -> np.ndarray:
    """L-P-S axes, tilted about x, the volume's centre at the origin."""
    angle = np.deg2rad(TILT_DEGREES)
    tilt = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    out = np.eye(4)
    out[:3, :3] = tilt @ np.diag([-1, -1, 1]) @ np.diag(SPACING_MM)
    out[:3, 3] = -out[:3, :3] @ ((np.array(shape) - 1) / 2)
    return out


def main(map_path: str, folder: str) -> None:
    rng = np.random.default_rng(19)
    index = cropped(np.load(map_path))
    image = intensities(index, rng)
    shape = np.floor(np.array(image.shape) / SPACING_MM).astype(int)
    places = [(np.arange(k) - (k - 1) / 2) * d + (n - 1) / 2 for k, d, n in zip(shape, SPACING_MM, image.shape)]
    image = map_coordinates(gaussian_filter(image, (0.3, 0.3, 0.5)), np.meshgrid(*places, indexing="ij"), order=1)
    index = index[np.ix_(*[np.round(place).astype(int) for place in places])]
    image = np.hypot(image + rng.normal(0, 2.0, image.shape), rng.normal(0, 2.0, image.shape))
    voxels = np.clip(image, 0, 255).round().astype(np.int16)[::-1, ::-1]
    ids = labels.CLASS_IDS[labels.GEN_TO_CLASS[index]].astype(np.uint8)[::-1, ::-1]
    for name, values in (("synthetic_head", voxels), ("synthetic_head_seg", ids)):
        out = nib.Nifti1Image(np.asfortranarray(values), affine(values.shape))
        out.set_qform(out.affine, 1)
        out.set_sform(out.affine, 1)
        out.header.set_xyzt_units("mm")
        out.header["descrip"] = b"synthetic, no person's scan"
        nib.save(out, Path(folder) / f"{name}.nii.gz")


if __name__ == "__main__":
    main(*sys.argv[1:])
