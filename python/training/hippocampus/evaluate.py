"""Dice of the hippocampus model on the held-back cases, each labeled by `unet-vol` itself, as a table of Markdown.

    python -m hippocampus.evaluate --program unet-vol --data Task04
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np

from hippocampus.cases import names


def dice(got: np.ndarray, want: np.ndarray) -> list[float]:
    """Of labels 1 (anterior) and 2 (posterior)."""
    return [2.0 * ((got == i) & (want == i)).sum() / ((got == i).sum() + (want == i).sum()) for i in (1, 2)]


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--program", default="unet-vol")
    ap.add_argument("--model", default="hippocampus", help="a bundled model or a described ONNX file")
    ap.add_argument("--data", type=Path, required=True, help="folder with images/ and labels/")
    ap.add_argument("options", nargs="*", help="more options of unet-vol, after --")
    a = ap.parse_args()
    print("| case | anterior | posterior |\n| --- | ---: | ---: |")
    all_scores = []
    with tempfile.TemporaryDirectory() as folder:
        for name in names(a.data, held_back=True):
            out = Path(folder) / name
            command = [a.program, "segment", str(a.data / "images" / name), "-o", str(out), "--quiet"]
            subprocess.run([*command, "--model", a.model, *a.options], check=True, stdout=subprocess.DEVNULL)
            got, want = (np.asarray(nib.load(p).dataobj).round() for p in (out, a.data / "labels" / name))
            all_scores.append(dice(got, want))
            print(f"| {name.split('.')[0]} | {all_scores[-1][0]:.3f} | {all_scores[-1][1]:.3f} |")
    scores = np.array(all_scores)
    for what, values in (("mean", scores.mean(0)), ("least", scores.min(0)), ("median", np.median(scores, 0))):
        print(f"| **{what} of {len(scores)}** | {values[0]:.3f} | {values[1]:.3f} |")
    print(f"\nMean of both labels: {scores.mean():.4f} (bar 0.88; nnU-Net's cross-validation: about 0.90 and 0.89)")


if __name__ == "__main__":
    main()
