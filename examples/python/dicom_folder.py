"""A folder of DICOM: what is in it, why a series cannot be read, and one of them as a volume.

    python examples/python/dicom_folder.py FOLDER

Without a folder the slices in testdata/ are looked at.
"""

import sys
from pathlib import Path

import unet_vol

folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "testdata"

# %% What is there: headers alone are read
triage = unet_vol.triage(folder)
print(triage)
for row in triage.series:
    verdict = row.refusal or "can be read"
    print(f"{row.number:3} {row.modality:3} {row.description[:30]:30} {row.shape} {verdict}")

# %% The largest volume of it, in RAS
readable = [row for row in triage.series if row.refusal is None and row.volumes == 1]
if readable:
    best = max(readable, key=lambda row: row.files)
    image = unet_vol.reorient(triage.read(best.number), "RAS")
    print(image, f"{image.array.min():.0f} to {image.array.max():.0f}")
