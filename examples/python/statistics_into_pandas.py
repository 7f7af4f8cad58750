"""Volumes of a tree of studies as a table; pandas where it is installed, plain rows where not."""

import tempfile
from pathlib import Path

import unet_vol

HEAD = Path(__file__).parents[2] / "testdata" / "synthetic_head.nii.gz"

# %% Two studies in a tree: the head, and the head moved by a voxel
folder = Path(tempfile.mkdtemp())
head = unet_vol.read(HEAD)
for name, image in (("one", head), ("two", unet_vol.resample(head, spacing=(1.2, 1.2, 1.2)))):
    (folder / "studies" / name).mkdir(parents=True)
    unet_vol.write(folder / "studies" / name / "t1.nii.gz", image)

# %% Segment them all, unattended
entries = unet_vol.batch(folder / "studies", folder / "labels", statistics=True, progress="auto")
rows = [{"case": entry.case, "label": name, "ml": ml} for entry in entries for name, ml in entry.volumes.items()]
assert all(entry.status == "done" for entry in entries), entries

# %% The table
try:
    import pandas
except ImportError:
    for row in rows[:6]:
        print(row)
else:
    table = pandas.DataFrame(rows).pivot(index="label", columns="case", values="ml")
    print(table.round(1).head(10))

# %% How well do the two agree, brought onto one grid?
one, two = (unet_vol.read_labels(folder / "labels" / name / "t1_seg.nii.gz") for name in ("one", "two"))
report = unet_vol.evaluate(unet_vol.resample(two, like=one), one)
print(f"mean Dice {report.mean.dice:.3f}, mean HD95 {report.mean.hd95_mm:.2f} mm")
assert report.mean.dice > 0.8
