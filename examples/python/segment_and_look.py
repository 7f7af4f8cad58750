"""Segments a head, prints volumes, saves labels and a picture, shows the picture where matplotlib is.

    python examples/python/segment_and_look.py [study.nii.gz] [output folder]
"""

import sys
import tempfile
from pathlib import Path

import unet_vol

HEAD = Path(__file__).parents[2] / "testdata" / "synthetic_head.nii.gz"
study = Path(sys.argv[1]) if len(sys.argv) > 1 else HEAD
folder = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(tempfile.mkdtemp())

# %% Segment
pipeline = unet_vol.Pipeline.brain_mri()
segmentation = pipeline.segment(study, progress="auto")
print(pipeline, segmentation)
for warning in segmentation.warnings:
    print("note:", warning.message)

# %% The largest structures
for row in sorted(segmentation.statistics, key=lambda row: -row.ml)[:8]:
    print(f"{row.name:32} {row.ml:8.1f} ml")

# %% Files
certificate = segmentation.save(
    folder / "labels.nii.gz",
    statistics=folder / "statistics.csv",
    preview=folder / "look.png",
    overwrite=True,
)
print(f"{folder / 'labels.nii.gz'}: {certificate['largest_error_mm']:.1e} mm off at most")

# %% The picture, in a window (a notebook shows it for `segmentation` alone)
if sys.stdout.isatty():
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        pass
    else:
        plt.imshow(plt.imread(folder / "look.png"))
        plt.axis("off")
        plt.show()
