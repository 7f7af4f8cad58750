"""Pictures of where the brain model fails, on changed copies of the synthetic head: no person's scan is in them.

    python failures.py --program unet-vol --out ../../src/model/weights/brain-mri.failures.png
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image
from scipy import ndimage

from evaluate_program import HEAD, mean_dice

PLANES = (0, 28, 1500, 573)
"""The part of a preview that shows the planes."""


def lesion(volume: np.ndarray, labels: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """A dark ball of 22 mm in the right white matter, as a cyst or a resection leaves it."""
    centre = np.argwhere(labels == 41).mean(0)
    away = (np.indices(volume.shape).T - centre).T * spacing[:, None, None, None]
    return np.where(np.linalg.norm(away, axis=0) < 22, 0.25 * np.percentile(volume, 99.5), volume)


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--program", default="unet-vol")
    ap.add_argument("--model", default="brain-mri")
    ap.add_argument("--out", type=Path, required=True)
    a = ap.parse_args()
    image = nib.load(HEAD)
    volume = np.asarray(image.dataobj, np.float32)
    labels = np.asarray(nib.load(HEAD.with_name("synthetic_head_seg.nii.gz")).dataobj).astype(np.int32)

    def turn(x: np.ndarray, order: int) -> np.ndarray:
        return ndimage.rotate(x, 45, axes=(0, 1), reshape=False, order=order)

    cases = [
        ("a large lesion", lesion(volume, labels, np.array(image.header.get_zooms())), labels),
        ("turned by 45 degrees", turn(volume, 1), turn(labels, 0)),
        ("header upside down", volume[:, :, ::-1], labels[:, :, ::-1]),
    ]
    strips = []
    with tempfile.TemporaryDirectory() as folder:
        scan, out, png = (Path(folder) / name for name in ("scan.nii.gz", "out.nii.gz", "look.png"))
        for name, changed, want in cases:
            nib.save(nib.Nifti1Image(changed.astype(np.int16), image.affine), scan)
            command = [a.program, "segment", scan, "-o", out, "--preview", png, "--overwrite", "--model", a.model]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            warnings = [line for line in done.stderr.splitlines() if line.startswith("warning: unusual")]
            print(f"{name}: mean Dice {mean_dice(np.asarray(nib.load(out).dataobj).astype(np.int32), want):.2f}", *warnings)
            strips.append(Image.open(png).convert("RGB").crop(PLANES).resize((750, 273), Image.Resampling.LANCZOS))
    picture = Image.new("RGB", (750, 273 * len(strips)))
    for i, strip in enumerate(strips):
        picture.paste(strip, (0, 273 * i))
    picture.quantize(160).save(a.out, optimize=True)


if __name__ == "__main__":
    main()
